//! A parked event as stored beside the checkpoint.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::event::{Position, RecordedEvent};
use crate::log::outage::with_sources;

/// An event that was parked because it could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedEvent {
    /// Position in the log.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// The ordering key: later events of the same key wait behind this one.
    pub key: String,
    /// The error of the last attempt. Never contains personal data.
    pub error: String,
    /// Number of attempts; 0 if it only waits behind another event.
    pub attempts: u32,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
    /// Whether a retry was requested and not yet made.
    pub replay_requested: bool,
}

impl ParkedEvent {
    /// Creates the parked form of an event whose handling failed.
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

    /// Creates the parked form of an event that waits behind a parked one of its key.
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

    /// Returns the parked event after another failed attempt.
    pub(crate) fn failed_again(
        self,
        error: &(dyn std::error::Error + 'static),
        attempts: u32,
    ) -> Self {
        let attempts = self.attempts.saturating_add(attempts);
        Self { error: with_sources(error), attempts, replay_requested: false, ..self }
    }

    /// Reports the event in the log and the metrics.
    pub(crate) fn announce(&self, subscription: &str) {
        tracing::error!(
            subscription,
            position = self.position,
            event_id = %self.event_id,
            attempts = self.attempts,
            error = self.error,
            "an event cannot be handled and was parked"
        );
        metrics::counter!("parked_events_total", "subscription" => subscription.to_owned())
            .increment(1);
    }
}
