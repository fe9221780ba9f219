//! Test support: the event store's contract suite, histories and their checkers, temporary stores and
//! PostgreSQL servers, and the environment and client of a module's tests. A development dependency
//! only.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this crate is for tests only")]

pub mod cancelling;
pub mod client;
pub mod contract;
pub mod engines;
mod given;
pub mod golden;
pub mod history;
pub mod keys;
pub mod lists;
pub mod module_contract;
pub mod modules;
pub mod postgres;
pub mod random;
pub mod running;
pub mod statements;
pub mod stores;

pub use client::{Answer, Client, Mounted};
pub use database::Engine;
pub use given::{Given, When, given};
