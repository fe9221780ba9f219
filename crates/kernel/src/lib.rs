//! What every module is built on: events and streams, the event store's port, deciders, the
//! load–decide–append cycle, subscriptions, projections, policies and reactors.
//!
//! No SQL and no HTTP here: adapters implement the ports ([`store::EventStore`],
//! [`keys::KeyVault`], [`checkpoint::SubscriptionStore`]).

pub mod admission;
pub mod backlog;
pub mod backoff;
pub mod cache;
pub mod checkpoint;
pub mod codec;
pub mod combining;
mod complaint;
pub mod credentials;
pub mod decider;
pub mod decorator;
pub mod event;
pub mod execution;
mod feed;
pub mod keys;
pub mod lag;
pub mod lease;
pub mod memory;
pub mod money;
pub mod outage;
mod parking;
pub mod planning;
pub mod projection;
pub mod reaction;
pub mod seams;
pub mod shared_text;
pub mod snapshot;
mod standby;
pub mod store;
pub mod subscription;
mod supervision;
pub mod sync;
