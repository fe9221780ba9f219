//! The event store of another bascule, reached over the network: events are read with the official
//! client of EventStoreDB, and what its protocol lacks comes from the service
//! `bascule.store.v1.Store` beside it: appends to several streams, look-ups, keys of personal data.
//!
//! # What a cluster of KurrentDB could not be asked
//!
//! A log without that service is refused when it is opened: it has no place for the keys of personal
//! data, and no append to several streams at once, without which no set of our modules can do (ADR 13).
//! None was at hand, so these are open: what a conflict of `Append` looks like on each version, whether
//! ids deduplicate beyond the last events of a stream, what reading from a position that was scavenged
//! gives, how a leader's change shows, and whether positions stay what they were after a restore.

mod connection;
mod events;
mod head;
mod reading;
mod store;
mod vault;

/// What the build made of the description of the service.
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

/// The service that is used beside EventStoreDB's protocol.
pub(crate) use self::protocol::bascule::store::v1 as service;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be understood.
    #[error(
        "`{0}` is no address of an event store: expected esdb://[user:password@]host:2113?tls=true|false"
    )]
    Url(String),
    /// The certificate of an authority cannot be read.
    #[error("the certificate {file} cannot be read")]
    Certificate {
        /// Its file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It does not answer, or not to us.
    #[error(
        "the event store cannot be used: is it served there (`bascule serve --wire-listen`), and are the account and `tls=` right?"
    )]
    Unreachable(#[source] BoxError),
    /// It is a store of another kind.
    #[error(
        "the event store is none of bascule's: it appends to one stream at a time and has no place for keys, and modules need both. Serve one with `bascule serve --wire-listen`"
    )]
    Foreign,
}

/// An open store.
pub struct Opened {
    /// The events.
    pub store: Arc<dyn EventStore>,
    /// The keys of personal data, as far as this module's account has a right to them.
    pub vault: Arc<dyn KeyVault>,
    stop: CancellationToken,
}

impl Opened {
    /// Ends what follows the log.
    pub fn close(self) {
        self.stop.cancel();
    }
}

/// Whether a URL leads to a store of this kind.
pub fn is_ours(url: &str) -> bool {
    url.starts_with("esdb://")
}

/// Opens the store at a URL: `esdb://[user:password@]host:2113?tls=true|false`, and `tlsCaFile=` for
/// a certificate of one's own authority.
pub async fn open(url: &str) -> Result<Opened, OpenError> {
    let connection = Connection::open(url).await?;
    let stop = CancellationToken::new();
    let head = Arc::new(Head::new(connection.clone()));
    let log = head.look().await.map_err(|status| match status.code() {
        tonic::Code::Unimplemented => OpenError::Foreign,
        _ => OpenError::Unreachable(Box::new(BadAnswer::from(status))),
    })?;
    // Its first use chooses the cryptography of the process, and may not come after another choice.
    connection.try_reading().await.map_err(|error| OpenError::Unreachable(Box::new(error)))?;
    head.follow(stop.clone());
    let store = RemoteStore::new(connection.clone(), log.log_id, head);
    let vault = RemoteVault::new(connection);
    Ok(Opened { store: Arc::new(store), vault: Arc::new(vault), stop })
}
