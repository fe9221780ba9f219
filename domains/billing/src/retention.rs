//! What follows when a customer is erased: nothing of its documents for as long as the law has them
//! kept, then everything.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{Datelike as _, NaiveDate};
use customers_contract::{CustomerErased, CustomerId};
use database::Database;
use http::Owner;
use kernel::codec::Envelope;
use kernel::execution::{Cause, Environment, ExecuteError};
use kernel::projection::Progress;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, shown};
use kernel::seams::new_id;
use kernel::subscription::{Subscription, SubscriptionState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::retention::{RetentionDecider, RetentionEnded, retained_until};
use crate::projections::RetentionEvent;
use crate::queries::retention;
use crate::settings::BillingSettings;

/// The name of the policy.
pub const ERASURE: &str = "billing.erasure";
/// The name of the watch.
pub const WATCH: &str = "billing.retention";

/// How often it is looked for retentions that are over. They end with a year.
const EVERY: Duration = Duration::from_secs(3600);
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

/// Ends the retention of customers' documents.
#[derive(Clone)]
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

    /// Ends every retention that is over.
    async fn end_all(&self) -> Result<(), ReactionError> {
        let today = self.settings.day_of(self.environment.clock.now());
        let last_year = today.year() - i32::from(self.settings.retention_years) - 1;
        let last_day = NaiveDate::from_ymd_opt(last_year, 12, 31).unwrap_or(NaiveDate::MIN);
        for customer_id in retention::over(&self.database, last_day, PAGE).await? {
            self.end(customer_id, &Cause::request(new_id(), WATCH)).await?;
        }
        Ok(())
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

    fn name(&self) -> &'static str {
        ERASURE
    }

    fn kind(&self) -> ReactionKind {
        ReactionKind::Policy
    }

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

/// Looks every hour, on every replica, for retentions that are over: they follow from the clock,
/// not from an event. Ending one twice changes nothing.
pub(crate) struct Watch {
    retentions: Retentions,
    state: watch::Sender<SubscriptionState>,
}

impl Watch {
    pub(crate) fn new(retentions: Retentions) -> Self {
        Self { retentions, state: watch::channel(SubscriptionState::Starting).0 }
    }
}

#[async_trait]
impl Subscription for Watch {
    fn name(&self) -> String {
        WATCH.to_owned()
    }

    fn state(&self) -> watch::Receiver<SubscriptionState> {
        self.state.subscribe()
    }

    async fn run(self: Box<Self>, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let state = match self.retentions.end_all().await {
                Ok(()) => SubscriptionState::Running,
                Err(error) => {
                    tracing::warn!(
                        subscription = WATCH,
                        error = &error as &dyn std::error::Error,
                        "retentions that are over could not be ended; trying again in an hour"
                    );
                    SubscriptionState::Interrupted(error.to_string())
                }
            };
            self.state.send_replace(state);
        }
    }
}
