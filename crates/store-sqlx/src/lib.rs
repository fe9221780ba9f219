//! The event store, the key vault and the snapshots on SQL databases.
//!
//! One appender task per process collects concurrent appends and commits them as one group: one
//! transaction and one fsync per group, not per event. SQL is plain and static, one file per engine.

mod appender;
mod interning;
mod keys;
mod postgres;
mod recent;
mod snapshots;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use database::{DatabaseError, Engine};
use kernel::event::{ContentType, Foreign, Position};
use kernel::keys::{KeyError, KeyVault, SecretKey};
use kernel::planning::MAX_EVENT_BYTES;
use kernel::seams::{SharedClock, new_id};
use kernel::snapshot::SnapshotStore;
use kernel::store::{EventStore, ReadError};
use tokio::sync::watch;
use uuid::Uuid;

pub use postgres::STATEMENTS as POSTGRES_STATEMENTS;
pub use sqlite::STATEMENTS as SQLITE_STATEMENTS;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The master key is not the one of this store.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Options of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Maximum number of queued appends.
    pub queue: usize,
    /// How long an append waits for a place in the queue before it fails as overloaded.
    pub queue_deadline: Duration,
    /// Maximum size of an event, in bytes.
    pub max_event_bytes: usize,
    /// How often the log is polled for events of other processes, if no notification arrives.
    pub poll: Duration,
    /// Number of connections to PostgreSQL that read. A process needs up to four more.
    pub readers: u32,
    /// How long a connection to PostgreSQL is used before it is replaced: without a limit, a connection
    /// to a server that is no longer the primary, or that became read-only, would be used for ever.
    pub session_lifetime: Duration,
    /// Maximum duration of a statement on PostgreSQL.
    pub statement_timeout: Duration,
    /// How long appends wait for PostgreSQL to become available before they fail as unavailable. After
    /// such a failure, further appends fail at once until it is available.
    pub patience: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            queue: 1024,
            queue_deadline: Duration::from_secs(2),
            max_event_bytes: MAX_EVENT_BYTES,
            poll: Duration::from_millis(200),
            readers: 8,
            session_lifetime: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(5),
        }
    }
}

/// An open store.
pub struct Opened {
    /// The event store.
    pub store: Arc<dyn EventStore>,
    /// The keys of personal data.
    pub vault: Arc<dyn KeyVault>,
    /// The snapshots of aggregates with long streams.
    pub snapshots: Arc<dyn SnapshotStore>,
    closing: Closing,
}

/// The parts that are stopped when a store is closed.
enum Closing {
    Sqlite(sqlite::Closing),
    Postgres(postgres::Closing),
}

impl Opened {
    /// Writes what is queued and closes every connection.
    pub async fn close(self) {
        match self.closing {
            Closing::Sqlite(closing) => closing.close().await,
            Closing::Postgres(closing) => closing.close().await,
        }
    }
}

/// Opens the store at a URL, creating it if needed: `sqlite:<path of a file>`, or
/// `postgres://…/<database>`, where it uses the schema `event_store`.
pub async fn open(
    url: &str,
    master_key: &SecretKey,
    clock: SharedClock,
    options: StoreOptions,
) -> Result<Opened, OpenError> {
    match Engine::of(url)? {
        Engine::Sqlite => sqlite::open(url, master_key, clock, options).await,
        Engine::Postgres => postgres::open(url, master_key, clock, options).await,
    }
}

/// Returns whether the store exists, without creating it.
pub async fn exists(url: &str) -> Result<bool, OpenError> {
    Ok(match Engine::of(url)? {
        Engine::Sqlite => database::sqlite_path(url)?.exists(),
        Engine::Postgres => postgres::exists(url).await?,
    })
}

/// The incarnation of a log that is never reset while a store is open: SQLite's, whose file no failover
/// replaces.
const ONLY_INCARNATION: u64 = 0;

const KEY_CHECK: &[u8] = b"bascule master key";
const KEY_CHECK_CONTEXT: &[u8] = b"master key check";

/// The identity of a log, stored in it when it is created.
struct Identity {
    log_id: Uuid,
    /// A known text encrypted with the master key.
    master_key_check: Vec<u8>,
    created_at: DateTime<Utc>,
}

impl Identity {
    /// Returns the identity of a new log.
    fn new(master_key: &SecretKey, clock: &SharedClock) -> Result<Self, KeyError> {
        let master_key_check = master_key.seal(KEY_CHECK, KEY_CHECK_CONTEXT)?;
        Ok(Self { log_id: new_id(), master_key_check, created_at: clock.now() })
    }
}

/// Returns an error if the master key is not the one with which the log was created.
fn check_master_key(master_key: &SecretKey, check: &[u8]) -> Result<(), KeyError> {
    match master_key.open(check, KEY_CHECK_CONTEXT) {
        Ok(_) => Ok(()),
        Err(_) => Err(KeyError::WrongMasterKey),
    }
}

/// Returns the metadata of an event from outside, which is stored in two columns.
fn foreign(metadata: Option<Vec<u8>>, is_json: Option<bool>) -> Option<Arc<Foreign>> {
    let (metadata, is_json) = (metadata?, is_json?);
    let content_type = if is_json { ContentType::Json } else { ContentType::Binary };
    Some(Arc::new(Foreign { content_type, metadata }))
}

/// Publishes a head, unless a later one is published.
fn raise(head: &watch::Sender<Position>, found: Position) {
    head.send_if_modified(|known| {
        let later = found > *known;
        if later {
            *known = found;
        }
        later
    });
}
