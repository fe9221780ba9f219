//! Scenarios of the orders module on a real SQLite database: given events, when a command, then
//! eventually the view.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod client;
mod contract;
mod golden;
mod imports;
mod placing;
mod reading;
mod refusing;
mod saga;
mod world;
