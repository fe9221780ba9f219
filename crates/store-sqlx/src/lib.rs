//! The event store and the key vault on SQL databases.
//!
//! One appender task per process gathers concurrent appends and commits them as one group: one
//! transaction and one fsync per batch, not per event. SQL is plain and static, one file per
//! engine.

mod appender;
mod interning;
mod recent;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use database::DatabaseError;
use kernel::keys::{KeyError, KeyVault, SecretKey};
use kernel::planning::MAX_EVENT_BYTES;
use kernel::seams::SharedClock;
use kernel::store::{EventStore, ReadError};

pub use sqlite::STATEMENTS as SQLITE_STATEMENTS;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The master key does not fit.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Appends that may wait for their turn.
    pub queue: usize,
    /// How long an append waits for a place in the queue before it fails as overloaded.
    pub queue_deadline: Duration,
    /// Largest event, in bytes.
    pub max_event_bytes: usize,
    /// How often the log is looked at for what other processes wrote.
    pub poll: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            queue: 1024,
            queue_deadline: Duration::from_secs(2),
            max_event_bytes: MAX_EVENT_BYTES,
            poll: Duration::from_millis(200),
        }
    }
}

/// An open store.
pub struct Opened {
    /// The events.
    pub store: Arc<dyn EventStore>,
    /// The keys of personal data.
    pub vault: Arc<dyn KeyVault>,
    closing: sqlite::Closing,
}

impl Opened {
    /// Finishes what is queued and closes every connection.
    pub async fn close(self) {
        self.closing.close().await;
    }
}

/// Opens the store at a URL, making it if need be.
pub async fn open(
    url: &str,
    master_key: &SecretKey,
    clock: SharedClock,
    options: StoreOptions,
) -> Result<Opened, OpenError> {
    sqlite::open(url, master_key, clock, options).await
}
