//! Billing: an invoice for every order placed here, numbered without a hole; settled by its
//! payment or voided by a credit note; and the documents imported from a legacy system.
//!
//! ```text
//! orders.OrderPlaced ──────────► Invoicing ──► billing.InvoiceIssued + NumberTaken ──► payments
//! orders.PaymentDeferred ──────► Invoicing ──► billing.InvoiceDeferred, or InvoiceIssued anew
//! orders.OrderReturned ────────► Invoicing ──► billing.InvoiceCredited
//!                                              + CreditNoteIssued + NumberTaken, RefundDue ─► payments
//! orders.OrderCancelled ───────► Invoicing ──► billing.InvoiceVoided
//!                                              + CreditNoteIssued + NumberTaken ─────► orders, payments
//! payments.PaymentCaptured ────► Settlement ─► billing.InvoicePaid ──────────────────► orders
//! payments.PaymentDeclined,
//!   PaymentExpired,
//!   PaymentCancelled ──────────► Settlement ─► billing.InvoiceVoided, as above, or CollectionFailed
//! payments.RefundProposed ─────► Settlement ─► billing.InvoiceCredited, as above, or RefundDenied
//! payments.PaymentRefunded ────► Settlement ─► billing.InvoiceRefunded + CreditNoteSettled
//! POST …/{id}/collect, …/void ─► Billing ────► billing.CollectionRequested ──► payments, InvoiceVoided
//! billing.SyncInvoice ─────────► SyncInvoice ► billing.InvoiceImported, then InvoiceRevised
//! customers.… ─────────────────► KnownCustomers: whom documents are addressed to
//! billing.… ───────────────────► InvoiceViews: what the API shows
//! customers.CustomerErased ────► InvoiceViews, retention: documents are kept as the law says
//! ```
//!
//! `domain` decides (`domain/series.rs` has the law on numbers), `handlers` carry commands in,
//! `numbering` numbers the documents that are pending together, `policies` react to orders and payments, `sync` takes the legacy system's
//! word, `projections` and `queries` keep and read the read models, `http` answers.

pub mod domain;
pub mod handlers;
mod http;
mod numbering;
pub mod policies;
pub mod projections;
pub mod queries;
pub mod retention;
mod settings;
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
pub use settings::BillingSettings;

use domain::InvoiceDecider;
use domain::retention::RetentionDecider;
use domain::series::SeriesDecider;
use handlers::Billing;
use policies::{Invoicing, Settlement};
use projections::{InvoiceViews, KnownCustomers};
use retention::{Erasure, Retentions};
use sync::SyncInvoice;

/// The module's name: the first part of its event types and of its routes.
pub const NAME: &str = "billing";

const PURPOSE: &str = "An invoice for every order placed here, numbered without a hole; settled by its payment or voided by a credit note.";

/// The tables of the module's read models.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/billing"),
    postgres: sqlx::migrate!("../../migrations/postgres/billing"),
};

/// What the module is, for whoever describes or checks it without opening it.
pub fn description() -> ModuleDescription {
    ModuleDescription::new(NAME, PURPOSE)
        .publishes(billing_contract::CATALOGUE)
        .decides::<InvoiceDecider>()
        .imports::<InvoiceDecider>()
        .decides::<SeriesDecider>()
        .decides::<RetentionDecider>()
        .projects::<InvoiceViews>()
        .projects::<KnownCustomers>()
        .reacts::<Invoicing>()
        .reacts::<Settlement>()
        .reacts::<Erasure>()
        .keeps(MIGRATIONS.tables())
}

/// Opens the module on its database, making it if need be.
pub async fn open(
    environment: Environment,
    database_url: &str,
    settings: BillingSettings,
) -> Result<Module, DatabaseError> {
    let database = Database::open(database_url, NAME, &MIGRATIONS).await?;
    let (views, views_progress) =
        ProjectionRunner::new(InvoiceViews, environment.clone(), database.clone());
    let (customers, customers_progress) =
        ProjectionRunner::new(KnownCustomers, environment.clone(), database.clone());
    let read_models = vec![
        ReadModel::new(
            InvoiceViews,
            &["invoice_view", "invoice_order", "erased_customer"],
            &environment,
            &database,
        ),
        ReadModel::new(KnownCustomers, &["known_customer"], &environment, &database),
    ];
    let retentions = Retentions {
        environment: environment.clone(),
        database: database.clone(),
        settings: settings.clone(),
    };
    let erasure = Erasure {
        retentions,
        views: views_progress.clone(),
        known_customers: customers_progress.clone(),
    };
    let billing = Billing::new(
        environment.clone(),
        database.clone(),
        settings,
        views_progress.clone(),
        customers_progress.clone(),
    );
    let invoicing = Invoicing(billing.clone());
    let settlement = Settlement(billing.clone());
    let data = Data::new(billing);
    Ok(Module {
        name: NAME,
        configure: Arc::new(move |config| {
            config.app_data(data.clone());
            routes(config);
        }),
        subscriptions: vec![
            Box::new(views),
            Box::new(customers),
            Box::new(ReactionRunner::new(invoicing, environment.clone(), database.clone())),
            Box::new(ReactionRunner::new(settlement, environment.clone(), database.clone())),
            Box::new(ReactionRunner::new(erasure, environment.clone(), database.clone())),
        ],
        sync_targets: vec![Arc::new(SyncInvoice::new(environment))],
        projections: vec![
            (InvoiceViews::NAME.to_owned(), views_progress),
            (KnownCustomers::NAME.to_owned(), customers_progress),
        ],
        read_models,
        database,
    })
}
