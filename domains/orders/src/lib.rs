//! Orders: placed here by known customers, or imported from a legacy system.
//!
//! ```text
//! POST /api/v1/orders ───► Orders::place ───► orders.OrderPlaced ──► billing issues an invoice
//! billing.InvoicePaid ───► PaymentOutcome ──► orders.OrderConfirmed
//! POST …/{id}/confirm ───► Orders::confirm ─► orders.OrderConfirmed, PaymentDeferred ──► billing
//! POST …/{id}/return ────► Orders::take_back ► orders.OrderReturned ──► billing issues a credit note
//! billing.InvoiceVoided ─► PaymentOutcome ──► orders.OrderCancelled
//! orders.SyncOrder ──────► SyncOrder ───────► orders.OrderImported, then orders.OrderRevised
//! customers.… ───────────► KnownCustomers: the customers and whether they may order
//! orders.… ──────────────► OrderViews: the orders as the API shows them
//! customers.CustomerErased ► OrderViews, Erasure: free text and keys are deleted
//! ```
//!
//! `domain` makes the decisions, `handlers` execute commands, `policies` react to billing, `sync`
//! imports orders of a legacy system, `projections` and `queries` write and read the read models, `view`
//! defines the orders that the API shows, `http` contains the routes, `erasure` reacts to the erasure of
//! a customer.

pub mod domain;
pub mod erasure;
pub mod handlers;
mod http;
pub mod policies;
pub mod projections;
pub mod queries;
pub mod sync;
pub mod view;

use database::Migrations;
use event_contract::PublishedEvent;
use module::{FirstSteps, Module, NoSettings, OpenError, Opened, Opening, Routes};

pub use self::http::routes;
use domain::OrderDecider;
use erasure::Erasure;
use handlers::Orders;
use policies::PaymentOutcome;
use projections::{KnownCustomers, OrderViews};

/// The module's name: the first part of its event types and of its routes.
pub const NAME: &str = "orders";

/// The module of orders.
#[derive(Debug, Clone, Copy)]
pub struct OrdersModule;

/// The tables of the module's read models.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/orders"),
    postgres: sqlx::migrate!("../../migrations/postgres/orders"),
};

impl Module for OrdersModule {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str =
        "Orders: placed here by known customers, or imported from a legacy system.";
    const EVENTS: &'static [PublishedEvent] = orders_contract::CATALOGUE;
    type Settings = NoSettings;
    type Deciders = (OrderDecider,);
    type Imports = (OrderDecider,);
    type Projections = (OrderViews, KnownCustomers);
    type Reactions = (PaymentOutcome, Erasure);
    const ROUTES: Option<Routes> = Some(routes);

    fn migrations(&self) -> &'static Migrations {
        &MIGRATIONS
    }

    async fn open(&self, on: Opening<'_, Self>) -> Result<Opened<Self>, OpenError> {
        let views = on.projection(OrderViews);
        let known_customers = on.projection(KnownCustomers);
        let Opening { environment, database, .. } = on;
        let orders = Orders {
            environment: environment.clone(),
            database: database.clone(),
            views: views.progress(),
            known_customers: known_customers.progress(),
        };
        let erasure = Erasure { environment, database, views: views.progress() };
        let reactions = (PaymentOutcome(orders.clone()), erasure);
        Ok(Opened::new((views, known_customers), reactions)
            .with_data(orders)
            .erasing_by::<Erasure>()
            .with_first_steps(FIRST_STEPS))
    }
}

/// Places an order that is paid.
const FIRST_STEPS: FirstSteps = FirstSteps {
    needs: &["customers", "orders", "billing", "payments"],
    text: |api| {
        format!(
            r#"Place an order and watch it being confirmed and paid:

CUSTOMER=$(curl -fsS {api}/api/v1/customers -H 'Content-Type: application/json' -d '{{"kind":"person","name":"Ada Martin","email":"ada-'$RANDOM$RANDOM'@exemple.fr","address":{{"line1":"1 rue de la Paix","postal_code":"75002","city":"Paris","country":"FR"}}}}' | sed -E 's/.*"id":"([^"]+)".*/\1/')
ORDER=$(curl -fsS {api}/api/v1/orders -H 'Content-Type: application/json' -d '{{"customer_id":"'$CUSTOMER'","currency":"EUR","payment_method":"sandbox:ok","lines":[{{"sku":"CH-1","description":"Chaise","quantity":"2","unit_price":"49.90","vat_rate":"20"}}]}}' | sed -E 's/.*"id":"([^"]+)".*/\1/')
until curl -fsS {api}/api/v1/orders/$ORDER | grep '"status":"confirmed"'; do sleep 0.2; done; curl -fsS "{api}/api/v1/billing/invoices?order_id=$ORDER"
"#
        )
    },
};
