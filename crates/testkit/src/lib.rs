//! What tests are made of: the event store's contract suite and throwaway stores. A development
//! dependency only.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this crate is for tests only")]

pub mod contract;
pub mod stores;
