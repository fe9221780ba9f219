//! Runs a policy or reactor under its lease: handles events in order per key, several keys at once.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use super::handling::{Failure, Held, handle};
use super::held_lease::{Fenced, HeldLease};
use super::interruption::Interruption;
use super::parking::{ParkedKeys, first_of_key, recorded};
use super::supervision::Worker;
use crate::authoring::backlog::Backlog;
use crate::authoring::checkpoint::{Checkpoint, ParkedEvent, SubscriptionStore};
use crate::authoring::execution::Environment;
use crate::authoring::identity::Identity;
use crate::authoring::reaction::{Reaction, ReactionKind};
use crate::log::event::{Position, RecordedEvent};
use crate::log::reader::LogReader;
use crate::log::store::LogPage;

const PAGE: usize = 200;
/// Below this number of queued events the next page is read: one page serves many events.
const LOW: usize = 100;
/// Minimum interval between checkpoint writes: a lagging checkpoint only repeats work.
const SAVE_EVERY: Duration = Duration::from_millis(250);

/// Returns how many events may be unfinished at once.
fn window(kind: ReactionKind) -> usize {
    match kind {
        ReactionKind::Policy | ReactionKind::Upkeep => 64,
        ReactionKind::Reactor => 10_000,
    }
}

/// The work of a policy or reactor while it holds the lease.
pub(super) struct Reacting<R: Reaction, S> {
    reaction: Arc<R>,
    identity: Arc<Identity>,
    environment: Environment,
    store: Arc<S>,
    position: watch::Sender<Position>,
    backlog: Backlog,
    run: Run,
}

/// The report of a task about a finished event.
struct Finished {
    event: Arc<RecordedEvent>,
    key: String,
    /// The parked event, if this was a retry.
    replayed: Option<ParkedEvent>,
    failure: Option<Failure>,
}

/// The state of one run over the log. Dropping it ends every task.
struct Run {
    tasks: JoinSet<Finished>,
    held: Held,
    /// Events that were read and wait for their turn.
    queued: VecDeque<Arc<RecordedEvent>>,
    /// Unfinished events by position, each with the checkpoint before it: that of the event or end
    /// of page read before.
    unfinished: BTreeMap<Position, Checkpoint>,
    /// Events waiting behind one of the same key. A key that is present has a task.
    waiting: HashMap<String, VecDeque<Arc<RecordedEvent>>>,
    parked: ParkedKeys,
    /// Keys whose parked events are being retried.
    replaying: HashSet<String>,
    /// No event up to this checkpoint is queued.
    taken: Checkpoint,
    /// The checkpoint up to which the log was scanned.
    scanned: Checkpoint,
    /// Whether a selected event was finished that the stored checkpoint does not cover.
    to_save: bool,
}

impl Run {
    /// Creates a run that continues after a checkpoint.
    fn after(checkpoint: Checkpoint, parked: ParkedKeys) -> Self {
        Self {
            tasks: JoinSet::new(),
            held: Held::default(),
            queued: VecDeque::new(),
            unfinished: BTreeMap::new(),
            waiting: HashMap::new(),
            parked,
            replaying: HashSet::new(),
            taken: checkpoint,
            scanned: checkpoint,
            to_save: false,
        }
    }

    /// Queues a page of the log.
    fn queue(&mut self, page: LogPage) {
        if self.queued.is_empty() {
            self.taken = self.scanned;
        }
        self.scanned = self.scanned.after(&page);
        self.queued.extend(page.events);
    }

    /// Returns the position up to which every event is finished.
    fn finished_to(&self) -> Position {
        // Unfinished events precede queued ones.
        let unfinished = self.unfinished.first_key_value().map(|(position, _)| *position);
        let lowest = unfinished.or_else(|| self.queued.front().map(|event| event.position));
        lowest.map_or(self.scanned.position, |lowest| lowest - 1)
    }

    /// Returns the last checkpoint without an unfinished event before it.
    fn finished(&self) -> Checkpoint {
        match self.unfinished.first_key_value() {
            Some((_, before)) => *before,
            None if self.queued.is_empty() => self.scanned,
            None => self.taken,
        }
    }

    /// Returns since when an event has been waiting only for its turn. `None` while every event in
    /// progress waits for an unavailable dependency, because the events behind them then wait for it
    /// too.
    fn waiting_since(&self) -> Option<DateTime<Utc>> {
        let is_at_work = self.tasks.len() > self.held.count();
        self.queued.front().filter(|_| is_at_work).map(|event| event.recorded_at)
    }
}

impl<R: Reaction, S: SubscriptionStore> Worker<S> for Reacting<R, S> {
    async fn work(&mut self, lease: &mut HeldLease<S>) -> Result<Infallible, Interruption> {
        let parked = ParkedKeys::load(&*self.store, &self.identity.name).await?;
        self.run = Run::after(lease.checkpoint(), parked);
        let filter = self.identity.filter(lease.families());
        let log = Arc::clone(&self.environment.store);
        let mut reader = LogReader::new(log, lease.stored(), filter);
        let mut saving = interval(SAVE_EVERY);
        saving.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = lease.ticks();
        let begun = self.environment.clock.now();
        let mut is_first = true;
        loop {
            let room = self.run.queued.len() < LOW;
            let mut grew = false;
            if room && (is_first || reader.has_more()) {
                is_first = false;
                let page = reader.page(PAGE).await?;
                grew = page.scanned_to > self.run.scanned.position;
                self.run.queue(page);
                lease.working();
            }
            self.take_turns(lease).await?;
            self.tell_position();
            // Waiting time before this run does not count: the run has to begin somewhere.
            let waiting_since = self.waiting_since().map(|since| since.max(begun));
            self.backlog.set(waiting_since);
            let more = async {
                if !grew {
                    reader.wait().await;
                }
            };
            tokio::select! {
                Some(finished) = self.run.tasks.join_next(), if !self.run.tasks.is_empty() => {
                    self.finish(lease, finished).await?;
                    while let Some(finished) = self.run.tasks.try_join_next() {
                        self.finish(lease, finished).await?;
                    }
                }
                () = more, if room => {}
                _ = saving.tick(), if lease.stored() < self.run.finished().position => {
                    if self.run.to_save || lease.may_save_idle() {
                        self.save(lease).await?;
                    }
                }
                _ = ticks.tick() => {
                    lease.keep().await?;
                    if R::KIND != ReactionKind::Upkeep {
                        lease.report_waiting(waiting_since, self.environment.clock.now()).await;
                    }
                    if !self.run.parked.is_empty() {
                        self.replay(lease).await?;
                    }
                }
            }
        }
    }

    fn stop(&mut self) -> Option<Checkpoint> {
        // The next owner handles unfinished events again.
        let finished = self.run.finished();
        self.run = Run::after(finished, ParkedKeys::default());
        Some(finished)
    }
}

impl<R: Reaction, S: SubscriptionStore> Reacting<R, S> {
    pub(super) fn new(
        reaction: R,
        identity: Arc<Identity>,
        environment: Environment,
        store: Arc<S>,
        position: watch::Sender<Position>,
        backlog: Backlog,
    ) -> Self {
        let beginning = Checkpoint::beginning(environment.store.log_id());
        let (reaction, run) = (Arc::new(reaction), Run::after(beginning, ParkedKeys::default()));
        Self { reaction, identity, environment, store, position, backlog, run }
    }

    /// Returns since when an event has been waiting for its turn. For a reactor, the called system
    /// determines how many calls are in progress, and therefore how many events wait.
    fn waiting_since(&self) -> Option<DateTime<Utc>> {
        match R::KIND {
            ReactionKind::Policy => self.run.waiting_since(),
            ReactionKind::Reactor => self.reaction.waiting_since(),
            ReactionKind::Upkeep => None,
        }
    }

    fn tell_position(&self) {
        self.position.send_replace(self.run.finished_to());
    }

    /// Takes queued events up to the maximum number of unfinished ones.
    async fn take_turns(&mut self, lease: &mut HeldLease<S>) -> Result<(), Interruption> {
        while self.run.unfinished.len() < window(R::KIND) {
            // The event stays in the queue until it is taken, so that it holds the checkpoint back.
            let Some(event) = self.run.queued.front().cloned() else { break };
            self.take(lease, event).await?;
            self.run.queued.pop_front();
        }
        Ok(())
    }

    /// Starts handling an event, or queues it behind an earlier one of its key.
    async fn take(
        &mut self,
        lease: &mut HeldLease<S>,
        event: Arc<RecordedEvent>,
    ) -> Result<(), Interruption> {
        if !self.identity.reads(&event.event_type) {
            return Err(Interruption::incapable(&event));
        }
        let key = self.reaction.key(&event);
        if self.run.parked.holds(&key) {
            let waiting = ParkedEvent::waiting(&event, &key, self.environment.clock.now());
            self.park(lease, waiting).await?;
            self.run.taken = self.run.taken.past(&event);
            return Ok(());
        }
        self.run.unfinished.insert(event.position, self.run.taken);
        self.run.taken = self.run.taken.past(&event);
        match self.run.waiting.get_mut(&key) {
            Some(queue) => queue.push_back(event),
            None => {
                self.run.waiting.insert(key.clone(), VecDeque::new());
                self.start(event, key, None);
            }
        }
        Ok(())
    }

    fn start(&mut self, event: Arc<RecordedEvent>, key: String, replayed: Option<ParkedEvent>) {
        let reaction = Arc::clone(&self.reaction);
        let (environment, held) = (self.environment.clone(), self.run.held.clone());
        self.run.tasks.spawn(async move {
            let failure = handle(&*reaction, &environment, &event, &held).await.err();
            Finished { event, key, replayed, failure }
        });
    }

    async fn finish(
        &mut self,
        lease: &mut HeldLease<S>,
        finished: Result<Finished, JoinError>,
    ) -> Result<(), Interruption> {
        let Finished { event, key, replayed, failure } = match finished {
            Ok(finished) => finished,
            // A handler panicked: restart from the checkpoint after a pause, and log an error.
            Err(error) => {
                tracing::error!(subscription = self.identity.name, %error, "a reaction panicked");
                return Err(Interruption::OutOfReach(error.into()));
            }
        };
        if let Some(parked) = replayed {
            return self.finish_replay(lease, parked, failure).await;
        }
        match failure {
            None => match self.run.waiting.get_mut(&key).and_then(VecDeque::pop_front) {
                Some(next) => self.start(next, key, None),
                None => {
                    self.run.waiting.remove(&key);
                }
            },
            Some(Failure::NewerRelease(_)) => return Err(Interruption::incapable(&event)),
            Some(Failure::Permanent(error, attempts)) => {
                let now = self.environment.clock.now();
                let parked = ParkedEvent::failed(&event, &key, &*error, attempts, now);
                parked.announce(&self.identity.name);
                self.park(lease, parked).await?;
                self.run.parked.add(&key);
                for behind in self.run.waiting.remove(&key).unwrap_or_default() {
                    self.park(lease, ParkedEvent::waiting(&behind, &key, now)).await?;
                    self.run.unfinished.remove(&behind.position);
                }
            }
        }
        self.run.unfinished.remove(&event.position);
        self.run.to_save = true;
        self.tell_position();
        Ok(())
    }

    /// Parks an event. The event is parked before the checkpoint passes it: after a crash in between
    /// it is parked again.
    async fn park(
        &mut self,
        lease: &mut HeldLease<S>,
        event: ParkedEvent,
    ) -> Result<(), Interruption> {
        let mut fenced = self.begin(lease).await?;
        self.store.park(&mut fenced.transaction, &self.identity.name, &event).await?;
        Ok(lease.commit(fenced).await?)
    }

    async fn save(&mut self, lease: &mut HeldLease<S>) -> Result<(), Interruption> {
        let fenced = self.begin(lease).await?;
        lease.commit(fenced).await?;
        self.run.to_save = false;
        Ok(())
    }

    /// Begins a transaction that moves the checkpoint to the lowest unfinished event.
    async fn begin(
        &self,
        lease: &mut HeldLease<S>,
    ) -> Result<Fenced<S::Transaction>, Interruption> {
        Ok(lease.begin(self.run.finished()).await?)
    }

    /// Retries parked events if a retry was requested, several keys at once.
    async fn replay(&mut self, lease: &mut HeldLease<S>) -> Result<(), Interruption> {
        // Parked events may have been discarded meanwhile.
        self.run.parked = ParkedKeys::load(&*self.store, &self.identity.name).await?;
        for key in &self.run.replaying {
            self.run.parked.add(key);
        }
        for key in self.store.keys_to_replay(&self.identity.name).await? {
            if self.run.replaying.len() >= window(R::KIND) {
                break;
            }
            if !self.run.replaying.contains(&key) {
                self.replay_first(lease, key).await?;
            }
        }
        Ok(())
    }

    /// Retries the first parked event of a key; a key without one is released.
    async fn replay_first(
        &mut self,
        lease: &mut HeldLease<S>,
        key: String,
    ) -> Result<(), Interruption> {
        let Some(parked) = first_of_key(&*self.store, &self.identity.name, &key).await? else {
            self.run.replaying.remove(&key);
            self.run.parked.remove(&key);
            return Ok(());
        };
        match recorded(&self.environment, &parked).await? {
            Ok(event) => {
                self.run.replaying.insert(key.clone());
                self.start(event, key, Some(parked));
                Ok(())
            }
            Err(gone) => {
                let failure = Failure::Permanent(gone.into(), 1);
                self.finish_replay(lease, parked, Some(failure)).await
            }
        }
    }

    async fn finish_replay(
        &mut self,
        lease: &mut HeldLease<S>,
        parked: ParkedEvent,
        failure: Option<Failure>,
    ) -> Result<(), Interruption> {
        let name = Arc::clone(&self.identity);
        let name = name.name.as_str();
        let mut fenced = self.begin(lease).await?;
        match failure {
            None => {
                let (position, key) = (parked.position, parked.key);
                self.store.unpark(&mut fenced.transaction, name, position).await?;
                lease.commit(fenced).await?;
                tracing::info!(subscription = name, position, "handled a parked event");
                Box::pin(self.replay_first(lease, key)).await
            }
            Some(Failure::Permanent(error, attempts)) => {
                self.park_again(lease, fenced, parked.failed_again(&*error, attempts)).await
            }
            // The event stays parked until a replica of that release receives the retry.
            Some(Failure::NewerRelease(error)) => {
                self.park_again(lease, fenced, parked.failed_again(&*error, 1)).await
            }
        }
    }

    async fn park_again(
        &mut self,
        lease: &mut HeldLease<S>,
        mut fenced: Fenced<S::Transaction>,
        event: ParkedEvent,
    ) -> Result<(), Interruption> {
        self.store.park_again(&mut fenced.transaction, &self.identity.name, &event).await?;
        lease.commit(fenced).await?;
        event.announce(&self.identity.name);
        self.run.replaying.remove(&event.key);
        Ok(())
    }
}
