//! What every module is built on: events and streams, the event store's port, deciders, the
//! load–decide–append cycle, subscriptions, projections, policies and reactors.
//!
//! No SQL and no HTTP here: adapters implement the ports ([`store::EventStore`],
//! [`keys::KeyVault`], [`checkpoint::SubscriptionStore`]).
//!
//! Three rooms, each of which uses those before it only:
//!
//! 1. *the log*: events and the port of the store that keeps them, with what everything stands on;
//! 2. *authoring*: what a module is written with;
//! 3. *the runtime*: what keeps projections and reactions at work.
//!
//! # What the author of a module needs
//!
//! | To | use |
//! |---|---|
//! | decide on an aggregate | [`Decider`], [`Context`] |
//! | say which events it reads | [`event_set!`], [`EventSet`], [`Envelope`] |
//! | keep a read model | [`Projection`] |
//! | wait for a read model or a reaction | [`Progress`], [`Patience`] |
//! | react to events | [`Reaction`], [`ReactionKind`], [`ReactionError`] |
//! | carry out commands | [`Environment`], [`Cause`], [`UnitOfWork`], [`Executed`], [`ExpectedAt`], [`ExecuteError`] |
//! | name places in the log | [`Position`], [`Revision`], [`StreamName`], [`RecordedEvent`] |
//! | take in a legacy system's state | [`sync`] |
//! | reckon with money | [`money`] |
//!
//! The modules below hold what adapters, programs and tests need beside.

mod authoring;
mod log;
mod runtime;

pub use self::authoring::codec::{Envelope, EventSet};
pub use self::authoring::decider::{Context, Decider};
pub use self::authoring::execution::{
    Cause, Environment, ExecuteError, Executed, ExpectedAt, UnitOfWork,
};
pub use self::authoring::progress::{Patience, Progress};
pub use self::authoring::projection::Projection;
pub use self::authoring::reaction::{Reaction, ReactionError, ReactionKind};
pub use self::authoring::{
    admission, backlog, cache, checkpoint, codec, combining, decider, execution, lease, money,
    snapshot, sync,
};
pub use self::log::event::{Position, RecordedEvent, Revision, StreamName};
pub use self::log::store::BoxError;
pub use self::log::{
    backoff, credentials, decorator, event, keys, memory, outage, planning, seams, shared_text,
    store,
};
pub use self::runtime::lag;

/// Projections: what they are, and what runs them.
pub mod projection {
    pub use crate::authoring::progress::{Patience, Progress};
    pub use crate::authoring::projection::{Projection, Unknown};
    pub use crate::runtime::projection_runner::{FoldError, ProjectionRunner};
}

/// Policies, reactors and upkeep: what they are, and what runs them.
pub mod reaction {
    pub use crate::authoring::reaction::{Reaction, ReactionError, ReactionKind, settle, shown};
    pub use crate::runtime::reaction_runner::ReactionRunner;
}

/// Subscriptions: what they are, how they read the log, and how they are at work.
pub mod subscription {
    pub use crate::authoring::identity::Identity;
    pub use crate::authoring::subscription::{SubscriptionKind, SubscriptionState, UnknownKind};
    pub use crate::log::reader::{Delivery, LogReader};
    pub use crate::runtime::subscription::Subscription;
}
