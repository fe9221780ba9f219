//! The kernel's cycle and subscription runtime, on the store in memory.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod codec;
mod execution;
mod lamp;
mod projections;
mod reactions;
mod subscriptions;
mod upcasting;
