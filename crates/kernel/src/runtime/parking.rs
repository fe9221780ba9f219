//! Parks events that cannot be handled; later events of the same key wait behind them.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::authoring::checkpoint::{CheckpointError, ParkedEvent, SubscriptionStore};
use crate::authoring::execution::Environment;
use crate::log::event::{EventFilter, Position, RecordedEvent};
use crate::log::store::{BoxError, ReadError};

/// The keys that have parked events.
#[derive(Debug, Default)]
pub(super) struct ParkedKeys(HashSet<String>);

impl ParkedKeys {
    /// Loads the current keys of a subscription.
    pub(super) async fn load<S: SubscriptionStore>(
        store: &S,
        subscription: &str,
    ) -> Result<Self, CheckpointError> {
        Ok(Self(store.parked_keys(subscription).await?.into_iter().collect()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn holds(&self, key: &str) -> bool {
        !self.0.is_empty() && self.0.contains(key)
    }

    pub(super) fn add(&mut self, key: &str) {
        self.0.insert(key.to_owned());
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }
}

/// Returns the first parked event of a key.
pub(super) async fn first_of_key<S: SubscriptionStore>(
    store: &S,
    subscription: &str,
    key: &str,
) -> Result<Option<ParkedEvent>, CheckpointError> {
    Ok(store.parked_events(subscription, Some(key), 0, 1).await?.pop())
}

/// The log holds another event, or none, at the position of a parked event.
#[derive(Debug, thiserror::Error)]
#[error("event {event_id} is no longer at position {position} of the log")]
pub(super) struct Gone {
    event_id: Uuid,
    position: Position,
}

/// Reads the event from the log.
pub(super) async fn recorded(
    environment: &Environment,
    parked: &ParkedEvent,
) -> Result<Result<Arc<RecordedEvent>, Gone>, ReadError> {
    let after = parked.position.saturating_sub(1);
    let mut page = environment.store.read_log(after, &EventFilter::all(), 1).await?;
    let found = page.events.pop().filter(|event| event.id == parked.event_id);
    Ok(found.ok_or(Gone { event_id: parked.event_id, position: parked.position }))
}

/// Classifies a failure: an interruption if the database itself fails, otherwise an error of the
/// event.
pub(super) fn unless_unavailable<S: SubscriptionStore>(
    error: BoxError,
) -> Result<BoxError, CheckpointError> {
    match error.downcast::<CheckpointError>() {
        Ok(error) => Err(*error),
        Err(error) if S::is_unavailable(&error) => Err(CheckpointError::Unavailable(error)),
        Err(error) => Ok(error),
    }
}
