//! The kernel's cycle and subscription runtime, on the store in memory.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod backlog;
mod codec;
mod door;
mod equivalence;
mod execution;
mod failovers;
mod hot;
mod identity;
mod lamp;
mod leases;
mod names;
mod observed;
mod parked;
mod projections;
mod reactions;
mod releases;
mod running;
mod snapshots;
mod standbys;
mod subscriptions;
mod upcasting;
