//! The module as a whole: on the real SQLite database, with an event store in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod client;
mod commands;
mod dates;
mod erasure;
mod harness;
mod http_commands;
mod http_reads;
mod imports;
mod snapshots;
mod statements;
