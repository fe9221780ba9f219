//! Parked events: listing, replay and discarding.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use database::DatabaseError;
use kernel::checkpoint::{CheckpointError, ParkedEvent, SubscriptionStore as _};
use kernel::event::{EventFilter, Position, RecordedEvent};
use kernel::lease::LeaseStatus;
use kernel::store::ReadError;
use serde::Serialize;
use uuid::Uuid;

use super::{Catalogue, Located};

/// Maximum number of events per read.
const PAGE: usize = 500;

/// A parked event of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// Name of the subscription.
    pub subscription: String,
    /// Position of the event in the log.
    pub position: Position,
    /// Id of the event.
    pub event_id: Uuid,
    /// Ordering key: later events with the same key wait behind this one.
    pub key: String,
    /// Error of the last attempt.
    pub error: String,
    /// Number of attempts; 0 if it only waits behind another event.
    pub attempts: u32,
    /// Time of parking.
    pub parked_at: DateTime<Utc>,
    /// Whether a replay is requested and still outstanding.
    pub replay_requested: bool,
}

impl Parked {
    fn of(subscription: &str, event: ParkedEvent) -> Self {
        Self {
            subscription: subscription.to_owned(),
            position: event.position,
            event_id: event.event_id,
            key: event.key,
            error: event.error,
            attempts: event.attempts,
            parked_at: event.parked_at,
            replay_requested: event.replay_requested,
        }
    }
}

/// Outcome of the replay of a parked event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Replayed {
    /// The event was handled or discarded and is no longer parked.
    Handled,
    /// The replay failed.
    Failed {
        /// Error of the replay.
        error: String,
        /// Number of attempts so far.
        attempts: u32,
    },
    /// The replica that runs the subscription has not replayed it yet.
    Outstanding,
}

impl Catalogue {
    /// Returns up to `limit` parked events of all subscriptions or of one, ordered by name and position,
    /// starting after the given one.
    pub async fn parked(
        &self,
        of: Option<&str>,
        after: Option<(&str, Position)>,
        limit: usize,
    ) -> Result<Vec<Parked>, CheckpointError> {
        let mut parking = Vec::new();
        for module in &self.modules {
            let statuses = module.database.statuses().await?;
            // Parked events of a module that was handed over belong to the other service.
            let is_here = |lease: &LeaseStatus| !lease.handed_over;
            let statuses = statuses
                .into_iter()
                .filter(|status| status.parked > 0 && status.lease.as_ref().is_none_or(is_here));
            parking.extend(statuses.map(|status| (status.subscription, &module.database)));
        }
        parking.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut found = Vec::new();
        for (subscription, database) in parking {
            let is_wanted = of.is_none_or(|of| of == subscription);
            let after = match after {
                Some((last, _)) if *subscription < *last => continue,
                Some((last, position)) if subscription == last => position,
                _ => 0,
            };
            if is_wanted && found.len() < limit {
                let left = limit - found.len();
                let events = database.parked_events(&subscription, None, after, left).await?;
                found.extend(events.into_iter().map(|event| Parked::of(&subscription, event)));
            }
        }
        Ok(found)
    }

    /// Returns every parked event of one subscription.
    pub async fn all_parked(&self, of: &Located) -> Result<Vec<Parked>, CheckpointError> {
        let mut all: Vec<Parked> = Vec::new();
        loop {
            let after = all.last().map_or(0, |event| event.position);
            let page = of.database.parked_events(&of.subscription, None, after, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page.into_iter().map(|event| Parked::of(&of.subscription, event)));
        }
    }

    /// Returns the parked event from the log, if the log still has it at its position.
    pub async fn event_of(&self, parked: &Parked) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        let (log, after) = (&self.environment.store, parked.position.saturating_sub(1));
        let page = log.read_log(after, &EventFilter::all(), 1).await?;
        Ok(page.events.into_iter().next().filter(|event| event.id == parked.event_id))
    }
}

impl Located {
    /// Returns the reason why this process cannot decide on the parked events, if there is one: the
    /// module was handed over together with its parked events.
    pub async fn gone(&self) -> Result<Option<String>, DatabaseError> {
        let elsewhere = self.database.placement().await?.elsewhere;
        Ok(elsewhere
            .map(|to| format!("{} was handed over to {to}: run this there", self.subscription)))
    }

    /// Returns the parked event at a position.
    pub async fn parked_at(&self, position: Position) -> Result<Option<Parked>, CheckpointError> {
        let after = position.saturating_sub(1);
        let events = self.database.parked_events(&self.subscription, None, after, 1).await?;
        let event = events.into_iter().next().filter(|event| event.position == position);
        Ok(event.map(|event| Parked::of(&self.subscription, event)))
    }

    /// Returns the first positions that wait behind a parked event.
    pub async fn waiting_behind(
        &self,
        parked: &Parked,
        limit: usize,
    ) -> Result<Vec<Position>, CheckpointError> {
        let (key, after) = (Some(parked.key.as_str()), parked.position);
        let events = self.database.parked_events(&self.subscription, key, after, limit).await?;
        Ok(events.into_iter().map(|event| event.position).collect())
    }

    /// Returns the replica that runs the subscription now.
    pub async fn owner(&self) -> Result<Option<String>, CheckpointError> {
        let status = self.database.status(&self.subscription).await?;
        let lease = status.and_then(|status| status.lease).filter(|lease| !lease.expired);
        Ok(lease.map(|lease| lease.owner))
    }

    /// Returns the outcome of the replay of a parked event.
    pub async fn replayed(&self, position: Position) -> Result<Replayed, CheckpointError> {
        Ok(match self.parked_at(position).await? {
            None => Replayed::Handled,
            Some(Parked { replay_requested: true, .. }) => Replayed::Outstanding,
            Some(Parked { error, attempts, .. }) => Replayed::Failed { error, attempts },
        })
    }
}

/// Returns the position of the first parked event of each key: the others are replayed after it.
pub fn first_of_each_key(parked: &[Parked]) -> Vec<Position> {
    let mut keys = BTreeSet::new();
    parked.iter().filter(|event| keys.insert(&event.key)).map(|event| event.position).collect()
}
