//! Why a subscription stops working before it was told to.

use crate::authoring::checkpoint::CheckpointError;
use crate::authoring::subscription::SubscriptionKind;
use crate::log::event::{Position, RecordedEvent};
use crate::log::store::{BoxError, ReadError};

/// Why a run over the log ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interruption {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("something it needs is out of reach")]
    OutOfReach(#[source] BoxError),
    #[error(
        "the checkpoint of {subscription} belongs to another log, or to a later state of this one: the event store was replaced or restored, or a failover lost its end. `bascule projections rebuild {subscription}` mends it: {}",
        match .kind {
            SubscriptionKind::Projection => "the read model is built anew from the log",
            _ =>
                "it begins again from the start of the log, and what it did already is recognised",
        }
    )]
    AnotherLog { subscription: String, kind: SubscriptionKind },
    #[error(
        "this release cannot read {event_type} at position {position}; a replica of a newer one has to handle it"
    )]
    Incapable { event_type: String, position: Position },
}

impl Interruption {
    /// An event that only a newer release reads.
    pub(super) fn incapable(event: &RecordedEvent) -> Self {
        Self::Incapable { event_type: event.event_type.to_string(), position: event.position }
    }

    /// Whether what was finished is still to be saved, the lease being held.
    pub(super) fn leaves_the_lease_valid(&self) -> bool {
        match self {
            Self::Incapable { .. } | Self::OutOfReach(_) => true,
            // What is finished may be of events that are gone.
            Self::Read(error) => !matches!(error, ReadError::WentBack),
            Self::Checkpoint(_) | Self::AnotherLog { .. } => false,
        }
    }
}
