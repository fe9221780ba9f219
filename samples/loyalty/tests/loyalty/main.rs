//! Scenarios of the module.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod contract;
mod earning;
