//! The shared parts of routes, through sample handlers, as a client sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod bodies;
mod commands;
mod context;
mod openapi;
mod reads;
mod sample;
mod statements;
