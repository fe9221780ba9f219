//! Handles one event and retries while a dependency is unavailable.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::authoring::execution::{Cause, Environment};
use crate::authoring::reaction::{Reaction, ReactionError};
use crate::log::backoff;
use crate::log::event::RecordedEvent;
use crate::log::outage::Outage;
use crate::log::store::BoxError;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Reactions that fail temporarily, reported per event.
static FAILING: Outage = Outage::new("reactions_retried", "reactions fail and are retried");

/// Why this replica cannot handle an event.
pub(super) enum Failure {
    /// Retrying does not help; the number of attempts made.
    Permanent(BoxError, u32),
    /// A replica of a newer release must handle the event.
    NewerRelease(BoxError),
}

/// Counts the events in progress that have failed before: they wait for an unavailable dependency.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<AtomicUsize>);

impl Held {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts an event until it is finished or abandoned.
    fn hold(&self) -> HeldEvent {
        self.0.fetch_add(1, Ordering::Relaxed);
        HeldEvent(Arc::clone(&self.0))
    }
}

struct HeldEvent(Arc<AtomicUsize>);

impl Drop for HeldEvent {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Handles one event.
pub(super) async fn handle<R: Reaction>(
    reaction: &R,
    environment: &Environment,
    event: &Arc<RecordedEvent>,
    held: &Held,
) -> Result<(), Failure> {
    let mut held_event = None;
    let mut pauses = backoff::endless(FIRST_PAUSE, LONGEST_PAUSE);
    let mut attempts = 0;
    let mut failing = FAILING.met_by(format!("{} at position {}", R::NAME, event.position));
    loop {
        attempts += 1;
        let outcome = match environment.codec.decode(Arc::clone(event)).await {
            Ok(envelope) => {
                let cause = Cause::reaction(event, R::NAME);
                reaction.react(&envelope, cause).await
            }
            Err(error) => Err(error.into()),
        };
        let error = match outcome {
            Ok(()) => return Ok(()),
            Err(ReactionError::Permanent(error)) => {
                return Err(Failure::Permanent(error, attempts));
            }
            Err(ReactionError::NewerRelease(error)) => return Err(Failure::NewerRelease(error)),
            Err(ReactionError::Transient(error)) => error,
        };
        metrics::counter!("reaction_failures_total", "subscription" => R::NAME).increment(1);
        held_event.get_or_insert_with(|| held.hold());
        failing.occurs(&*error);
        tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
    }
}
