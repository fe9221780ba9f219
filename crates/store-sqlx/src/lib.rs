//! The event store, the key vault and the snapshots on SQL databases.
//!
//! One appender task per process gathers concurrent appends and commits them as one group: one
//! transaction and one fsync per batch, not per event. SQL is plain and static, one file per
//! engine.

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
    /// How often the log is looked at for what other processes wrote, if none of them says so.
    pub poll: Duration,
    /// Connections to PostgreSQL that read. Besides, a process needs up to four.
    pub readers: u32,
    /// How long a connection to PostgreSQL is used before another one takes its place: one that leads
    /// to a server that is no primary any more, or was told to write nothing, would stay for ever.
    pub session_lifetime: Duration,
    /// How long a statement may take on PostgreSQL.
    pub statement_timeout: Duration,
    /// How long appends wait for PostgreSQL to come back before they fail as unavailable. Once they
    /// have, the next ones fail at once until it is back.
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
    /// The events.
    pub store: Arc<dyn EventStore>,
    /// The keys of personal data.
    pub vault: Arc<dyn KeyVault>,
    /// States of aggregates whose streams are long.
    pub snapshots: Arc<dyn SnapshotStore>,
    closing: Closing,
}

/// What ends with a store.
enum Closing {
    Sqlite(sqlite::Closing),
    Postgres(postgres::Closing),
}

impl Opened {
    /// Finishes what is queued and closes every connection.
    pub async fn close(self) {
        match self.closing {
            Closing::Sqlite(closing) => closing.close().await,
            Closing::Postgres(closing) => closing.close().await,
        }
    }
}

/// Opens the store at a URL, making it if need be: `sqlite:<path of a file>`, or
/// `postgres://…/<database>`, where it is in the schema `event_store`.
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

/// Whether a store is there already, without making one.
pub async fn exists(url: &str) -> Result<bool, OpenError> {
    Ok(match Engine::of(url)? {
        Engine::Sqlite => database::sqlite_path(url)?.exists(),
        Engine::Postgres => postgres::exists(url).await?,
    })
}

/// Of a log that never goes back under an open store: SQLite's, whose file no failover replaces.
const ONLY_INCARNATION: u64 = 0;

const KEY_CHECK: &[u8] = b"bascule master key";
const KEY_CHECK_CONTEXT: &[u8] = b"master key check";

/// What identifies a log, kept in it from its making.
struct Identity {
    log_id: Uuid,
    /// A known text sealed with the master key.
    master_key_check: Vec<u8>,
    created_at: DateTime<Utc>,
}

impl Identity {
    /// Of a log that is made now.
    fn new(master_key: &SecretKey, clock: &SharedClock) -> Result<Self, KeyError> {
        let master_key_check = master_key.seal(KEY_CHECK, KEY_CHECK_CONTEXT)?;
        Ok(Self { log_id: new_id(), master_key_check, created_at: clock.now() })
    }
}

/// Refuses another master key than the one the log was made with.
fn check_master_key(master_key: &SecretKey, check: &[u8]) -> Result<(), KeyError> {
    match master_key.open(check, KEY_CHECK_CONTEXT) {
        Ok(_) => Ok(()),
        Err(_) => Err(KeyError::WrongMasterKey),
    }
}

/// What came with an event from outside, as two columns keep it.
fn foreign(metadata: Option<Vec<u8>>, is_json: Option<bool>) -> Option<Arc<Foreign>> {
    let (metadata, is_json) = (metadata?, is_json?);
    let content_type = if is_json { ContentType::Json } else { ContentType::Binary };
    Some(Arc::new(Foreign { content_type, metadata }))
}

/// Publishes a head, unless a later one is known.
fn raise(head: &watch::Sender<Position>, found: Position) {
    head.send_if_modified(|known| {
        let later = found > *known;
        if later {
            *known = found;
        }
        later
    });
}
