//! Billing: an invoice for every order placed here, numbered without gaps, and settled by its payment or
//! voided by a credit note; and the documents imported from a legacy system.
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
//! customers.… ─────────────────► KnownCustomers: names and addresses for documents
//! billing.… ───────────────────► InvoiceViews: what the API shows
//! customers.CustomerErased ────► InvoiceViews, Erasure: documents are retained as the law requires
//! ```
//!
//! - `domain`: the decisions; `domain/series.rs` cites the law on numbers.
//! - `handlers`: the commands; `numbering`: numbers pending documents together.
//! - `policies`: the reactions to orders and payments; `sync`: the import from a legacy system.
//! - `projections` and `queries`: the read models; `view`: what the API shows; `http`: the routes.
//! - `retention` and `erasure`: how long an erased customer's documents are kept.

pub mod domain;
pub mod erasure;
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

use database::Migrations;
use event_contract::PublishedEvent;
use module::{Module, OpenError, Opened, Opening, Routes};

pub use self::http::routes;
pub use settings::BillingSettings;

use domain::InvoiceDecider;
use domain::retention::RetentionDecider;
use domain::series::SeriesDecider;
use erasure::Erasure;
use handlers::Billing;
use policies::{Invoicing, Settlement};
use projections::{InvoiceViews, KnownCustomers};
use retention::Retentions;

/// The module's name: the first part of its event types and of its routes.
pub const NAME: &str = "billing";

/// The module of billing.
#[derive(Debug, Clone, Copy)]
pub struct BillingModule;

/// The tables of the module's read models.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/billing"),
    postgres: sqlx::migrate!("../../migrations/postgres/billing"),
};

impl Module for BillingModule {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "An invoice for every order placed here, numbered without gaps; \
        settled by its payment or voided by a credit note.";
    const EVENTS: &'static [PublishedEvent] = billing_contract::CATALOGUE;
    type Settings = BillingSettings;
    type Deciders = (InvoiceDecider, SeriesDecider, RetentionDecider);
    type Imports = (InvoiceDecider,);
    type Projections = (InvoiceViews, KnownCustomers);
    type Reactions = (Invoicing, Settlement, Erasure);
    const ROUTES: Option<Routes> = Some(routes);

    fn migrations(&self) -> &'static Migrations {
        &MIGRATIONS
    }

    async fn open(&self, on: Opening<'_, Self>) -> Result<Opened<Self>, OpenError> {
        let views = on.projection(InvoiceViews);
        let customers = on.projection(KnownCustomers);
        let Opening { environment, database, settings, .. } = on;
        let retentions = Retentions {
            environment: environment.clone(),
            database: database.clone(),
            settings: settings.clone(),
        };
        let erasure = Erasure {
            retentions: retentions.clone(),
            views: views.progress(),
            known_customers: customers.progress(),
        };
        let billing =
            Billing::new(environment, database, settings, views.progress(), customers.progress());
        let reactions = (Invoicing(billing.clone()), Settlement(billing.clone()), erasure);
        Ok(Opened::new((views, customers), reactions)
            .with_data(billing)
            .erasing_by::<Erasure>()
            .retaining(retentions.clone())
            .with_upkeep(|shutdown| retention::end_retentions(retentions, shutdown)))
    }
}
