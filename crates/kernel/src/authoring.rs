//! What a module is written with.
//!
//! Here belong: aggregates and how commands reach them ([`decider`], [`codec`], [`execution`],
//! [`snapshot`], [`cache`], [`admission`]), the traits of read models and reactions ([`projection`],
//! [`reaction`], [`progress`]), what a subscription is and what is kept of it ([`subscription`],
//! [`identity`], [`checkpoint`], [`lease`], [`backlog`]), what a legacy system says ([`sync`]), and
//! [`money`]. Traits, plain data and the carrying out of commands; what runs by itself is in
//! `runtime`.

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
