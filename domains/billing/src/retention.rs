//! What follows when a customer is erased: nothing of its documents for as long as the law has them
//! kept, then everything.

use async_trait::async_trait;
use chrono::{Datelike as _, NaiveDate};
use customers_contract::{CustomerErased, CustomerId};
use database::Database;
use http::Owner;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::Envelope;
use kernel::decider::Decider as _;
use kernel::event::{Position, StreamName};
use kernel::execution::{Cause, Environment, ExecuteError};
use kernel::projection::Progress;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, shown};
use kernel::seams::new_id;
use kernel::store::{BoxError, ReadError};
use kernel::subscription::Identity;
use uuid::Uuid;

use crate::domain::retention::{RetentionDecider, RetentionEnded, retained_until};
use crate::projections::{InvoiceViews, RetentionEvent};
use crate::queries::retention;
use crate::settings::BillingSettings;

/// The name of the policy.
pub const ERASURE: &str = "billing.erasure";
/// Who ends retentions by the clock.
const CLOCK: &str = "billing.retention";
const PAGE: i64 = 500;

/// Until when an erased customer's documents are retained; `None` when they are not, or there are
/// none.
pub async fn retained(
    database: &Database,
    settings: &BillingSettings,
    customer_id: CustomerId,
) -> Result<Option<NaiveDate>, database::DatabaseError> {
    let last_document = retention::last_document(database, customer_id).await?.flatten();
    Ok(last_document.map(|last| retained_until(last, settings.retention_years)))
}

/// Where in the log the retention of an erased customer's documents has ended, if it has.
pub async fn ended_at(
    environment: &Environment,
    customer_id: CustomerId,
) -> Result<Option<Position>, ReadError> {
    let stream = StreamName::of(RetentionDecider::CATEGORY, customer_id);
    let last = environment.store.read_last(&stream).await?;
    Ok(last.map(|event| event.position))
}

/// Ends every retention that is over: that follows from the clock, not from an event. The
/// composition root calls it now and then, on any replica; ending one twice changes nothing.
pub async fn end_all_over(
    environment: Environment,
    database: Database,
    settings: BillingSettings,
) -> Result<(), BoxError> {
    // After a restore the rows may tell of erasures that the log does not know.
    let documents = Identity::of_projection::<InvoiceViews>();
    match database.checkpoint(&documents.name).await? {
        Some(checkpoint) if checkpoint.is_of(&*environment.store).await? => {}
        _ => return Ok(()),
    }
    let retentions = Retentions { environment, database, settings };
    let last_day = retentions.last_day_over();
    let mut after = None;
    loop {
        let page = retention::over(&retentions.database, last_day, after, PAGE).await?;
        let Some(last) = page.last().copied() else { return Ok(()) };
        after = Some(last);
        for customer_id in page {
            retentions.end(customer_id, &Cause::request(new_id(), CLOCK)).await?;
        }
    }
}

/// Ends the retention of customers' documents.
pub(crate) struct Retentions {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    pub(crate) settings: BillingSettings,
}

impl Retentions {
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
pub(crate) struct Erasure {
    pub(crate) retentions: Retentions,
    pub(crate) views: Progress,
    pub(crate) known_customers: Progress,
}

#[async_trait]
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
                let mut subjects: Vec<Uuid> = imported.map(|document| document.id).collect();
                subjects.push(*customer_id);
                environment.codec.destroy_keys(&subjects, &[]).await?;
                environment.forget_memory();
                Ok(database.scrub(&["invoice_view"]).await?)
            }
        }
    }
}
