//! Events that could not be handled are set aside, and later ones of the same key wait behind them.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkpoint::{CheckpointError, SubscriptionStore};
use crate::event::{EventFilter, Position, RecordedEvent};
use crate::execution::Environment;
use crate::outage::with_sources;
use crate::store::{BoxError, ReadError};

/// An event that was set aside because it could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedEvent {
    /// Where it stands in the log.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// What it was in order with: later events of the same key wait behind it.
    pub key: String,
    /// Why it could not be handled, the last time. Never holds personal data.
    pub error: String,
    /// How often it was tried; 0 when it only waits behind another.
    pub attempts: u32,
    /// When it was set aside.
    pub parked_at: DateTime<Utc>,
    /// Whether somebody asked for it to be tried again, and it was not yet.
    pub replay_requested: bool,
}

impl ParkedEvent {
    /// An event that could not be handled.
    pub(crate) fn failed(
        event: &RecordedEvent,
        key: &str,
        error: &(dyn std::error::Error + 'static),
        attempts: u32,
        parked_at: DateTime<Utc>,
    ) -> Self {
        Self {
            position: event.position,
            event_id: event.id,
            key: key.to_owned(),
            error: with_sources(error),
            attempts,
            parked_at,
            replay_requested: false,
        }
    }

    /// An event that waits behind a parked one of its key.
    pub(crate) fn waiting(event: &RecordedEvent, key: &str, parked_at: DateTime<Utc>) -> Self {
        Self {
            position: event.position,
            event_id: event.id,
            key: key.to_owned(),
            error: "waits behind a parked event of the same key".to_owned(),
            attempts: 0,
            parked_at,
            replay_requested: false,
        }
    }

    /// The same event after it failed once more.
    pub(crate) fn failed_again(
        self,
        error: &(dyn std::error::Error + 'static),
        attempts: u32,
    ) -> Self {
        let attempts = self.attempts.saturating_add(attempts);
        Self { error: with_sources(error), attempts, replay_requested: false, ..self }
    }

    /// Says so in the log and in the metrics.
    pub(crate) fn announce(&self, subscription: &str) {
        tracing::error!(
            subscription,
            position = self.position,
            event_id = %self.event_id,
            attempts = self.attempts,
            error = self.error,
            "an event could not be handled and was parked"
        );
        metrics::counter!("parked_events_total", "subscription" => subscription.to_owned())
            .increment(1);
    }
}

/// The keys that have parked events.
#[derive(Debug, Default)]
pub(crate) struct ParkedKeys(HashSet<String>);

impl ParkedKeys {
    /// Those that a subscription has now.
    pub(crate) async fn load<S: SubscriptionStore>(
        store: &S,
        subscription: &str,
    ) -> Result<Self, CheckpointError> {
        Ok(Self(store.parked_keys(subscription).await?.into_iter().collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn holds(&self, key: &str) -> bool {
        !self.0.is_empty() && self.0.contains(key)
    }

    pub(crate) fn add(&mut self, key: &str) {
        self.0.insert(key.to_owned());
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }
}

/// The first parked event of a key.
pub(crate) async fn first_of_key<S: SubscriptionStore>(
    store: &S,
    subscription: &str,
    key: &str,
) -> Result<Option<ParkedEvent>, CheckpointError> {
    Ok(store.parked_events(subscription, Some(key), 0, 1).await?.pop())
}

/// The log has another event where a parked one stood, or none.
#[derive(Debug, thiserror::Error)]
#[error("event {event_id} no longer stands at position {position} of the log")]
pub(crate) struct Gone {
    event_id: Uuid,
    position: Position,
}

/// The event as it stands in the log.
pub(crate) async fn recorded(
    environment: &Environment,
    parked: &ParkedEvent,
) -> Result<Result<Arc<RecordedEvent>, Gone>, ReadError> {
    let after = parked.position.saturating_sub(1);
    let mut page = environment.store.read_log(after, &EventFilter::all(), 1).await?;
    let found = page.events.pop().filter(|event| event.id == parked.event_id);
    Ok(found.ok_or(Gone { event_id: parked.event_id, position: parked.position }))
}

/// What a failure comes to: an interruption when the database itself fails, else something that is
/// wrong with the event.
pub(crate) fn unless_unavailable<S: SubscriptionStore>(
    error: BoxError,
) -> Result<BoxError, CheckpointError> {
    match error.downcast::<CheckpointError>() {
        Ok(error) => Err(*error),
        Err(error) if S::is_unavailable(&error) => Err(CheckpointError::Unavailable(error)),
        Err(error) => Ok(error),
    }
}
