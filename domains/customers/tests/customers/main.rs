//! Scenarios of the customers module on real databases, SQLite and PostgreSQL, with an event store in
//! memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod client;
mod commands;
mod contract;
mod dates;
mod erasure;
mod http_commands;
mod http_reads;
mod imports;
mod snapshots;
mod world;
