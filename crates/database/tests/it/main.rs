//! The database layer on both engines, and its behaviour when an engine fails.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod cancelling;
mod documents;
mod full_disk;
mod leases;
mod parked;
mod placement;
mod places;
mod read_models;
mod replicas;
mod server;
mod statements;
mod tables;
