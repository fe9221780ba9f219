//! Payments: of invoices issued here, collected through a payment provider and refunded through it.
//!
//! ```text
//!  billing.InvoiceIssued ──▶ policy ──▶ PaymentRequested ──▶ reactor ──▶ provider
//!                         (collection)                   (provider-calls)  │
//!                                         PaymentCaptured ◀────────────────┤ took the money
//!                                         PaymentDeclined ◀────────────────┤ refused
//!                                         PaymentExpired  ◀────────────────┘ silent to the end
//!  billing.CollectionRequested ──▶ policy: a further payment of the same invoice
//!  billing.InvoiceVoided ──▶ policy ──▶ PaymentCancelled ──▶ reactor: nothing may stay taken
//!                                       RefundRequested  ──▶ reactor ──▶ PaymentRefunded
//!                                                                    or RefundFailed, to be retried
//!  POST …/{id}/refunds ──▶ RefundProposed ──▶ billing issues the credit note
//!  billing.RefundDue ─────▶ policy ──▶ RefundRequested, as above
//!  billing.RefundDenied ──▶ policy ──▶ RefundRefused
//! ```
//!
//! - `domain`: what a payment is and may become.
//! - `handlers`: its commands.
//! - `policies`: what follows from invoices.
//! - [`provider`]: the port to the provider, and the sandbox that comes with it. `reactor`: the
//!   only caller of it. A time-out is an unknown outcome and is resolved before anything is
//!   recorded; money that came too late goes back.
//! - [`erasure`]: what follows when a customer is erased.
//! - `projections`, [`queries`]: payments as they are shown. `http`: the routes that show them.
//! - `sync`: payments of a legacy system. They are shown and never charged.

pub mod domain;
pub mod erasure;
#[cfg(test)]
mod golden;
mod handlers;
mod http;
mod policies;
mod projections;
pub mod provider;
pub mod queries;
mod reactor;
mod settings;
mod sync;
mod view;

use std::sync::Arc;

use ::http::Module;
use actix_web::web::Data;
use database::read_model::ReadModel;
use database::{Database, DatabaseError, Migrations};
use kernel::description::ModuleDescription;
use kernel::execution::Environment;
use kernel::projection::{Projection as _, ProjectionRunner};
use kernel::reaction::ReactionRunner;
use kernel::subscription::Subscription;

pub use handlers::{Payments, attempt_of, payment_of};
pub use http::{PaymentView, routes};
pub use projections::{
    Details, RefundCause, RefundDetails, RefundProgress, RefundStatus, RefundedLine, Status,
};
pub use settings::{BreakerSettings, PaymentsSettings};

use domain::PaymentDecider;
use erasure::Erasure;
use provider::{Calls, PaymentProvider, Sandbox};

/// The module's name: the first part of its event types and of its routes.
pub const NAME: &str = "payments";

const PURPOSE: &str =
    "A payment for every invoice issued here, collected through a payment provider.";

/// The tables of the module's read model.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/payments"),
    postgres: sqlx::migrate!("../../migrations/postgres/payments"),
};

/// What the module is, for whoever describes or checks it without opening it.
pub fn description() -> ModuleDescription {
    ModuleDescription::new(NAME, PURPOSE)
        .publishes(payments_contract::CATALOGUE)
        .decides::<PaymentDecider>()
        .imports::<PaymentDecider>()
        .projects::<projections::PaymentsProjection>()
        .reacts::<policies::Collection>()
        .reacts::<reactor::ProviderCalls>()
        .reacts::<Erasure>()
        .keeps(MIGRATIONS.tables())
}

/// Opens the module on the built-in sandbox, whose books are in a database of their own: it plays
/// a service outside, which remembers what it took whatever becomes of this module's tables.
pub async fn open(
    environment: Environment,
    database_url: &str,
    ledger_url: &str,
    settings: PaymentsSettings,
) -> Result<Module, DatabaseError> {
    let clock = Arc::clone(&environment.clock);
    let sandbox = Sandbox::open(ledger_url, clock, settings.sandbox.clone()).await?;
    open_with(environment, database_url, Arc::new(sandbox), settings).await
}

/// Opens the module on any provider.
pub async fn open_with(
    environment: Environment,
    database_url: &str,
    provider: Arc<dyn PaymentProvider>,
    settings: PaymentsSettings,
) -> Result<Module, DatabaseError> {
    let database = Database::open(database_url, NAME, &MIGRATIONS).await?;
    let payments = Payments::new(environment.clone());
    let projection = projections::PaymentsProjection;
    let read_models = vec![ReadModel::new(
        projection,
        &["payment", "payment_refund", "erased_customer"],
        &environment,
        &database,
    )];
    let (projection, progress) =
        ProjectionRunner::new(projection, environment.clone(), database.clone());
    let collection =
        policies::Collection { payments: payments.clone(), patience: settings.deadline() };
    let collection = ReactionRunner::new(collection, environment.clone(), database.clone());
    let calls = Calls::new(provider, &settings, Arc::clone(&environment.clock));
    let reactor = reactor::ProviderCalls::new(payments.clone(), calls, &settings);
    let reactor = ReactionRunner::new(reactor, environment.clone(), database.clone());
    let erasure = Erasure {
        environment: environment.clone(),
        database: database.clone(),
        payments: progress.clone(),
    };
    let erasure = ReactionRunner::new(erasure, environment.clone(), database.clone());
    let api = Data::new(http::Api {
        payments: payments.clone(),
        database: database.clone(),
        progress: progress.clone(),
    });
    let subscriptions: Vec<Box<dyn Subscription>> =
        vec![Box::new(projection), Box::new(collection), Box::new(reactor), Box::new(erasure)];
    Ok(Module {
        name: NAME,
        configure: Arc::new(move |config| {
            config.app_data(api.clone());
            routes(config);
        }),
        subscriptions,
        sync_targets: vec![Arc::new(sync::SyncPayment::new(environment))],
        projections: vec![(projections::PaymentsProjection::NAME.to_owned(), progress)],
        read_models,
        database,
    })
}
