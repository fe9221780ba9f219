//! Histories of concurrent operations: the checkers themselves, and every backend before them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod checkers;
mod faulty;
mod processes;
mod stores;
