//! The protocols' messages and services, generated from `proto/`.

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    reason = "documented in the .proto files"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/protocol.rs"));
}

pub use generated::bascule::store::v1 as store;
pub use generated::event_store::client as shared;
pub use generated::event_store::client::{gossip, monitoring, server_features, streams};
pub use generated::google::rpc;
