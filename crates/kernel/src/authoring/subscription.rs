//! What kinds of subscription there are, and how one can be on a replica.

use serde::{Deserialize, Serialize};

use crate::log::event::Position;

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
