//! What tests are made of: the event store's contract suite, histories and their checkers, throwaway
//! stores and PostgreSQL servers, and what a module's tests open it on and call it with. A
//! development dependency only.
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
