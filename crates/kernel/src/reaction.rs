//! Policies and reactors: what a module does when events happen.
//!
//! A *policy* turns others' events into this module's own commands; a *reactor* makes outside
//! calls. Both handle events in order per key, several keys at once, and keep their checkpoint at
//! the lowest unfinished event: after a crash some events are handled again, and reaction ids and
//! idempotency keys make that change nothing.

mod handling;
mod reacting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::reacting::Reacting;
use crate::backlog::Backlog;
use crate::checkpoint::SubscriptionStore;
use crate::codec::{CodecError, Envelope, EventSet};
use crate::event::RecordedEvent;
use crate::execution::{Cause, Environment, ExecuteError, LoadError};
use crate::keys::KeyError;
use crate::projection::Progress;
use crate::snapshot::SnapshotsUnavailable;
use crate::store::BoxError;
use crate::subscription::{Identity, Subscription, SubscriptionKind, SubscriptionState};
use crate::supervision::Supervisor;

/// How long a reaction waits for a read model.
const CATCH_UP: Duration = Duration::from_secs(10);

/// Why a reaction did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ReactionError {
    /// Something is out of reach now: tried again until it works.
    #[error("{0}")]
    Transient(#[source] BoxError),
    /// This release cannot read something that a newer one wrote: a replica of that release is to
    /// handle the event.
    #[error("{0}")]
    NewerRelease(#[source] BoxError),
    /// It will not work next time either: the event is parked.
    #[error("{0}")]
    Permanent(#[source] BoxError),
}

impl<R: std::error::Error + Send + Sync + 'static> From<ExecuteError<R>> for ReactionError {
    fn from(error: ExecuteError<R>) -> Self {
        if let ExecuteError::Load(LoadError::Codec(reason)) = &error
            && reason.is_of_newer_release()
        {
            Self::NewerRelease(error.into())
        } else if error.is_transient() {
            Self::Transient(error.into())
        } else {
            Self::Permanent(error.into())
        }
    }
}

impl From<KeyError> for ReactionError {
    fn from(error: KeyError) -> Self {
        CodecError::from(error).into()
    }
}

impl From<SnapshotsUnavailable> for ReactionError {
    fn from(error: SnapshotsUnavailable) -> Self {
        Self::Transient(error.into())
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

/// Waits until read models show everything up to an event. When that takes long, the reaction is to
/// be tried again.
pub async fn shown(projections: &[&Progress], event: &RecordedEvent) -> Result<(), ReactionError> {
    for progress in projections {
        if !progress.reached(event.position, CATCH_UP).await {
            return Err(ReactionError::Transient("a read model is behind".into()));
        }
    }
    Ok(())
}

/// What a module does when events happen.
#[async_trait]
pub trait Reaction: Send + Sync + 'static {
    /// The events it reacts to.
    type Event: EventSet;

    /// `<module>.<what it does>`. It seeds the ids of the events that follow: once stored it is a
    /// storage format and never changes.
    const NAME: &'static str;

    /// What kind of reaction it is.
    const KIND: ReactionKind;

    /// The event families (`orders.OrderPlaced`) that it once read and does not read any more. What
    /// is neither read nor retired waits for a replica that reads it.
    const RETIRED_FAMILIES: &'static [&'static str] = &[];

    /// What an event is in order with: its stream, unless declared otherwise.
    fn key(&self, event: &RecordedEvent) -> String {
        event.stream.as_str().to_owned()
    }

    /// Since when an event that was begun has been waiting for its turn at this system's own work, for a
    /// reactor that bounds its calls: not one that waits for somebody outside. Admission looks at it.
    fn waiting_since(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Reacts to one event. May be called again for the same event; commands carried out with
    /// `cause` are then recognised.
    async fn react(&self, event: &Envelope<Self::Event>, cause: Cause)
    -> Result<(), ReactionError>;
}

/// What kind of reaction it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReactionKind {
    /// Gives commands to its own module.
    Policy,
    /// Makes outside calls, which may take long: many may be waiting at once. It bounds by itself
    /// how many calls are under way.
    Reactor,
    /// Keeps the module's own tables in order, on every database that has them: also where the
    /// module was handed over to another one.
    Upkeep,
}

impl From<ReactionKind> for SubscriptionKind {
    fn from(kind: ReactionKind) -> Self {
        match kind {
            ReactionKind::Policy => Self::Policy,
            ReactionKind::Reactor => Self::Reactor,
            ReactionKind::Upkeep => Self::Upkeep,
        }
    }
}

impl ReactionKind {
    /// How many events may be unfinished at once.
    fn window(self) -> usize {
        match self {
            Self::Policy | Self::Upkeep => 64,
            Self::Reactor => 10_000,
        }
    }
}

/// A policy or reactor at work.
pub struct ReactionRunner<R: Reaction, S: SubscriptionStore> {
    supervisor: Supervisor<S>,
    reacting: Reacting<R, S>,
}

impl<R: Reaction, S: SubscriptionStore> ReactionRunner<R, S> {
    /// A runner that keeps its checkpoint in `store`.
    pub fn new(reaction: R, environment: Environment, store: S) -> Self {
        let store = Arc::new(store);
        let identity = Identity::of_reaction::<R>();
        let supervisor = Supervisor::new(identity, environment.clone(), Arc::clone(&store));
        let identity = Arc::clone(&supervisor.identity);
        let position = supervisor.position.clone();
        let backlog = supervisor.backlog.clone();
        let reacting = Reacting::new(reaction, identity, environment, store, position, backlog);
        Self { supervisor, reacting }
    }
}

#[async_trait]
impl<R: Reaction, S: SubscriptionStore> Subscription for ReactionRunner<R, S> {
    fn identity(&self) -> &Identity {
        &self.supervisor.identity
    }

    fn state(&self) -> watch::Receiver<SubscriptionState> {
        self.supervisor.state.subscribe()
    }

    fn backlog(&self) -> Option<Backlog> {
        match R::KIND {
            ReactionKind::Policy | ReactionKind::Reactor => Some(self.supervisor.backlog.clone()),
            // It is never urgent.
            ReactionKind::Upkeep => None,
        }
    }

    async fn run(mut self: Box<Self>, shutdown: CancellationToken) {
        let Self { supervisor, mut reacting } = *self;
        supervisor.run(&mut reacting, shutdown).await;
    }
}
