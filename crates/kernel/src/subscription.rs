//! Reading the log as a subscriber: history, then `CaughtUp`, then live events; nothing missed,
//! nothing twice. And the trait of everything that runs for as long as the process does.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;
use crate::codec::EventSet;
use crate::event::{EventFilter, Position, RecordedEvent, family};
use crate::projection::Projection;
use crate::reaction::Reaction;
use crate::store::{EventStore, LogPage, ReadError};

/// What a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionKind {
    /// Folds events into a read model.
    Projection,
    /// Turns others' events into commands of its own module.
    Policy,
    /// Makes outside calls.
    Reactor,
    /// Keeps its module's own tables in order.
    Upkeep,
}

impl SubscriptionKind {
    /// Its name, as stored and as people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Projection => "projection",
            Self::Policy => "policy",
            Self::Reactor => "reactor",
            Self::Upkeep => "upkeep",
        }
    }
}

/// A text that names no kind of subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of subscription: expected projection, policy, reactor or upkeep")]
pub struct UnknownKind(String);

impl std::str::FromStr for SubscriptionKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        [Self::Projection, Self::Policy, Self::Reactor, Self::Upkeep]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// What a subscription is. It follows from the type of its projection or reaction alone, so that it
/// can be told without a store, and is what the runtime goes by.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What its checkpoint is kept under; of a projection `<name>.v<version>`.
    pub name: String,
    /// What it is.
    pub kind: SubscriptionKind,
    /// The event types this release reads for it, every version that it has an upcaster for included.
    pub types: Vec<&'static str>,
    /// The families it once wanted and does not want any more.
    pub retired: &'static [&'static str],
    read: fn(&str, Value) -> Result<bool, serde_json::Error>,
}

impl Identity {
    /// What a projection is.
    pub fn of_projection<P: Projection>() -> Self {
        let name = format!("{}.v{}", P::NAME, P::VERSION);
        Self::of::<P::Event>(name, SubscriptionKind::Projection, P::RETIRED_FAMILIES)
    }

    /// What a policy or reactor is.
    pub fn of_reaction<R: Reaction>() -> Self {
        Self::of::<R::Event>(R::NAME.to_owned(), R::KIND.into(), R::RETIRED_FAMILIES)
    }

    fn of<E: EventSet>(
        name: String,
        kind: SubscriptionKind,
        retired: &'static [&'static str],
    ) -> Self {
        let read = |event_type: &str, data| Ok(E::from_json(event_type, data)?.is_some());
        Self { name, kind, types: E::readable_types(), retired, read }
    }

    /// Reads the data of an event as the subscription would, an older version through its upcasters;
    /// `false` when it reads no events of this type.
    pub fn read(&self, event_type: &str, data: Value) -> Result<bool, serde_json::Error> {
        (self.read)(event_type, data)
    }

    /// Whether this release reads events of a type.
    pub fn reads(&self, event_type: &str) -> bool {
        self.types.contains(&event_type)
    }

    /// The event families it reads.
    pub fn families(&self) -> BTreeSet<String> {
        self.types.iter().filter_map(|name| family(name)).map(str::to_owned).collect()
    }

    /// The events to read, given every family that any replica ever wanted.
    pub(crate) fn filter(&self, families: &BTreeSet<String>) -> EventFilter {
        let retired = |family: &str| self.retired.contains(&family);
        EventFilter::families(families.iter().filter(|family| !retired(family)).cloned())
    }
}

/// How a subscription is on this replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionState {
    /// It has not said anything yet.
    Starting,
    /// It works here.
    Running,
    /// It works on another replica; this one takes over when that one is gone.
    Standby {
        /// The other replica.
        owner: String,
    },
    /// Its module was handed over to another service, which runs it.
    HandedOver {
        /// What people know that service by.
        to: String,
    },
    /// It waits for a replica of a newer release to handle an event that this release cannot read.
    Incapable {
        /// The event's type.
        event_type: String,
        /// Where it stands in the log.
        position: Position,
    },
    /// Something is out of reach; it tries again and again. Why.
    Interrupted(String),
    /// It does nothing, because going on would do harm. Why, and what to do; after that it goes on
    /// by itself.
    Stopped(String),
}

/// A projection, policy or reactor at work.
#[async_trait]
pub trait Subscription: Send {
    /// What it is.
    fn identity(&self) -> &Identity;

    /// Its name, which its checkpoint is kept under.
    fn name(&self) -> String {
        self.identity().name.clone()
    }

    /// How it is, changing while it runs.
    fn state(&self) -> watch::Receiver<SubscriptionState>;

    /// Since when its oldest event has been waiting for its turn, here or on the replica that runs
    /// it. `None` of what nothing that is begun waits for.
    fn backlog(&self) -> Option<Backlog> {
        None
    }

    /// Works until shut down, on one replica at a time; the others stand by. Failures are retried
    /// inside.
    async fn run(self: Box<Self>, shutdown: CancellationToken);
}

/// What a reader of the log is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The next wanted event.
    Event(Arc<RecordedEvent>),
    /// The history is over: what follows is live. Given once.
    CaughtUp(Position),
}

const PAGE: usize = 500;

/// A reader of the log. An error leaves it where it was: the next call tries again. Only after the
/// log went back ([`ReadError::WentBack`]) there is nothing to go on from: every call fails then.
pub struct LogReader {
    store: Arc<dyn EventStore>,
    filter: EventFilter,
    head: watch::Receiver<Position>,
    incarnation: watch::Receiver<u64>,
    position: Position,
    buffer: VecDeque<Arc<RecordedEvent>>,
    caught_up: bool,
}

impl LogReader {
    /// Reads the wanted events after a position.
    pub fn new(store: Arc<dyn EventStore>, after: Position, filter: EventFilter) -> Self {
        let (head, incarnation) = (store.watch_head(), store.watch_incarnation());
        Self {
            store,
            filter,
            head,
            incarnation,
            position: after,
            buffer: VecDeque::new(),
            caught_up: false,
        }
    }

    /// The next event or, once, `CaughtUp`. Waits when there is nothing.
    pub async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            self.expect_no_return()?;
            if let Some(event) = self.buffer.pop_front() {
                return Ok(Delivery::Event(event));
            }
            let before = self.position;
            let page = self.page(PAGE).await?;
            self.buffer = page.events.into();
            let at_end = self.buffer.is_empty() && page.scanned_to == before;
            if at_end && !self.caught_up {
                self.caught_up = true;
                return Ok(Delivery::CaughtUp(self.position));
            }
            if at_end {
                self.wait().await;
            }
        }
    }

    /// The next wanted events, none when the log ends here.
    pub async fn page(&mut self, limit: usize) -> Result<LogPage, ReadError> {
        // Seen before the read: what is written during it wakes the next wait.
        self.head.borrow_and_update();
        let page = self.store.read_log(self.position, &self.filter, limit).await?;
        // Found out during the read or before it: what was read may be gone.
        self.expect_no_return()?;
        self.position = page.scanned_to;
        Ok(page)
    }

    /// Whether the next page tells something: the log is known to go on after what was read, or went
    /// back, which makes reading fail.
    pub(crate) fn has_more(&self) -> bool {
        let head = *self.head.borrow();
        head > self.position || self.expect_no_return().is_err()
    }

    /// Fails once the log went back since this reader was made.
    pub fn expect_no_return(&self) -> Result<(), ReadError> {
        match self.incarnation.has_changed() {
            Ok(true) => Err(ReadError::WentBack),
            // The store is gone, and changes no more.
            Ok(false) | Err(_) => Ok(()),
        }
    }

    /// Waits until the log has grown since the last read, or went back.
    pub async fn wait(&mut self) {
        if self.has_more() {
            return;
        }
        // Not `changed`, which would mark the new incarnation as seen.
        let mut incarnation = self.incarnation.clone();
        let changed = tokio::select! {
            changed = self.head.changed() => changed,
            changed = incarnation.changed() => changed,
        };
        if changed.is_err() {
            // The store is gone; whoever owns this reader is about to be stopped.
            std::future::pending::<()>().await;
        }
    }
}
