//! What follows when a customer is erased: nothing of its documents for as long as the law has them
//! kept, then everything.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{Datelike as _, NaiveDate};
use customers_contract::{CustomerErased, CustomerId};
use database::Database;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::Envelope;
use kernel::decider::Decider as _;
use kernel::event::StreamName;
use kernel::execution::{Cause, Environment, ExecuteError};
use kernel::outage::Outage;
use kernel::projection::Progress;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, shown};
use kernel::seams::new_id;
use kernel::store::BoxError;
use kernel::subscription::Identity;
use module::{Retained, RetainsDocuments};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use web_api::{Owner, Problem};

use crate::NAME;
use crate::domain::retention::{RetentionDecider, RetentionEnded, retained_until};
use crate::projections::{InvoiceViews, RetentionEvent};
use crate::queries::retention;
use crate::settings::BillingSettings;

/// The name of the policy.
pub const ERASURE: &str = "billing.erasure";
/// Who ends retentions by the clock.
const CLOCK: &str = "billing.retention";
const PAGE: i64 = 500;
/// How often the retentions that are over are looked for. They change with the year.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// How soon they are looked for again after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(60);
static UNENDED: Outage =
    Outage::new("retentions_unended", "retentions that are over cannot be ended");

/// Ends the retentions that are over, now and then, until the process stops. Retentions end by the
/// clock, not by an event. Every replica does this; ending one twice changes nothing.
pub(crate) async fn end_retentions(retentions: Retentions, shutdown: CancellationToken) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match retentions.end_all_over().await {
            Ok(()) => {
                UNENDED.ends(NAME);
                LOOK_EVERY
            }
            Err(error) => {
                UNENDED.occurs(NAME, &*error);
                RETRY_AFTER
            }
        };
    }
}

#[async_trait]
impl RetainsDocuments for Retentions {
    async fn retained(&self, customer_id: Uuid) -> Result<Retained, Problem> {
        let customer_id = CustomerId::from(customer_id);
        let last_document = retention::last_document(&self.database, customer_id).await?.flatten();
        let documents_until =
            last_document.map(|last| retained_until(last, self.settings.retention_years));
        let stream = StreamName::of(RetentionDecider::CATEGORY, customer_id);
        let ended = self.environment.store.read_last(&stream).await?;
        Ok(Retained { documents_until, ended_at: ended.map(|event| event.position) })
    }
}

/// The retention of customers' documents. Cheap to clone.
#[derive(Clone)]
pub struct Retentions {
    /// The event store.
    pub environment: Environment,
    /// The database with the documents.
    pub database: Database,
    /// For how long documents are kept.
    pub settings: BillingSettings,
}

impl Retentions {
    /// Ends every retention that is over today.
    pub async fn end_all_over(&self) -> Result<(), BoxError> {
        // After a restore the rows may show erasures that the log does not have.
        let documents = Identity::of_projection::<InvoiceViews>();
        match self.database.checkpoint(&documents.name).await? {
            Some(checkpoint) if checkpoint.is_of(&*self.environment.store).await? => {}
            _ => return Ok(()),
        }
        let last_day = self.last_day_over();
        let mut after = None;
        loop {
            let page = retention::over(&self.database, last_day, after, PAGE).await?;
            let Some(last) = page.last().copied() else { return Ok(()) };
            after = Some(last);
            for customer_id in page {
                self.end(customer_id, &Cause::request(new_id(), CLOCK)).await?;
            }
        }
    }

    /// Whether nothing of a customer needs to be retained today.
    async fn is_over(&self, customer_id: CustomerId) -> Result<bool, database::DatabaseError> {
        let Some(last_document) = retention::last_document(&self.database, customer_id).await?
        else {
            return Ok(false); // it has ended already
        };
        let today = self.settings.day_of(self.environment.clock.now());
        let years = self.settings.retention_years;
        Ok(last_document.is_none_or(|last| retained_until(last, years) < today))
    }

    async fn end(
        &self,
        customer_id: CustomerId,
        cause: &Cause,
    ) -> Result<(), ExecuteError<std::convert::Infallible>> {
        let ended = RetentionEnded { customer_id };
        self.environment.execute::<RetentionDecider>(customer_id, ended, cause, None).await?;
        Ok(())
    }

    /// Documents of this day or before need not be retained today.
    fn last_day_over(&self) -> NaiveDate {
        let today = self.settings.day_of(self.environment.clock.now());
        let last_year = today.year() - i32::from(self.settings.retention_years) - 1;
        NaiveDate::from_ymd_opt(last_year, 12, 31).unwrap_or(NaiveDate::MIN)
    }
}

/// Destroys the key of an erased customer's billing data when nothing has it retained, and cleans
/// up.
pub struct Erasure {
    pub(crate) retentions: Retentions,
    pub(crate) views: Progress,
    pub(crate) known_customers: Progress,
}

impl Reaction for Erasure {
    type Event = RetentionEvent;

    const NAME: &'static str = ERASURE;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    async fn react(
        &self,
        event: &Envelope<RetentionEvent>,
        cause: Cause,
    ) -> Result<(), ReactionError> {
        shown(&[&self.views, &self.known_customers], &event.recorded).await?;
        let Retentions { environment, database, .. } = &self.retentions;
        match &event.event {
            RetentionEvent::Erased(CustomerErased { customer_id, .. }) => {
                if self.retentions.is_over(*customer_id).await? {
                    self.retentions.end(*customer_id, &cause).await?;
                }
                Ok(database.scrub(&["known_customer"]).await?)
            }
            RetentionEvent::Ended(RetentionEnded { customer_id }) => {
                let documents = retention::documents_of(database, *customer_id).await?;
                // What was said in an imported document while it named no customer is sealed for
                // the document.
                let imported = documents.iter().filter(|document| document.owner == Owner::Legacy);
                let mut subjects: Vec<Uuid> =
                    imported.map(|document| document.id.as_uuid()).collect();
                subjects.push(customer_id.as_uuid());
                environment.codec.destroy_keys(&subjects, &[]).await?;
                environment.forget_memory();
                Ok(database.scrub(&["invoice_view"]).await?)
            }
        }
    }
}
