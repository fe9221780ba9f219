//! An event that was set aside, as it is kept beside the checkpoint.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::event::{Position, RecordedEvent};
use crate::log::outage::with_sources;

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
