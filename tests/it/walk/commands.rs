//! What people can ask of the modules. Which commands there are is read from the description of the
//! routes; one that has no row here fails the test.

use actix_web::test::TestRequest;
use customers::handlers::Customers;
use kernel::execution::Cause;
use serde_json::{Value, json};
use testkit::Mounted;
use uuid::Uuid;

use super::system::System;

/// Who asks, as the events say.
pub(super) const PERSON: &str = "anonymous";

/// How every story begins: no step of one.
pub(super) const BEGINNINGS: &[&str] = &["register_customer", "place_order"];

/// A command of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Command {
    ConfirmOrder,
    FulfilOrder,
    CancelOrder,
    ReturnOrder,
    ReturnSome,
    CollectInvoice,
    /// By a method that never answers.
    CollectInVain,
    VoidInvoice,
    CancelPayment,
    RefundPayment,
    RefundSome,
    /// All that was delivered, whatever has come back of it.
    RefundLines,
    RetryRefund,
    ChangeContact,
    ChangeAddress,
    CloseCustomer,
    /// Through the operators' API, which is no module's.
    EraseCustomer,
}

/// What a command is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Order,
    Invoice,
    Payment,
    Refund,
    Customer,
}

impl Target {
    pub(super) const ALL: &[Self] =
        &[Self::Order, Self::Invoice, Self::Payment, Self::Refund, Self::Customer];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Invoice => "invoice",
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Customer => "customer",
        }
    }
}

impl Command {
    /// Those that decide about goods and money.
    pub(super) const OF_THE_SALE: &[Self] = &[
        Self::ConfirmOrder,
        Self::FulfilOrder,
        Self::CancelOrder,
        Self::ReturnOrder,
        Self::ReturnSome,
        Self::CollectInvoice,
        Self::CollectInVain,
        Self::VoidInvoice,
        Self::CancelPayment,
        Self::RefundPayment,
        Self::RefundSome,
        Self::RefundLines,
        Self::RetryRefund,
    ];

    /// Those that can meet the saga in the moment in which an order is placed.
    pub(super) const AT_THE_PLACING: &[Self] = &[
        Self::ConfirmOrder,
        Self::FulfilOrder,
        Self::CancelOrder,
        Self::CancelPayment,
        Self::RefundPayment,
    ];

    /// Those on the customer.
    pub(super) const OF_THE_CUSTOMER: &[Self] =
        &[Self::ChangeContact, Self::ChangeAddress, Self::CloseCustomer, Self::EraseCustomer];

    /// Every command.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::OF_THE_SALE.iter().chain(Self::OF_THE_CUSTOMER).copied()
    }

    /// The operation's id in the description of the modules' routes; `None` where it has none.
    pub(super) fn operation(self) -> Option<&'static str> {
        Some(match self {
            Self::ConfirmOrder => "confirm_order",
            Self::FulfilOrder => "fulfil_order",
            Self::CancelOrder => "cancel_order",
            Self::ReturnOrder | Self::ReturnSome => "return_order",
            Self::CollectInvoice | Self::CollectInVain => "collect_invoice",
            Self::VoidInvoice => "void_invoice",
            Self::CancelPayment => "cancel_payment",
            Self::RefundPayment => "refund_payment",
            Self::RefundSome | Self::RefundLines => "create_refund",
            Self::RetryRefund => "retry_refund",
            Self::ChangeContact => "change_customer_contact",
            Self::ChangeAddress => "change_customer_address",
            Self::CloseCustomer => "close_customer",
            Self::EraseCustomer => return None,
        })
    }

    /// What people know it by.
    pub(super) fn label(self) -> String {
        let detail = match self {
            Self::ReturnSome => ", one of two",
            Self::CollectInVain => ", by a method that is never answered",
            Self::RefundSome => ", a sum",
            Self::RefundLines => ", all lines",
            _ => "",
        };
        match self.operation() {
            Some(operation) => format!("`{operation}`{detail}"),
            None => "erase, by an operator".to_owned(),
        }
    }

    pub(super) fn target(self) -> Target {
        match self {
            Self::ConfirmOrder
            | Self::FulfilOrder
            | Self::CancelOrder
            | Self::ReturnOrder
            | Self::ReturnSome => Target::Order,
            Self::CollectInvoice | Self::CollectInVain | Self::VoidInvoice => Target::Invoice,
            Self::CancelPayment | Self::RefundPayment | Self::RefundSome | Self::RefundLines => {
                Target::Payment
            }
            Self::RetryRefund => Target::Refund,
            Self::ChangeContact
            | Self::ChangeAddress
            | Self::CloseCustomer
            | Self::EraseCustomer => Target::Customer,
        }
    }

    /// What is sent with it.
    pub(super) fn body(self) -> Option<Value> {
        match self {
            Self::ConfirmOrder
            | Self::FulfilOrder
            | Self::VoidInvoice
            | Self::CancelPayment
            | Self::RetryRefund
            | Self::EraseCustomer => None,
            Self::CancelOrder => Some(json!({ "reason": "ordered twice" })),
            Self::ReturnOrder => Some(json!({ "reason": "not liked" })),
            Self::ReturnSome => Some(json!({
                "reason": "one is not liked", "lines": [{ "line": 1, "quantity": "1" }],
            })),
            Self::CollectInvoice => Some(json!({ "payment_method": "sandbox:ok" })),
            Self::CollectInVain => Some(json!({ "payment_method": "sandbox:never" })),
            Self::RefundPayment => Some(json!({ "reason": "arrived broken" })),
            Self::RefundSome => Some(json!({ "reason": "a scratch", "amount": "10.00" })),
            Self::RefundLines => Some(json!({
                "reason": "both arrived broken", "lines": [{ "line": 1, "quantity": "2" }],
            })),
            Self::ChangeContact => Some(json!({ "email": email() })),
            Self::ChangeAddress => Some(json!({ "address": address("Lyon") })),
            Self::CloseCustomer => Some(json!({ "reason": "moves away" })),
        }
    }

    /// Gives the command.
    pub(super) async fn give(self, system: &System, ids: Ids, request_id: Uuid) -> Outcome {
        let Some(operation) = self.operation() else {
            let customers = Customers::new(system.environment.clone());
            let erased = customers.erase(ids.id.into(), &Cause::request(request_id, PERSON)).await;
            let refused = erased.err().map(|error| error.to_string());
            return Outcome { status: 200, refused };
        };
        let path = system.routes.path(operation);
        let path = path
            .replace("{id}", &ids.id.to_string())
            .replace("{refund_id}", &ids.refund.unwrap_or_default().to_string());
        let request =
            TestRequest::post().uri(&path).insert_header(("X-Request-Id", request_id.to_string()));
        let answer = system.api.send(match self.body() {
            Some(body) => request.set_json(body),
            None => request,
        });
        let answer = answer.await;
        let refused = answer.body["type"].as_str();
        let refused = refused.map(|kind| kind.rsplit('/').next().unwrap_or(kind).to_owned());
        Outcome { status: answer.status, refused }
    }
}

/// How a command was answered.
pub(super) struct Outcome {
    pub(super) status: u16,
    /// Why it was refused, if it was.
    pub(super) refused: Option<String>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) id: Uuid,
    /// The refund of a payment, where there is one.
    pub(super) refund: Option<Uuid>,
}

/// The operations that change something, by id, each with its path.
pub(super) struct Routes(Vec<(String, String)>);

impl Routes {
    pub(super) fn of(api: &Mounted) -> Self {
        let mut operations = Vec::new();
        for (path, item) in &api.document.paths.paths {
            let changing = [&item.post, &item.put, &item.patch, &item.delete];
            for operation in changing.into_iter().flatten() {
                operations.push((operation.operation_id.clone().unwrap(), path.clone()));
            }
        }
        Self(operations)
    }

    pub(super) fn path(&self, operation: &str) -> &str {
        let found = self.0.iter().find(|(id, _)| id == operation);
        &found.unwrap_or_else(|| panic!("no route has the operation id {operation}")).1
    }

    /// Whoever adds a command to a module adds a row here, too.
    pub(super) fn expect_rows_for_all(&self) {
        let mut there: Vec<&str> = self.0.iter().map(|(operation, _)| operation.as_str()).collect();
        there.sort_unstable();
        let mut rows: Vec<&str> = Command::all().filter_map(Command::operation).collect();
        rows.extend(BEGINNINGS);
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(there, rows, "the modules' commands, and those of tests/it/walk/commands.rs");
    }
}

/// A customer to register.
pub(super) fn registration() -> Value {
    json!({
        "kind": "person", "name": "Ada Martin", "email": email(), "address": address("Paris"),
    })
}

/// An order to place, over 119.76 EUR.
pub(super) fn order(customer_id: Uuid, payment_method: &str) -> Value {
    json!({
        "customer_id": customer_id, "currency": "EUR", "payment_method": payment_method,
        "lines": [{
            "sku": "CH-1", "description": "Chaise", "quantity": "2", "unit_price": "49.90",
            "vat_rate": "20",
        }],
    })
}

fn email() -> String {
    format!("ada-{}@exemple.fr", kernel::seams::new_id().simple())
}

fn address(city: &str) -> Value {
    json!({ "line1": "1 rue de la Paix", "postal_code": "75002", "city": city, "country": "FR" })
}
