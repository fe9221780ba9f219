//! Payments of the invoices issued here, collected and refunded through a payment provider.
//!
//! ```text
//!  billing.InvoiceIssued ──▶ policy ──▶ PaymentRequested ──▶ reactor ──▶ provider
//!                         (collection)                   (provider-calls)  │
//!                                         PaymentCaptured ◀────────────────┤ captured
//!                                         PaymentDeclined ◀────────────────┤ declined
//!                                         PaymentExpired  ◀────────────────┘ no decision in time
//!  billing.CollectionRequested ──▶ policy: a further payment of the same invoice
//!  billing.InvoiceVoided ──▶ policy ──▶ PaymentCancelled ──▶ reactor: cancels the charge
//!                                       RefundRequested  ──▶ reactor ──▶ PaymentRefunded
//!                                                                    or RefundFailed, to be retried
//!  POST …/{id}/refunds ──▶ RefundProposed ──▶ billing issues the credit note
//!  billing.RefundDue ─────▶ policy ──▶ RefundRequested, as above
//!  billing.RefundDenied ──▶ policy ──▶ RefundRefused
//! ```
//!
//! - `domain`: the states and decisions of payments.
//! - `handlers`: the commands; `policies`: the reactions to invoices.
//! - [`provider`]: the port to the provider, and the built-in sandbox. `reactor`: its only caller. A
//!   time-out is an unknown outcome, which is resolved before anything is recorded; money that is
//!   captured too late is refunded.
//! - `projections` and [`queries`]: the read models; [`view`]: what the API shows; `http`: the routes.
//! - `sync`: payments of a legacy system, which are shown and never charged.
//! - [`erasure`]: what happens when a customer is erased.

pub mod domain;
pub mod erasure;
mod handlers;
mod http;
mod policies;
mod projections;
pub mod provider;
pub mod queries;
mod reactor;
mod settings;
mod sync;
pub mod view;

use std::sync::Arc;

use database::Migrations;
use event_contract::PublishedEvent;
use module::{Module, OpenError, Opened, Opening, Routes};

pub use handlers::{Payments, attempt_of, payment_of};
pub use http::routes;
pub use settings::{BreakerSettings, PaymentsSettings};

use domain::PaymentDecider;
use erasure::Erasure;
use policies::Collection;
use projections::PaymentsProjection;
use provider::{Calls, PaymentProvider, Sandbox};
use reactor::ProviderCalls;

/// The module's name: the first part of its event types and of its routes.
pub const NAME: &str = "payments";

/// The module of payments, with its provider.
#[derive(Clone)]
pub struct PaymentsModule {
    provider: Provider,
}

#[derive(Clone)]
enum Provider {
    Sandbox,
    Outside(Arc<dyn PaymentProvider>),
}

impl PaymentsModule {
    /// Returns the module with the built-in sandbox. Its ledger is in a database of its own, like that of
    /// an external service, and does not depend on this module's tables.
    pub const fn on_sandbox() -> Self {
        Self { provider: Provider::Sandbox }
    }

    /// Returns the module with another provider.
    pub fn through(provider: Arc<dyn PaymentProvider>) -> Self {
        Self { provider: Provider::Outside(provider) }
    }
}

/// The tables of the module's read models.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/payments"),
    postgres: sqlx::migrate!("../../migrations/postgres/payments"),
};

impl Module for PaymentsModule {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str =
        "A payment for every invoice issued here, collected through a payment provider.";
    const EVENTS: &'static [PublishedEvent] = payments_contract::CATALOGUE;
    type Settings = PaymentsSettings;
    type Deciders = (PaymentDecider,);
    type Imports = (PaymentDecider,);
    type Projections = (PaymentsProjection,);
    type Reactions = (Collection, ProviderCalls, Erasure);
    const ROUTES: Option<Routes> = Some(routes);

    fn migrations(&self) -> &'static Migrations {
        &MIGRATIONS
    }

    async fn open(&self, on: Opening<'_, Self>) -> Result<Opened<Self>, OpenError> {
        let views = on.projection(PaymentsProjection);
        let Opening { environment, database, settings, surroundings, .. } = on;
        let clock = Arc::clone(&environment.clock);
        let provider = match &self.provider {
            Provider::Outside(provider) => Arc::clone(provider),
            Provider::Sandbox => {
                let ledger = match &settings.sandbox.ledger {
                    Some(url) => url.reveal().to_owned(),
                    None => surroundings.beside_the_store("sandbox")?.ok_or_else(|| {
                        OpenError::unusable(
                            "the tables of sandbox cannot be beside a store that is reached over the \
                             network: say where they are, with [payments.sandbox] ledger",
                        )
                    })?,
                };
                let sandbox = settings.sandbox.clone();
                Arc::new(Sandbox::open(&ledger, Arc::clone(&clock), sandbox).await?)
            }
        };
        let payments = Payments::new(environment.clone());
        let collection = Collection { payments: payments.clone(), patience: settings.deadline() };
        let calls = Calls::new(provider, &settings, clock);
        let reactor = ProviderCalls::new(payments.clone(), calls, &settings);
        let erasure =
            Erasure { environment, database: database.clone(), payments: views.progress() };
        let api = http::Api { payments, database, progress: views.progress() };
        Ok(Opened::new((views,), (collection, reactor, erasure))
            .with_data(api)
            .erasing_by::<Erasure>())
    }
}
