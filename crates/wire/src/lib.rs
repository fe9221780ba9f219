//! EventStoreDB's gRPC protocol, served by any event store of ours: its official clients append to
//! the log, read it and subscribe to it.
//!
//! The protocol's messages stand in `proto/`. [`WireServer`] listens; each service has a file:
//! `streams` (which hands on to `appending`, `batches`, `deleting`, `reading` and `subscribing`),
//! `discovery`, `monitoring`, and `module_store`, a service of our own for modules that live
//! elsewhere. What the server does not speak is answered UNIMPLEMENTED and not advertised.
//!
//! Streams of modules are theirs ([`Ownership`]): others read them, nobody truncates them. For the
//! others `lifecycle` says what their metadata hides, and `scavenging` removes it.

mod accounts;
mod appending;
mod batches;
mod calls;
mod capacity;
mod connections;
mod decoding;
mod deleting;
mod discovery;
mod encoded;
mod endpoint;
mod expectation;
mod filter;
mod guard;
mod identifiers;
mod lifecycle;
mod module_store;
mod monitoring;
mod ownership;
mod paging;
mod presentation;
mod prompt;
mod proposed;
mod protocol;
mod reading;
mod refusal;
mod rights;
mod scavenging;
mod server;
mod settings;
mod streams;
mod subscribing;

pub use accounts::AccountsError;
pub use calls::table as table_of_calls;
pub use endpoint::Served;
pub use ownership::{Owner, Ownership};
pub use rights::{Right, UnknownRight};
pub use server::{StartError, WireServer};
pub use settings::{AccountSettings, Secret, TlsSettings, WireSettings};
