//! Policies and reactors: what a module does when events happen.
//!
//! A *policy* turns others' events into this module's own commands; a *reactor* makes outside
//! calls. Both handle events in order per key, several keys at once, and keep their checkpoint at
//! the lowest unfinished event: after a crash some events are handled again, and reaction ids and
//! idempotency keys make that change nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backoff;
use crate::checkpoint::{CheckpointError, ParkedEvent, SubscriptionStore};
use crate::codec::{CodecError, Envelope, EventSet};
use crate::event::{EventFilter, Position, RecordedEvent};
use crate::execution::{Cause, Environment, ExecuteError};
use crate::parking::ParkedKeys;
use crate::store::BoxError;
use crate::subscription::{LogReader, Subscription, SubscriptionState};
use crate::supervision::{Interruption, Supervisor, checkpoint_at, checkpoint_of_this_log};

/// Why a reaction did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ReactionError {
    /// Something is out of reach now: tried again until it works.
    #[error("{0}")]
    Transient(#[source] BoxError),
    /// It will not work next time either: the event is parked.
    #[error("{0}")]
    Permanent(#[source] BoxError),
}

impl<R: std::error::Error + Send + Sync + 'static> From<ExecuteError<R>> for ReactionError {
    fn from(error: ExecuteError<R>) -> Self {
        if error.is_transient() {
            Self::Transient(error.into())
        } else {
            Self::Permanent(error.into())
        }
    }
}

/// Ends a reaction with what became of its command. A refusal that `expected` explains is an outcome
/// like any other; every other failure is for the runtime: tried again, or parked.
pub fn settle<T, R: std::error::Error + Send + Sync + 'static>(
    outcome: Result<T, ExecuteError<R>>,
    expected: impl FnOnce(&R) -> Option<&'static str>,
) -> Result<(), ReactionError> {
    let Err(error) = outcome else {
        return Ok(());
    };
    if let ExecuteError::Refused(refusal) = &error
        && let Some(why) = expected(refusal)
    {
        tracing::debug!(%refusal, why, "nothing to do");
        return Ok(());
    }
    Err(error.into())
}

/// What a module does when events happen.
#[async_trait]
pub trait Reaction: Send + Sync + 'static {
    /// The events it reacts to.
    type Event: EventSet;

    /// `<module>.<what it does>`. It seeds the ids of the events that follow: once stored it is a
    /// storage format and never changes.
    fn name(&self) -> &'static str;

    /// Whether it makes outside calls.
    fn kind(&self) -> ReactionKind;

    /// What an event is in order with: its stream, unless declared otherwise.
    fn key(&self, event: &RecordedEvent) -> String {
        event.stream.as_str().to_owned()
    }

    /// Reacts to one event. May be called again for the same event; commands carried out with
    /// `cause` are then recognised.
    async fn react(&self, event: &Envelope<Self::Event>, cause: Cause)
    -> Result<(), ReactionError>;
}

/// Policy or reactor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReactionKind {
    /// Gives commands to its own module.
    Policy,
    /// Makes outside calls, which may take long: many may be waiting at once. It bounds by itself
    /// how many calls are under way.
    Reactor,
}

impl ReactionKind {
    /// How many events may be unfinished at once.
    fn window(self) -> usize {
        match self {
            Self::Policy => 64,
            Self::Reactor => 10_000,
        }
    }
}

const PAGE: usize = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A checkpoint that lags only repeats work, so it need not move at every event.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(250);

/// A policy or reactor at work.
pub struct ReactionRunner<R: Reaction, S: SubscriptionStore> {
    reaction: Arc<R>,
    environment: Environment,
    store: S,
    supervisor: Supervisor,
}

impl<R: Reaction, S: SubscriptionStore> ReactionRunner<R, S> {
    /// A runner that keeps its checkpoint in `store`.
    pub fn new(reaction: R, environment: Environment, store: S) -> Self {
        Self { reaction: Arc::new(reaction), environment, store, supervisor: Supervisor::new() }
    }
}

#[async_trait]
impl<R: Reaction, S: SubscriptionStore> Subscription for ReactionRunner<R, S> {
    fn name(&self) -> String {
        self.reaction.name().to_owned()
    }

    fn state(&self) -> watch::Receiver<SubscriptionState> {
        self.supervisor.state()
    }

    async fn run(mut self: Box<Self>, shutdown: CancellationToken) {
        let name = self.reaction.name();
        loop {
            let mut run = Run::<R, S>::new(name);
            let Err(interruption) = tokio::select! {
                () = shutdown.cancelled() => {
                    // What is unfinished is handled again after the next start.
                    if let Err(error) = self.save(&mut run).await {
                        tracing::warn!(subscription = name, error = &error as &dyn std::error::Error,
                            "the checkpoint could not be saved; some events will be handled again");
                    }
                    return;
                }
                outcome = self.follow(&mut run) => outcome,
            };
            if !self.supervisor.goes_on_after(name, &interruption, &shutdown).await {
                return;
            }
        }
    }
}

/// What one task reports when an event is finished.
struct Finished {
    event: Arc<RecordedEvent>,
    key: String,
    failure: Option<(BoxError, u32)>,
}

/// The state of one run over the log.
struct Run<R, S> {
    name: &'static str,
    tasks: JoinSet<Finished>,
    /// Unfinished events by position.
    unfinished: BTreeMap<Position, Uuid>,
    /// Events waiting behind one of the same key. A key that is present has a task.
    waiting: HashMap<String, VecDeque<Arc<RecordedEvent>>>,
    parked: ParkedKeys,
    scanned_to: Position,
    stored: Option<Position>,
    loaded: bool,
    _of: PhantomData<(R, S)>,
}

impl<R, S> Run<R, S> {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            tasks: JoinSet::new(),
            unfinished: BTreeMap::new(),
            waiting: HashMap::new(),
            parked: ParkedKeys::default(),
            scanned_to: 0,
            stored: None,
            loaded: false,
            _of: PhantomData,
        }
    }

    /// Everything up to here is finished.
    fn finished_to(&self) -> Position {
        self.unfinished.keys().next().map_or(self.scanned_to, |lowest| lowest - 1)
    }
}

impl<R: Reaction, S: SubscriptionStore> ReactionRunner<R, S> {
    async fn follow(&mut self, run: &mut Run<R, S>) -> Result<Infallible, Interruption> {
        let checkpoint = checkpoint_of_this_log(&self.environment, &self.store, run.name).await?;
        run.stored = checkpoint.map(|checkpoint| checkpoint.position);
        run.scanned_to = run.stored.unwrap_or(0);
        run.parked = ParkedKeys::new(self.store.parked_keys(run.name).await?);
        run.loaded = true;
        let filter = EventFilter::families_of(R::Event::types());
        let log = Arc::clone(&self.environment.store);
        let mut reader = LogReader::new(log, run.scanned_to, filter);
        let mut saving = tokio::time::interval(CHECKPOINT_EVERY);
        saving.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let window = self.reaction.kind().window();
        loop {
            let room = window.saturating_sub(run.unfinished.len());
            if room > 0 {
                let page = reader.page(room.min(PAGE)).await?;
                for event in page.events {
                    self.take(run, event).await?;
                }
                let grew = page.scanned_to > run.scanned_to;
                run.scanned_to = page.scanned_to;
                self.report_lag(run);
                self.supervisor.running();
                if grew {
                    continue;
                }
            }
            tokio::select! {
                Some(finished) = run.tasks.join_next(), if !run.tasks.is_empty() => {
                    self.finish(run, finished).await?;
                }
                () = reader.wait(), if room > 0 => {}
                _ = saving.tick(), if run.stored.unwrap_or(0) < run.finished_to() => {
                    self.save(run).await?;
                }
            }
        }
    }

    /// Starts handling an event, or queues it behind an earlier one of its key.
    async fn take(
        &self,
        run: &mut Run<R, S>,
        event: Arc<RecordedEvent>,
    ) -> Result<(), Interruption> {
        let key = self.reaction.key(&event);
        if run.parked.holds(&key) {
            return self.park(run, ParkedEvent::waiting(&event, &key)).await;
        }
        run.unfinished.insert(event.position, event.id);
        match run.waiting.get_mut(&key) {
            Some(queue) => queue.push_back(event),
            None => {
                run.waiting.insert(key.clone(), VecDeque::new());
                self.start(run, event, key);
            }
        }
        Ok(())
    }

    fn start(&self, run: &mut Run<R, S>, event: Arc<RecordedEvent>, key: String) {
        let reaction = Arc::clone(&self.reaction);
        let environment = self.environment.clone();
        run.tasks.spawn(async move {
            let failure = handle(&*reaction, &environment, &event).await.err();
            Finished { event, key, failure }
        });
    }

    async fn finish(
        &self,
        run: &mut Run<R, S>,
        finished: Result<Finished, tokio::task::JoinError>,
    ) -> Result<(), Interruption> {
        let Finished { event, key, failure } = match finished {
            Ok(finished) => finished,
            // A panic in a handler: begin again from the checkpoint, with a pause, loudly.
            Err(error) => {
                tracing::error!(subscription = run.name, %error, "a reaction panicked");
                return Err(CheckpointError::Unavailable(error.into()).into());
            }
        };
        if let Some((error, attempts)) = failure {
            let parked = ParkedEvent::failed(&event, &key, &error, attempts);
            parked.announce(run.name);
            self.park(run, parked).await?;
            run.parked.add(&key);
            for behind in run.waiting.remove(&key).unwrap_or_default() {
                self.park(run, ParkedEvent::waiting(&behind, &key)).await?;
                run.unfinished.remove(&behind.position);
            }
        } else if let Some(next) = run.waiting.get_mut(&key).and_then(VecDeque::pop_front) {
            self.start(run, next, key);
        } else {
            run.waiting.remove(&key);
        }
        run.unfinished.remove(&event.position);
        self.report_lag(run);
        Ok(())
    }

    fn report_lag(&self, run: &Run<R, S>) {
        let head = *self.environment.store.watch_head().borrow();
        metrics::gauge!("reaction_lag_events", "subscription" => run.name)
            .set(head.saturating_sub(run.finished_to()) as f64);
    }

    async fn park(&self, run: &mut Run<R, S>, event: ParkedEvent) -> Result<(), Interruption> {
        // Parked first, passed by the checkpoint later: a crash in between parks it again.
        let mut transaction = self.store.begin().await?;
        self.store.park(&mut transaction, run.name, &event).await?;
        let to = checkpoint_at(&self.environment, run.finished_to()).await?;
        self.store.advance(transaction, run.name, run.stored, to).await?;
        run.stored = Some(to.position);
        Ok(())
    }

    async fn save(&self, run: &mut Run<R, S>) -> Result<(), Interruption> {
        if !run.loaded || run.stored == Some(run.finished_to()) {
            return Ok(());
        }
        let to = checkpoint_at(&self.environment, run.finished_to()).await?;
        let transaction = self.store.begin().await?;
        self.store.advance(transaction, run.name, run.stored, to).await?;
        run.stored = Some(to.position);
        Ok(())
    }
}

/// Handles one event, again and again while something is out of reach. An error is permanent.
async fn handle<R: Reaction>(
    reaction: &R,
    environment: &Environment,
    event: &Arc<RecordedEvent>,
) -> Result<(), (BoxError, u32)> {
    let mut pauses = backoff::endless(FIRST_PAUSE, LONGEST_PAUSE);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let outcome = match environment.codec.decode(Arc::clone(event)).await {
            Ok(envelope) => {
                let cause = Cause::reaction(event, reaction.name());
                reaction.react(&envelope, cause).await
            }
            Err(error) => Err(codec_failure(error)),
        };
        let error = match outcome {
            Ok(()) => return Ok(()),
            Err(ReactionError::Permanent(error)) => return Err((error, attempts)),
            Err(ReactionError::Transient(error)) => error,
        };
        metrics::counter!("reaction_failures_total", "subscription" => reaction.name())
            .increment(1);
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
        tracing::warn!(
            subscription = reaction.name(),
            correlation_id = %event.metadata.correlation_id,
            position = event.position,
            error = &*error as &dyn std::error::Error,
            "a reaction failed; trying again in {pause:?}"
        );
        tokio::time::sleep(pause).await;
    }
}

fn codec_failure(error: CodecError) -> ReactionError {
    if error.is_transient() {
        ReactionError::Transient(error.into())
    } else {
        ReactionError::Permanent(error.into())
    }
}
