//! Orders: placed here by known customers, or imported from a legacy system.
//!
//! ```text
//! POST /api/v1/orders ───► Orders::place ───► orders.OrderPlaced ──► billing issues an invoice
//! billing.InvoicePaid ───► PaymentOutcome ──► orders.OrderConfirmed
//! POST …/{id}/confirm ───► Orders::confirm ─► orders.OrderConfirmed, PaymentDeferred ──► billing
//! POST …/{id}/return ────► Orders::take_back ► orders.OrderReturned ──► billing issues a credit note
//! billing.InvoiceVoided ─► PaymentOutcome ──► orders.OrderCancelled
//! orders.SyncOrder ──────► SyncOrder ───────► orders.OrderImported, then orders.OrderRevised
//! customers.… ───────────► KnownCustomers: who may order
//! orders.… ──────────────► OrderViews: what the API shows
//! customers.CustomerErased ► OrderViews, Erasure: what people said in their orders goes
//! ```
//!
//! `domain` decides, `handlers` carry commands in, `policies` react to billing, `sync` takes the
//! legacy system's word, `projections` and `queries` keep and read the read models, `http` answers.

pub mod domain;
pub mod erasure;
pub mod handlers;
mod http;
pub mod policies;
pub mod projections;
pub mod queries;
pub mod sync;
pub mod view;

use std::sync::Arc;

use ::http::Module;
use actix_web::web::Data;
use database::read_model::ReadModel;
use database::{Database, DatabaseError, Migrations};
use kernel::description::ModuleDescription;
use kernel::execution::Environment;
use kernel::projection::{Projection as _, ProjectionRunner};
use kernel::reaction::ReactionRunner;

pub use self::http::routes;
use domain::OrderDecider;
use erasure::Erasure;
use handlers::Orders;
use policies::PaymentOutcome;
use projections::{KnownCustomers, OrderViews};
use sync::SyncOrder;

/// The module's name: the first part of its event types and of its routes.
pub const NAME: &str = "orders";

const PURPOSE: &str =
    "What is bought: placed here by known customers, or imported from a legacy system.";

/// The tables of the module's read models.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/orders"),
    postgres: sqlx::migrate!("../../migrations/postgres/orders"),
};

/// What the module is, for whoever describes or checks it without opening it.
pub fn description() -> ModuleDescription {
    ModuleDescription::new(NAME, PURPOSE)
        .publishes(orders_contract::CATALOGUE)
        .decides::<OrderDecider>()
        .imports::<OrderDecider>()
        .projects::<OrderViews>()
        .projects::<KnownCustomers>()
        .reacts::<PaymentOutcome>()
        .reacts::<Erasure>()
        .keeps(MIGRATIONS.tables())
}

/// Opens the module on its database, making it if need be.
pub async fn open(environment: Environment, database_url: &str) -> Result<Module, DatabaseError> {
    let database = Database::open(database_url, NAME, &MIGRATIONS).await?;
    let (views, views_progress) =
        ProjectionRunner::new(OrderViews, environment.clone(), database.clone());
    let (customers, customers_progress) =
        ProjectionRunner::new(KnownCustomers, environment.clone(), database.clone());
    let read_models = vec![
        ReadModel::new(OrderViews, &["order_view", "erased_customer"], &environment, &database),
        ReadModel::new(KnownCustomers, &["known_customer"], &environment, &database),
    ];
    let orders = Orders {
        environment: environment.clone(),
        database: database.clone(),
        views: views_progress.clone(),
        known_customers: customers_progress.clone(),
    };
    let policy = PaymentOutcome(orders.clone());
    let policy = ReactionRunner::new(policy, environment.clone(), database.clone());
    let erasure = Erasure {
        environment: environment.clone(),
        database: database.clone(),
        views: views_progress.clone(),
    };
    let erasure = ReactionRunner::new(erasure, environment.clone(), database.clone());
    let data = Data::new(orders);
    Ok(Module {
        name: NAME,
        configure: Arc::new(move |config| {
            config.app_data(data.clone());
            routes(config);
        }),
        subscriptions: vec![
            Box::new(views),
            Box::new(customers),
            Box::new(policy),
            Box::new(erasure),
        ],
        sync_targets: vec![Arc::new(SyncOrder::new(environment))],
        projections: vec![
            (OrderViews::NAME.to_owned(), views_progress),
            (KnownCustomers::NAME.to_owned(), customers_progress),
        ],
        read_models,
        database,
    })
}
