//! The retention of erased customers' documents. The documents stay unchanged for as long as the law
//! requires; then their personal data is erased.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{Datelike as _, NaiveDate};
use customers_contract::CustomerId;
use database::Database;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::decider::Decider as _;
use kernel::event::StreamName;
use kernel::execution::{Cause, Environment, ExecuteError};
use kernel::outage::Outage;
use kernel::seams::new_id;
use kernel::store::BoxError;
use kernel::subscription::Identity;
use module::{Retained, RetainsDocuments};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use web_api::Problem;

use crate::NAME;
use crate::domain::retention::{RetentionDecider, RetentionEnded, retained_until};
use crate::projections::InvoiceViews;
use crate::queries::retention;
use crate::settings::BillingSettings;

/// The actor of retentions that end by the clock.
const CLOCK: &str = "billing.retention";
const PAGE: i64 = 500;
/// Interval between two searches for retentions that are over. They end at the turn of the year.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Interval until the next search after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(60);
static UNENDED: Outage =
    Outage::new("retentions_unended", "retentions that are over cannot be ended");

/// Ends the retentions that are over, periodically, until the process stops. Retentions end by the
/// clock, not by an event. Every replica does this; ending a retention twice changes nothing.
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
    /// Event store and clock.
    pub environment: Environment,
    /// Database of the documents.
    pub database: Database,
    /// Settings with the retention period.
    pub settings: BillingSettings,
}

impl Retentions {
    /// Ends every retention that is over today.
    pub async fn end_all_over(&self) -> Result<(), BoxError> {
        // After a restore, the rows may contain erasures that the log does not.
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

    /// Returns whether no document of a customer has to be retained today.
    pub(crate) async fn is_over(
        &self,
        customer_id: CustomerId,
    ) -> Result<bool, database::DatabaseError> {
        let Some(last_document) = retention::last_document(&self.database, customer_id).await?
        else {
            return Ok(false); // it has ended already
        };
        let today = self.settings.day_of(self.environment.clock.now());
        let years = self.settings.retention_years;
        Ok(last_document.is_none_or(|last| retained_until(last, years) < today))
    }

    pub(crate) async fn end(
        &self,
        customer_id: CustomerId,
        cause: &Cause,
    ) -> Result<(), ExecuteError<std::convert::Infallible>> {
        let ended = RetentionEnded { customer_id };
        self.environment.execute::<RetentionDecider>(customer_id, ended, cause, None).await?;
        Ok(())
    }

    /// Returns the last day whose documents no longer have to be retained today.
    fn last_day_over(&self) -> NaiveDate {
        let today = self.settings.day_of(self.environment.clock.now());
        let last_year = today.year() - i32::from(self.settings.retention_years) - 1;
        NaiveDate::from_ymd_opt(last_year, 12, 31).unwrap_or(NaiveDate::MIN)
    }
}
