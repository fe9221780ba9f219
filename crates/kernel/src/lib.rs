//! The kernel that modules build on: events and streams, the event store's port, deciders, the
//! load–decide–append cycle, subscriptions, projections, policies and reactors.
//!
//! The kernel contains no SQL and no HTTP: adapters implement the ports ([`store::EventStore`],
//! [`keys::KeyVault`], [`checkpoint::SubscriptionStore`]).
//!
//! The kernel has three layers; each uses only the layers before it:
//!
//! 1. *the log*: events, the port of the event store, and shared foundations;
//! 2. *authoring*: the types that module code uses;
//! 3. *the runtime*: runs projections and reactions.
//!
//! # Types for module authors
//!
//! | To | use |
//! |---|---|
//! | decide on an aggregate | [`Decider`], [`Context`] |
//! | declare which events a module reads | [`event_set!`], [`EventSet`], [`Envelope`] |
//! | keep a read model | [`Projection`] |
//! | wait for a read model or a reaction | [`Progress`], [`Patience`] |
//! | react to events | [`Reaction`], [`ReactionKind`], [`ReactionError`] |
//! | execute commands | [`Environment`], [`Cause`], [`UnitOfWork`], [`Executed`], [`ExpectedAt`], [`ExecuteError`] |
//! | identify places in the log | [`Position`], [`Revision`], [`StreamName`], [`RecordedEvent`] |
//! | synchronise the state of a legacy system | [`sync`] |
//! | calculate with money | [`money`] |
//!
//! The modules below hold what only adapters, programs and tests need.

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

/// Projections: the trait and its runner.
pub mod projection {
    pub use crate::authoring::progress::{Patience, Progress};
    pub use crate::authoring::projection::{Projection, Unknown};
    pub use crate::runtime::projection_runner::{FoldError, ProjectionRunner};
}

/// Policies, reactors and upkeep: the trait and its runner.
pub mod reaction {
    pub use crate::authoring::reaction::{Reaction, ReactionError, ReactionKind, shown, tolerate};
    pub use crate::runtime::reaction_runner::ReactionRunner;
}

/// Subscriptions: identity, reading the log, and state.
pub mod subscription {
    pub use crate::authoring::identity::Identity;
    pub use crate::authoring::subscription::{SubscriptionKind, SubscriptionState, UnknownKind};
    pub use crate::log::reader::{Delivery, LogReader};
    pub use crate::runtime::subscription::Subscription;
}
