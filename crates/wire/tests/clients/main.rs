//! The official clients in Rust, `eventstore` and `kurrentdb`, against a server in this process.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod access;
mod appending;
mod deleting;
mod discovery;
mod harness;
mod kurrent;
mod metadata;
mod modules;
mod races;
mod reading;
mod subscribing;
