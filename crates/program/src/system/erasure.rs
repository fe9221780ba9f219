//! What an erasure needs of the whole system, beside what every module does about it: every process
//! forgets what it has in memory, and whoever asks is told how far it is.

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
    /// Who was erased.
    pub enum ErasureEvent { Erased(CustomerErased) }
}

/// Where in the log a customer's erasure stands: nothing is recorded of the customer after it.
pub async fn erased_at(
    environment: &Environment,
    customer_id: CustomerId,
) -> Result<Option<Position>, ReadError> {
    let stream = StreamName::of(CUSTOMER, customer_id);
    let last = environment.store.read_last(&stream).await?;
    let erased = last.filter(|event| ErasureEvent::reads(&event.event_type));
    Ok(erased.map(|event| event.position))
}

/// How often it is looked whether something is done that another process may do.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// For how long it is waited that keys are destroyed. By then nothing is in memory any more that was
/// there at the time of the event.
const PATIENCE: Duration = Duration::from_secs(60);

static UNHEARD: Outage = Outage::new("erasure events cannot be read");
static UNTOLD: Outage = Outage::new("it cannot be read whether a key is destroyed");

/// Forgets what this process has in memory whenever keys were destroyed, whichever process did it.
/// Every process does this for itself, from the present end of the log on.
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
            Ok(Delivery::CaughtUp(_)) => UNHEARD.ends("erasures"),
            Ok(Delivery::Event(event)) => {
                UNHEARD.ends("erasures");
                environment.forget_memory();
                if let Some(holder) = holder(&event)
                    && tokio::time::timeout(PATIENCE, destroyed(environment, &holder)).await.is_ok()
                {
                    // What was read between the event and the destruction.
                    environment.forget_memory();
                }
            }
            Err(ReadError::WentBack) => {
                environment.forget_memory();
                reader = from_now();
            }
            Err(error) => {
                UNHEARD.occurs("erasures", &error);
                tokio::time::sleep(pauses.next().unwrap_or(PATIENCE)).await;
            }
        }
    }
}

/// The events after which keys are destroyed.
fn endings() -> EventFilter {
    EventFilter::families_of([CustomerErased::TYPE, RETENTION_ENDED])
}

/// A key that goes with an event: of several the one of the module whose event it is.
fn holder(event: &RecordedEvent) -> Option<KeyHolder> {
    let purpose = event.event_type.as_str().split('.').next()?.to_owned();
    Some(KeyHolder { subject: event.stream.id()?, purpose })
}

async fn destroyed(environment: &Environment, holder: &KeyHolder) {
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    let mut untold = UNTOLD.met_by(format!("{} {}", holder.purpose, holder.subject));
    loop {
        looks.tick().await;
        match environment.codec.is_key_destroyed(holder).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => untold.occurs(&error),
        }
    }
}

/// A step that follows from an event, and where its checkpoint is.
#[derive(Clone, Copy)]
pub struct Step<'s> {
    /// The subscription that takes it.
    pub subscription: &'static str,
    /// The database with its checkpoint.
    pub database: &'s Database,
    /// Where the event stands.
    pub position: Position,
}

/// Why it cannot be told whether a step was taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The log does not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A module's database does not answer.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Waits until steps are taken, for a while; those that are not. A checkpoint of another log, or of
/// a later state of this one, says nothing of the event that stands there now.
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

/// The subscriptions of a database that have set the event at a position aside.
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
