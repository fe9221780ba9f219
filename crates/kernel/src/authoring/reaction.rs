//! Policies and reactors: a module's reactions to events.
//!
//! A *policy* turns other modules' events into commands of its own module; a *reactor* makes
//! external calls. Both handle events in order per key, several keys at once, and keep their
//! checkpoint at the lowest unfinished event: after a crash some events are handled again, and
//! reaction ids and idempotency keys make the repetition harmless.

use chrono::{DateTime, Utc};

use super::codec::{CodecError, Envelope, EventSet};
use super::execution::{Cause, ExecuteError, LoadError};
use super::progress::{Patience, Progress};
use super::snapshot::SnapshotsUnavailable;
use super::subscription::SubscriptionKind;
use crate::log::event::RecordedEvent;
use crate::log::keys::KeyError;
use crate::log::store::BoxError;

/// Why a reaction failed.
#[derive(Debug, thiserror::Error)]
pub enum ReactionError {
    /// A dependency is unavailable: the reaction is retried until it succeeds.
    #[error("{0}")]
    Transient(#[source] BoxError),
    /// This release cannot read data of a newer release: a replica of that release must handle the
    /// event.
    #[error("{0}")]
    NewerRelease(#[source] BoxError),
    /// Retrying does not help: the event is parked.
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

/// Completes a reaction with the result of its command. A refusal that `expected` explains is a
/// normal outcome; every other failure goes to the runtime, which retries or parks the event.
pub fn tolerate<T, R: std::error::Error + Send + Sync + 'static>(
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

/// Waits until read models include everything up to an event. If that takes too long, fails with a
/// transient error, so that the reaction is retried.
pub async fn shown(projections: &[&Progress], event: &RecordedEvent) -> Result<(), ReactionError> {
    if Progress::all_reached(projections, event.position, Patience::Reaction).await {
        return Ok(());
    }
    Err(ReactionError::Transient("a read model is behind".into()))
}

/// A module's reaction to events. Implementations write `async fn react`.
pub trait Reaction: Send + Sync + 'static {
    /// The events it reacts to.
    type Event: EventSet;

    /// `<module>.<action>`. It seeds the ids of the resulting events: once stored it is a storage
    /// format and never changes.
    const NAME: &'static str;

    /// The kind of reaction.
    const KIND: ReactionKind;

    /// The event families (`orders.OrderPlaced`) that it once read and no longer reads. An event of
    /// a family that is neither read nor retired waits for a replica that reads it.
    const RETIRED_FAMILIES: &'static [&'static str] = &[];

    /// Returns the ordering key of an event: its stream by default.
    fn key(&self, event: &RecordedEvent) -> String {
        event.stream.as_str().to_owned()
    }

    /// Returns since when an event in handling has been waiting for its turn within this system, for
    /// a reactor that limits its calls; waiting for external systems does not count. Used by
    /// admission control.
    fn waiting_since(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Reacts to one event. May be called again for the same event; commands executed with `cause`
    /// are then recognised.
    fn react(
        &self,
        event: &Envelope<Self::Event>,
        cause: Cause,
    ) -> impl Future<Output = Result<(), ReactionError>> + Send;
}

/// The kind of a reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReactionKind {
    /// Commands its own module.
    Policy,
    /// Makes external calls, which may take long: many may be waiting at once. The reactor itself
    /// limits the number of calls in progress.
    Reactor,
    /// Maintains the module's own tables, in every database that has them: also where the module was
    /// handed over to another service.
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
