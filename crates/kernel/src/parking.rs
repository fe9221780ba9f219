//! Events that could not be handled are set aside, and later ones of the same key wait behind them.

use std::collections::HashSet;

use crate::checkpoint::ParkedEvent;
use crate::event::RecordedEvent;
use crate::store::BoxError;

/// The keys that have parked events.
#[derive(Debug, Default)]
pub(crate) struct ParkedKeys(HashSet<String>);

impl ParkedKeys {
    pub(crate) fn new(keys: Vec<String>) -> Self {
        Self(keys.into_iter().collect())
    }

    pub(crate) fn holds(&self, key: &str) -> bool {
        self.0.contains(key)
    }

    pub(crate) fn add(&mut self, key: &str) {
        self.0.insert(key.to_owned());
    }
}

/// An error's text, followed by the texts of what caused it.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

impl ParkedEvent {
    /// An event that could not be handled.
    pub(crate) fn failed(
        event: &RecordedEvent,
        key: &str,
        error: &BoxError,
        attempts: u32,
    ) -> Self {
        Self {
            position: event.position,
            event_id: event.id,
            key: key.to_owned(),
            error: with_sources(&**error),
            attempts,
        }
    }

    /// An event that waits behind a parked one of its key.
    pub(crate) fn waiting(event: &RecordedEvent, key: &str) -> Self {
        Self {
            position: event.position,
            event_id: event.id,
            key: key.to_owned(),
            error: "waits behind a parked event of the same key".to_owned(),
            attempts: 0,
        }
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
