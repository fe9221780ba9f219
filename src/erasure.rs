//! What an erasure needs of the whole system, beside what every module does about it: capture takes
//! the person out of the mirror, every process forgets what it has in memory, and what the law has
//! billing retain ends some day.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use billing::BillingSettings;
use capture::Import;
use customers_contract::CustomerErased;
use database::Database;
use event_contract::Published as _;
use http::Module;
use kernel::checkpoint::{CheckpointError, SubscriptionStore as _};
use kernel::codec::Envelope;
use kernel::description::ModuleDescription;
use kernel::event::{EventFilter, Position, RecordedEvent};
use kernel::execution::{Cause, Environment};
use kernel::keys::{KeyHolder, SecretKey};
use kernel::reaction::{Reaction, ReactionError, ReactionKind, ReactionRunner};
use kernel::store::{EventStore, ReadError};
use kernel::subscription::{Delivery, LogReader};
use kernel::sync::LegacyAggregate;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the mirror's database and its subscriptions go by, among the modules.
pub const CAPTURE: &str = "capture";
/// The policy that takes people out of the mirror.
pub const CAPTURE_ERASURE: &str = "capture.erasure";

kernel::event_set! {
    /// Who was erased.
    enum ErasureEvent { Erased(CustomerErased) }
}

/// Takes erased customers out of the mirror.
struct CaptureErasure {
    database: Database,
    key: SecretKey,
}

#[async_trait]
impl Reaction for CaptureErasure {
    type Event = ErasureEvent;

    const NAME: &'static str = CAPTURE_ERASURE;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    /// All in one order: each of them goes through whole tables.
    fn key(&self, _: &RecordedEvent) -> String {
        CAPTURE_ERASURE.to_owned()
    }

    async fn react(&self, event: &Envelope<ErasureEvent>, _: Cause) -> Result<(), ReactionError> {
        let ErasureEvent::Erased(customer) = &event.event;
        let Some(legacy) = &customer.legacy else { return Ok(()) };
        let command = customers::domain::CustomerDecider::COMMAND;
        Ok(capture::erase(&self.database, &self.key, command, legacy).await?)
    }
}

/// What capture is, as if it were a module: it publishes nothing and listens for erasures.
pub fn describe_capture() -> ModuleDescription {
    ModuleDescription::new(
        CAPTURE,
        "What was captured from a legacy database: the mirror of its rows, and how far imports are.",
    )
    .reacts::<CaptureErasure>()
    .keeps(Import::tables())
}

/// The mirror's database with what goes on in it, as if it were a module without routes.
pub async fn open_capture(
    environment: &Environment,
    url: &str,
    key: SecretKey,
) -> anyhow::Result<Module> {
    let database = Import::open_database(url).await.context("the mirror cannot be opened")?;
    let erasure = CaptureErasure { database: database.clone(), key };
    let erasure = ReactionRunner::new(erasure, environment.clone(), database.clone());
    Ok(Module {
        name: CAPTURE,
        configure: Arc::new(|_| {}),
        subscriptions: vec![Box::new(erasure)],
        sync_targets: Vec::new(),
        projections: Vec::new(),
        read_models: Vec::new(),
        database,
    })
}

/// How often it is looked whether something is done that another process may do.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Waits until every customer who is erased by now is out of the mirror.
pub async fn capture_caught_up(environment: &Environment, mirror: &Database) -> anyhow::Result<()> {
    let head = environment.store.head().await?;
    let erased = EventFilter::families_of([CustomerErased::TYPE]);
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    loop {
        looks.tick().await;
        let checkpoint = mirror.checkpoint(CAPTURE_ERASURE).await?;
        let mut at = checkpoint.map_or(0, |checkpoint| checkpoint.position);
        while at < head {
            let page = environment.store.read_log(at, &erased, 1).await?;
            if !page.events.is_empty() || page.scanned_to <= at {
                break;
            }
            at = page.scanned_to;
        }
        if at >= head {
            return Ok(());
        }
    }
}

/// For how long it is waited that keys are destroyed. By then nothing is in memory any more that was
/// there at the time of the event.
const PATIENCE: Duration = Duration::from_secs(60);

/// Forgets what this process has in memory whenever keys were destroyed, whichever process did it.
/// Every process does this for itself, from the present end of the log on.
pub async fn forget_what_is_erased(environment: Environment, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow(&environment) => {}
    }
}

async fn follow(environment: &Environment) {
    let store = Arc::clone(&environment.store);
    let after = *store.watch_head().borrow();
    let mut reader = LogReader::new(store, after, endings());
    let mut pauses = kernel::backoff::endless(BETWEEN_LOOKS, Duration::from_secs(10));
    loop {
        match reader.next().await {
            Ok(Delivery::CaughtUp(_)) => {}
            Ok(Delivery::Event(event)) => {
                environment.forget_memory();
                if let Some(holder) = holder(&event)
                    && tokio::time::timeout(PATIENCE, destroyed(environment, &holder)).await.is_ok()
                {
                    // What was read between the event and the destruction.
                    environment.forget_memory();
                }
            }
            Err(error) => {
                let pause = pauses.next().unwrap_or(PATIENCE);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "erasures cannot be heard of; trying again in {pause:?}"
                );
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// The events after which keys are destroyed.
fn endings() -> EventFilter {
    use billing::domain::retention::RetentionEnded;
    EventFilter::families_of([CustomerErased::TYPE, RetentionEnded::TYPE])
}

/// A key that goes with an event: of several the one of the module whose event it is.
fn holder(event: &RecordedEvent) -> Option<KeyHolder> {
    let purpose = event.event_type.as_str().split('.').next()?.to_owned();
    Some(KeyHolder { subject: event.stream.id()?, purpose })
}

async fn destroyed(environment: &Environment, holder: &KeyHolder) {
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    loop {
        looks.tick().await;
        match environment.codec.is_key_destroyed(holder).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "whether a key is destroyed cannot be told"
                );
            }
        }
    }
}

/// How often it is looked for documents that need not be retained any more. That changes with the
/// year.
const LOOK_FOR_ENDED_EVERY: Duration = Duration::from_secs(3600);
/// How soon again when that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// Lets billing see now and then what need not be retained any more.
pub async fn end_retentions(
    environment: Environment,
    database: Database,
    settings: BillingSettings,
    shutdown: CancellationToken,
) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let (environment, database) = (environment.clone(), database.clone());
        let ended = billing::retention::end_all_over(environment, database, settings.clone());
        pause = match ended.await {
            Ok(()) => LOOK_FOR_ENDED_EVERY,
            Err(error) => {
                tracing::warn!(
                    error = &*error as &dyn std::error::Error,
                    "what need not be retained any more could not be ended; trying again"
                );
                AGAIN
            }
        };
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
