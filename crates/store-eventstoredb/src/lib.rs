//! The event store of another bascule, accessed over the network: events are read with the official
//! client of EventStoreDB, and the rest comes from the service `bascule.store.v1.Store` next to it:
//! appends to several streams, look-ups, keys of personal data.
//!
//! # Open questions on KurrentDB clusters
//!
//! A log without that service is refused when it is opened: it cannot store the keys of personal data,
//! and cannot append to several streams at once, which every set of our modules needs (ADR 13). No
//! cluster was available for tests, so these questions are open: what a conflict of `Append` looks like
//! on each version, whether ids deduplicate beyond the last events of a stream, what a read from a
//! scavenged position returns, how a change of leader shows, and whether positions are the same after a
//! restore.

mod connection;
mod events;
mod head;
mod reading;
mod store;
mod vault;

/// Generated from the description of the service.
#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
mod protocol {
    tonic::include_proto!("protocol");
}

use std::sync::Arc;

use kernel::keys::KeyVault;
use kernel::store::{BoxError, EventStore};
use tokio_util::sync::CancellationToken;

use self::connection::{BadAnswer, Connection};
use self::head::Head;
use self::store::RemoteStore;
use self::vault::RemoteVault;

/// The service that is used next to EventStoreDB's protocol.
pub(crate) use self::protocol::bascule::store::v1 as service;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not valid.
    #[error(
        "`{0}` is not the address of an event store: expected esdb://[user:password@]host:2113?tls=true|false"
    )]
    Url(String),
    /// The certificate of an authority cannot be read.
    #[error("cannot read the certificate {file}")]
    Certificate {
        /// The file.
        file: String,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The server does not respond, or refuses this account.
    #[error(
        "cannot use the event store: check that it is served there (`bascule serve --wire-listen`), and that the account and `tls=` in the URL are right"
    )]
    Unreachable(#[source] BoxError),
    /// The server is not a bascule.
    #[error(
        "the event store is not served by bascule: it cannot append to several streams at once or store keys, and modules need both. Serve a store with `bascule serve --wire-listen`"
    )]
    Foreign,
}

/// An open store.
pub struct Opened {
    /// The event store.
    pub store: Arc<dyn EventStore>,
    /// The keys of personal data, as far as this module's account has a right to them.
    pub vault: Arc<dyn KeyVault>,
    stop: CancellationToken,
}

impl Opened {
    /// Stops following the log.
    pub fn close(self) {
        self.stop.cancel();
    }
}

/// Returns whether a URL is for a store of this kind.
pub fn is_ours(url: &str) -> bool {
    url.starts_with("esdb://")
}

/// Opens the store at a URL: `esdb://[user:password@]host:2113?tls=true|false`, with `tlsCaFile=` for
/// the certificate of a private authority.
pub async fn open(url: &str) -> Result<Opened, OpenError> {
    let connection = Connection::open(url).await?;
    let stop = CancellationToken::new();
    let head = Arc::new(Head::new(connection.clone()));
    let log = head.look().await.map_err(|status| match status.code() {
        tonic::Code::Unimplemented => OpenError::Foreign,
        _ => OpenError::Unreachable(Box::new(BadAnswer::from(status))),
    })?;
    // Its first use selects the cryptography of the process, and must not come after another selection.
    connection.try_reading().await.map_err(|error| OpenError::Unreachable(Box::new(error)))?;
    head.follow(stop.clone());
    let store = RemoteStore::new(connection.clone(), log.log_id, head);
    let vault = RemoteVault::new(connection);
    Ok(Opened { store: Arc::new(store), vault: Arc::new(vault), stop })
}
