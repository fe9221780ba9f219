//! The part of an erasure that concerns the whole system, besides the steps of the modules: every
//! process clears its memory, and the progress of the erasure can be queried.

use std::sync::Arc;
use std::time::Duration;

use customers_contract::{CustomerErased, CustomerId};
use database::Database;
use event_contract::Published as _;
use kernel::checkpoint::{CheckpointError, SubscriptionStore as _};
use kernel::codec::EventSet as _;
use kernel::event::{EventFilter, Position, RecordedEvent, StreamName};
use kernel::execution::Environment;
use kernel::keys::KeyHolder;
use kernel::outage::Outage;
use kernel::store::{EventStore, ReadError};
use kernel::subscription::{Delivery, LogReader};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::system::participants::{CUSTOMER, RETENTION_ENDED};

kernel::event_set! {
    /// The event that erases a customer.
    pub enum ErasureEvent { Erased(CustomerErased) }
}

/// Returns the position of a customer's erasure. No event is recorded for the customer after it.
pub async fn erased_at(
    environment: &Environment,
    customer_id: CustomerId,
) -> Result<Option<Position>, ReadError> {
    let stream = StreamName::of(CUSTOMER, customer_id);
    let last = environment.store.read_last(&stream).await?;
    let erased = last.filter(|event| ErasureEvent::reads(&event.event_type));
    Ok(erased.map(|event| event.position))
}

/// Interval between checks for work that another process may do.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Maximum time to wait for the destruction of keys. After that time the memory no longer holds anything
/// that it held at the time of the event.
const PATIENCE: Duration = Duration::from_secs(60);

static EVENTS_UNREADABLE: Outage =
    Outage::new("erasure_events_unread", "cannot read erasure events");
static KEYS_UNREADABLE: Outage =
    Outage::new("destroyed_keys_unread", "cannot read whether a key is destroyed");

/// Clears the memory of this process whenever a process destroys keys. Every process does this for
/// itself, from the current end of the log on.
pub async fn forget_what_is_erased(environment: Environment, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow(&environment) => {}
    }
}

async fn follow(environment: &Environment) {
    let from_now = || {
        let store = Arc::clone(&environment.store);
        let after = *store.watch_head().borrow();
        LogReader::new(store, after, endings())
    };
    let mut reader = from_now();
    let mut pauses = kernel::backoff::endless(BETWEEN_LOOKS, Duration::from_secs(10));
    loop {
        match reader.next().await {
            Ok(Delivery::CaughtUp(_)) => EVENTS_UNREADABLE.ends("erasures"),
            Ok(Delivery::Event(event)) => {
                EVENTS_UNREADABLE.ends("erasures");
                environment.forget_memory();
                if let Some(holder) = holder(&event)
                    && tokio::time::timeout(PATIENCE, destroyed(environment, &holder)).await.is_ok()
                {
                    // Clears what was read between the event and the destruction.
                    environment.forget_memory();
                }
            }
            Err(ReadError::WentBack) => {
                environment.forget_memory();
                reader = from_now();
            }
            Err(error) => {
                EVENTS_UNREADABLE.occurs("erasures", &error);
                tokio::time::sleep(pauses.next().unwrap_or(PATIENCE)).await;
            }
        }
    }
}

/// Returns the filter of the events after which keys are destroyed.
fn endings() -> EventFilter {
    EventFilter::families_of([CustomerErased::TYPE, RETENTION_ENDED])
}

/// Returns the key that an event destroys: if there are several, that of the event's module.
fn holder(event: &RecordedEvent) -> Option<KeyHolder> {
    let purpose = event.event_type.as_str().split('.').next()?.to_owned();
    Some(KeyHolder { subject: event.stream.id()?, purpose })
}

async fn destroyed(environment: &Environment, holder: &KeyHolder) {
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    let mut outage = KEYS_UNREADABLE.met_by(format!("{} {}", holder.purpose, holder.subject));
    loop {
        looks.tick().await;
        match environment.codec.is_key_destroyed(holder).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => outage.occurs(&error),
        }
    }
}

/// A step that a subscription takes after an event, and the location of its checkpoint.
#[derive(Clone, Copy)]
pub struct Step<'s> {
    /// The subscription that takes the step.
    pub subscription: &'static str,
    /// The database with the subscription's checkpoint.
    pub database: &'s Database,
    /// Position of the event.
    pub position: Position,
}

/// Error of a query for the progress of a step.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The log is unavailable.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A module's database is unavailable.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Waits until the steps are taken or the deadline passes. Returns the subscriptions that have not taken
/// theirs. A checkpoint of another log, or of a later state of this log, does not count: it does not
/// refer to the event that is at the position now.
pub async fn not_taken(
    log: &dyn EventStore,
    steps: Vec<Step<'_>>,
    deadline: Instant,
) -> Result<Vec<&'static str>, StepError> {
    let mut left = steps;
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    loop {
        looks.tick().await;
        let mut waiting = Vec::new();
        for step in left {
            let is_taken = match step.database.checkpoint(step.subscription).await? {
                Some(checkpoint) if checkpoint.position >= step.position => {
                    checkpoint.is_of(log).await?
                }
                _ => false,
            };
            if !is_taken {
                waiting.push(step);
            }
        }
        left = waiting;
        if left.is_empty() || Instant::now() >= deadline {
            return Ok(left.into_iter().map(|step| step.subscription).collect());
        }
    }
}

/// Returns the subscriptions of a database that have parked the event at a position.
pub async fn parked_by(
    database: &Database,
    position: Position,
) -> Result<Vec<String>, CheckpointError> {
    let mut parked = Vec::new();
    for status in database.statuses().await? {
        let (name, before) = (status.subscription, position.saturating_sub(1));
        let next = database.parked_events(&name, None, before, 1).await?;
        if next.first().is_some_and(|event| event.position == position) {
            parked.push(name);
        }
    }
    Ok(parked)
}
