//! Why a subscription stops working before its shutdown.

use crate::authoring::checkpoint::CheckpointError;
use crate::authoring::subscription::SubscriptionKind;
use crate::log::event::{Position, RecordedEvent};
use crate::log::store::{BoxError, ReadError};

/// Why a run over the log ended before its shutdown.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interruption {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("a dependency is unavailable")]
    OutOfReach(#[source] BoxError),
    #[error(
        "the checkpoint of {subscription} belongs to another log, or to a later state of this one: the event store was replaced or restored, or a failover lost its end. Repair it with `bascule projections rebuild {subscription}`: {}",
        match .kind {
            SubscriptionKind::Projection => "this rebuilds the read model from the log",
            _ =>
                "it restarts from the beginning of the log and recognises work that is already done",
        }
    )]
    AnotherLog { subscription: String, kind: SubscriptionKind },
    #[error(
        "this release cannot read {event_type} at position {position}; a replica of a newer release must handle it"
    )]
    Incapable { event_type: String, position: Position },
}

impl Interruption {
    /// Creates the interruption for an event that only a newer release can read.
    pub(super) fn incapable(event: &RecordedEvent) -> Self {
        Self::Incapable { event_type: event.event_type.to_string(), position: event.position }
    }

    /// Returns whether finished work may still be saved because the lease is valid.
    pub(super) fn leaves_the_lease_valid(&self) -> bool {
        match self {
            Self::Incapable { .. } | Self::OutOfReach(_) => true,
            // The finished events may not exist any more.
            Self::Read(error) => !matches!(error, ReadError::WentBack),
            Self::Checkpoint(_) | Self::AnotherLog { .. } => false,
        }
    }
}
