//! Since when a subscription's oldest event has been waiting for its turn.
//!
//! An event waits for its turn from when it was recorded until its handling begins, as long as only
//! the system's own work delays it. An event in handling does not wait for its turn, whatever it
//! waits for: a provider, a deadline, the pause before a retry. Neither does a parked event, an
//! event behind a parked one, or an event of a subscription that does not run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// The value while no event waits.
const NOTHING: i64 = i64::MIN;

/// Since when the oldest event of a policy or reactor has been waiting for its turn. Clones share
/// the value.
#[derive(Debug, Clone)]
pub struct Backlog(Arc<AtomicI64>);

impl Default for Backlog {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NOTHING)))
    }
}

impl Backlog {
    /// Returns since when an event has been waiting, `None` if none waits.
    pub fn waiting_since(&self) -> Option<DateTime<Utc>> {
        match self.0.load(Ordering::Relaxed) {
            NOTHING => None,
            milliseconds => DateTime::from_timestamp_millis(milliseconds),
        }
    }

    pub(crate) fn set(&self, waiting_since: Option<DateTime<Utc>>) {
        let milliseconds = waiting_since.map_or(NOTHING, |since| since.timestamp_millis());
        self.0.store(milliseconds, Ordering::Relaxed);
    }
}
