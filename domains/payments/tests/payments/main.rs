//! The payments module as a whole: its events, its calls to the provider, its routes. On real
//! databases and an event store in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod collection;
mod contract;
mod dates;
mod imported;
mod outcomes;
mod refunds;
mod restarts;
mod routes;
mod scripted;
mod world;
