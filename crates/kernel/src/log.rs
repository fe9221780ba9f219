//! The log layer: events, the event store's port and shared foundations.
//!
//! This layer contains: events and their places ([`event`]), the port of the event store
//! ([`store`]), the append rules that all stores share ([`planning`]), the in-memory store, the log
//! reader, and the keys that seal personal data. It also contains what does not depend on events:
//! the clock and ids ([`seams`]), backoff, outages, serde error texts and credentials. Nothing here
//! depends on aggregates.

pub mod backoff;
pub(crate) mod complaint;
pub mod credentials;
pub mod decorator;
pub mod event;
pub mod keys;
pub mod memory;
pub mod outage;
pub mod planning;
pub mod reader;
pub mod seams;
pub mod shared_text;
pub mod store;
