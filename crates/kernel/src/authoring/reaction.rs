//! Policies and reactors: what a module does when events happen.
//!
//! A *policy* turns others' events into this module's own commands; a *reactor* makes outside
//! calls. Both handle events in order per key, several keys at once, and keep their checkpoint at
//! the lowest unfinished event: after a crash some events are handled again, and reaction ids and
//! idempotency keys make that change nothing.

use chrono::{DateTime, Utc};

use super::codec::{CodecError, Envelope, EventSet};
use super::execution::{Cause, ExecuteError, LoadError};
use super::progress::{Patience, Progress};
use super::snapshot::SnapshotsUnavailable;
use super::subscription::SubscriptionKind;
use crate::log::event::RecordedEvent;
use crate::log::keys::KeyError;
use crate::log::store::BoxError;

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

impl From<CodecError> for ReactionError {
    fn from(error: CodecError) -> Self {
        if error.is_of_newer_release() {
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
    if Progress::all_reached(projections, event.position, Patience::Reaction).await {
        return Ok(());
    }
    Err(ReactionError::Transient("a read model is behind".into()))
}

/// What a module does when events happen. Implementations write `async fn react`.
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
    fn react(
        &self,
        event: &Envelope<Self::Event>,
        cause: Cause,
    ) -> impl Future<Output = Result<(), ReactionError>> + Send;
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
