//! The authoring layer: the types that module code uses.
//!
//! This layer contains: aggregates and the execution of commands ([`decider`], [`codec`],
//! [`execution`], [`snapshot`], [`cache`], [`admission`]), the traits of read models and reactions
//! ([`projection`], [`reaction`], [`progress`]), the identity and the stored state of subscriptions
//! ([`subscription`], [`identity`], [`checkpoint`], [`lease`], [`backlog`]), the synchronisation of
//! a legacy system ([`sync`]), and [`money`]. It has traits, plain data and command execution;
//! background work is in `runtime`.

pub mod admission;
pub mod backlog;
pub mod cache;
pub mod checkpoint;
pub mod codec;
pub mod combining;
pub mod decider;
pub mod execution;
pub mod identity;
pub mod lease;
pub mod money;
pub mod progress;
pub mod projection;
pub mod reaction;
pub mod snapshot;
pub mod subscription;
pub mod sync;
