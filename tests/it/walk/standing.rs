//! How an order stands, with everything that belongs to it: as the API shows it.

use std::collections::HashMap;
use std::fmt;

use actix_web::test::TestRequest;
use rust_decimal::Decimal;
use serde_json::Value;
use testkit::Mounted;
use uuid::Uuid;

use super::commands::{Ids, Target};

/// An order, its documents, their payments, and its customer.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    pub(super) order: Value,
    /// Oldest first.
    pub(super) invoices: Vec<Value>,
    /// Oldest first.
    pub(super) credit_notes: Vec<Value>,
    /// Oldest first.
    pub(super) payments: Vec<Value>,
    /// Oldest first.
    pub(super) refunds: Vec<Value>,
    /// `None` when it was erased.
    pub(super) customer: Option<Value>,
}

impl Standing {
    pub(super) fn order_status(&self) -> &str {
        text(&self.order["status"])
    }

    /// Invoices and credit notes.
    pub(super) fn documents(&self) -> impl Iterator<Item = &Value> {
        self.invoices.iter().chain(&self.credit_notes)
    }

    /// Whether the provider has not decided about a payment.
    pub(super) fn is_being_paid(&self) -> bool {
        self.payments.iter().any(|payment| text(&payment["status"]) == "pending")
    }

    /// What a command is about: the latest of its kind. `None` where there is none.
    pub(super) fn ids(&self, target: Target) -> Option<Ids> {
        let of = |thing: &Value| Ids { id: id(thing), refund: None };
        match target {
            Target::Order => Some(of(&self.order)),
            Target::Invoice => self.invoices.last().map(of),
            Target::Payment => self.payments.last().map(of),
            Target::Refund => self.refunds.last().map(|refund| Ids {
                id: text(&refund["payment_id"]).parse().unwrap(),
                refund: Some(id(refund)),
            }),
            Target::Customer => self.customer.as_ref().map(of),
        }
    }

    /// The states that its things are in, each by what is told apart of it.
    pub(super) fn states(&self) -> impl Iterator<Item = (&'static str, String)> {
        let status = |thing: &Value| text(&thing["status"]).to_owned();
        let order = std::iter::once(("order", status(&self.order)));
        let invoices = self.invoices.iter().map(|invoice| ("invoice", invoice_state(invoice)));
        let notes = self.credit_notes.iter().map(move |note| ("credit note", status(note)));
        let payments = self.payments.iter().map(|payment| ("payment", payment_state(payment)));
        let refunds = self.refunds.iter().map(move |refund| ("refund", status(refund)));
        order.chain(invoices).chain(notes).chain(payments).chain(refunds)
    }

    /// The state of what a command is given to.
    pub(super) fn state_of(&self, target: Target) -> Option<String> {
        match target {
            Target::Order => Some(text(&self.order["status"]).to_owned()),
            Target::Invoice => self.invoices.last().map(invoice_state),
            Target::Payment => self.payments.last().map(payment_state),
            Target::Refund => self.refunds.last().map(|refund| text(&refund["status"]).to_owned()),
            Target::Customer => match &self.customer {
                Some(customer) => Some(text(&customer["status"]).to_owned()),
                None => Some("erased".to_owned()),
            },
        }
    }
}

fn invoice_state(invoice: &Value) -> String {
    let status = text(&invoice["status"]);
    let deferred = if invoice["deferred"] == true { ", deferred" } else { "" };
    match (status, text(&invoice["collection"])) {
        ("issued", "under_way") => format!("issued{deferred}, payment under way"),
        ("issued", "failed") => format!("issued{deferred}, payment failed"),
        ("issued", _) => format!("issued{deferred}, no payment"),
        (status, _) => status.to_owned(),
    }
}

fn payment_state(payment: &Value) -> String {
    match text(&payment["status"]) {
        "captured" if !amount(&payment["refunded"]).is_zero() => "captured, partly refunded",
        status => status,
    }
    .to_owned()
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "order {}", self.order_status())?;
        for invoice in &self.invoices {
            write!(formatter, "; invoice {}", invoice_state(invoice))?;
            for amount in ["total", "credited", "paid", "open"] {
                write!(formatter, " {amount} {}", text(&invoice[amount]))?;
            }
            if let Some(reason) = invoice["voided_reason"].as_str() {
                write!(formatter, " ({reason})")?;
            }
        }
        for note in &self.credit_notes {
            write!(formatter, "; credit note {} {}", text(&note["status"]), text(&note["total"]))?;
        }
        for payment in &self.payments {
            let (state, refunded) = (payment_state(payment), text(&payment["refunded"]));
            write!(formatter, "; payment {state} {}", text(&payment["amount"]))?;
            write!(formatter, " refunded {refunded}")?;
        }
        for refund in &self.refunds {
            write!(formatter, "; refund {} {}", text(&refund["status"]), text(&refund["amount"]))?;
        }
        Ok(())
    }
}

/// Reads how orders stand, again and again.
#[derive(Default)]
pub(super) struct Reader {
    /// The refunds of each payment at the revision at which they were read.
    refunds: HashMap<Uuid, (u64, Vec<Value>)>,
}

impl Reader {
    /// How every order stands, by its id.
    pub(super) async fn all(&mut self, api: &Mounted) -> HashMap<Uuid, Standing> {
        let mut all: HashMap<Uuid, Standing> = HashMap::new();
        let mut order_of_invoice = HashMap::new();
        let customers = list(api, "/api/v1/customers").await;
        let customers: HashMap<_, _> =
            customers.into_iter().map(|customer| (id(&customer), customer)).collect();
        for order in list(api, "/api/v1/orders").await {
            let standing = all.entry(id(&order)).or_default();
            let customer: Uuid = text(&order["customer_id"]).parse().unwrap();
            standing.customer = customers.get(&customer).cloned();
            standing.order = order;
        }
        for document in list(api, "/api/v1/billing/invoices").await {
            let order: Uuid = text(&document["order_ids"][0]).parse().unwrap();
            order_of_invoice.insert(id(&document), order);
            let standing = all.entry(order).or_default();
            match text(&document["kind"]) {
                "invoice" => standing.invoices.push(document),
                _ => standing.credit_notes.push(document),
            }
        }
        for payment in list(api, "/api/v1/payments").await {
            let invoice: Uuid = text(&payment["invoice_id"]).parse().unwrap();
            let standing = all.entry(order_of_invoice[&invoice]).or_default();
            standing.refunds.extend(self.refunds_of(api, &payment).await);
            standing.payments.push(payment);
        }
        all
    }

    async fn refunds_of(&mut self, api: &Mounted, payment: &Value) -> Vec<Value> {
        if !payment["refund"].is_object() {
            return vec![];
        }
        let (id, revision) = (id(payment), payment["revision"].as_u64().unwrap());
        if let Some((read_at, refunds)) = self.refunds.get(&id)
            && *read_at == revision
        {
            return refunds.clone();
        }
        let refunds = list(api, &format!("/api/v1/payments/{id}/refunds")).await;
        self.refunds.insert(id, (revision, refunds.clone()));
        refunds
    }
}

/// Everything that a list has, oldest first.
async fn list(api: &Mounted, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = Some(format!("{path}?limit=200"));
    while let Some(page) = next {
        let answer = api.send(TestRequest::get().uri(&page)).await.is(200);
        let link = answer.headers.get("link").map(|link| link.to_str().unwrap());
        next = link.map(|link| {
            let (address, _) = link.split_once('>').unwrap();
            address.trim_start_matches('<').to_owned()
        });
        items.extend(answer.body["items"].as_array().unwrap().iter().cloned());
    }
    items.reverse();
    items
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn id(value: &Value) -> Uuid {
    text(&value["id"]).parse().unwrap()
}

/// An amount, 0 where there is none.
pub(super) fn amount(value: &Value) -> Decimal {
    value.as_str().map_or(Decimal::ZERO, |text| text.parse().unwrap())
}
