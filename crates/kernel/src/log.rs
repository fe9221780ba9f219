//! The log, and what everything stands on.
//!
//! Here belong: events and their places ([`event`]), the port of the store that keeps them ([`store`]),
//! what every store decides alike ([`planning`]), the store in memory, reading the log from a position
//! on, the keys that seal personal data in it, and what knows nothing of events: the clock and ids
//! ([`seams`]), pauses, outages, complaints, credentials. Nothing here knows what an aggregate is.

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
