//! The kinds of subscriptions, and their states on a replica.

use serde::{Deserialize, Serialize};

use crate::log::event::Position;

/// The kind of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionKind {
    /// Folds events into a read model.
    Projection,
    /// Turns other modules' events into commands of its own module.
    Policy,
    /// Makes external calls.
    Reactor,
    /// Maintains its module's own tables.
    Upkeep,
}

impl SubscriptionKind {
    /// Returns its name, as stored and displayed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Projection => "projection",
            Self::Policy => "policy",
            Self::Reactor => "reactor",
            Self::Upkeep => "upkeep",
        }
    }
}

/// The error for a text that is not a subscription kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a subscription kind: expected projection, policy, reactor or upkeep")]
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

/// The state of a subscription on this replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionState {
    /// It has not reported yet.
    Starting,
    /// It runs on this replica.
    Running,
    /// It runs on another replica; this one takes over when that one is gone.
    Standby {
        /// The other replica.
        owner: String,
    },
    /// Its module was handed over to another service, which runs it.
    HandedOver {
        /// The name of that service.
        to: String,
    },
    /// It waits for a replica of a newer release to handle an event that this release cannot read.
    Incapable {
        /// The event's type.
        event_type: String,
        /// The event's position in the log.
        position: Position,
    },
    /// A dependency is unavailable and the subscription keeps retrying; the reason.
    Interrupted(String),
    /// It stopped because continuing would do harm; the reason and the remedy. It resumes by itself
    /// after the remedy.
    Stopped(String),
}
