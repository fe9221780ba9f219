//! EventStoreDB's gRPC protocol on top of any of our event stores: its official clients append to the
//! log, read it and subscribe to it.
//!
//! The protocol's messages are in `proto/`. [`WireServer`] listens; each service has a file: `streams`
//! (which delegates to `appending`, `batches`, `deleting`, `reading` and `subscribing`), `discovery`,
//! `monitoring`, and `module_store`, a service of our own for remote modules. Calls that the server
//! does not support are answered UNIMPLEMENTED and not advertised.
//!
//! Only a module writes its own streams ([`Ownership`]): others may read them, and no caller truncates
//! them. The metadata of all other streams decides which of their events are hidden (`lifecycle`), and
//! `scavenging` removes hidden events.

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
