//! Scenarios of the orders module on real databases, SQLite and PostgreSQL, with an event store in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod admission;
mod client;
mod contract;
mod dates;
mod erasure;
mod imports;
mod placing;
mod reading;
mod refusing;
mod saga;
mod world;
