//! The event store in a SQLite file. WAL with `synchronous=FULL`: a commit is durable before it is
//! acknowledged.

mod connection;
mod keys;
mod reading;
mod scavenging;
mod writing;

use std::sync::Arc;

use async_trait::async_trait;
use database::{DatabaseError, Transactions, sqlite_options, sqlite_path};
use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use kernel::keys::SecretKey;
use kernel::outage::Outage;
use kernel::planning::validate;
use kernel::seams::SharedClock;
use kernel::store::{
    AppendError, AppendRequest, Appended, EventLocation, EventStore, LogPage, PAGE_BYTES, ReadError,
};
use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{Sqlite, SqliteSynchronous};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::connection::Readers;
use crate::appender::Queue;
use crate::keys::SqlKeyVault;
use crate::recent::Recent;
use crate::snapshots::{self, SqlSnapshots};
use crate::{
    Closing as AnyClosing, Identity, ONLY_INCARNATION, OpenError, Opened, StoreOptions,
    check_master_key, raise,
};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite/event_store");

/// Connections that read keys and snapshots; the connections that read events are separate.
const SIDE_READERS: u32 = 2;
database::statements! {
    /// The statements on the log itself.
    pub(crate) const OF_THE_LOG: [&str];

    const FIND_LOG: &str = "SELECT log_id, master_key_check FROM log";
    const CREATE_LOG: &str = "INSERT INTO log (one, log_id, master_key_check, created_at) \
         VALUES (1, $1, $2, $3) ON CONFLICT (one) DO NOTHING";
}

/// Every statement, for the test that prepares them.
pub const STATEMENTS: &[&[&str]] = &[
    OF_THE_LOG,
    keys::STATEMENTS,
    reading::STATEMENTS,
    scavenging::STATEMENTS,
    snapshots::STATEMENTS,
    writing::STATEMENTS,
];

/// The event store in a SQLite file.
struct SqliteStore {
    log_id: Uuid,
    readers: Readers,
    queue: Queue,
    recent: Arc<Recent>,
    head: watch::Receiver<Position>,
    /// A connection that removes events.
    scavenger: Transactions<Sqlite>,
    max_event_bytes: usize,
}

/// The parts that are stopped when the store is closed.
pub(crate) struct Closing {
    appender: JoinHandle<()>,
    poller: JoinHandle<()>,
    stop: tokio_util::sync::CancellationToken,
    readers: Readers,
    side_readers: SqlitePool,
    writers: Vec<Transactions<Sqlite>>,
}

impl Closing {
    pub(crate) async fn close(self) {
        self.stop.cancel();
        for task in [self.appender, self.poller] {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the event store ended unexpectedly");
            }
        }
        self.readers.close().await;
        self.side_readers.close().await;
        for writer in self.writers {
            writer.close().await;
        }
    }
}

pub(crate) async fn open(
    url: &str,
    master_key: &SecretKey,
    clock: SharedClock,
    options: StoreOptions,
) -> Result<Opened, OpenError> {
    let path = sqlite_path(url)?;
    let connect = sqlite_options(&path, SqliteSynchronous::Full)?;
    // A pool of one connection, which writes.
    let one = || PoolOptions::new().max_connections(1);
    // Keys that are moved while a table is rewritten are not written to a temporary file.
    let keys = Transactions::on_sqlite(one(), connect.clone().pragma("temp_store", "MEMORY"));
    drop(keys.statements().acquire().await.map_err(DatabaseError::Sql)?);
    database::migrate(keys.statements(), &MIGRATIONS, "event_store").await?;
    let log_id = identify(keys.statements(), master_key, &clock).await?;
    let side_readers =
        PoolOptions::new().max_connections(SIDE_READERS).connect_lazy_with(connect.read_only(true));
    // Its writes may be lost in a crash: snapshots are created again, and events removed again.
    let side_writer =
        Transactions::on_sqlite(one(), sqlite_options(&path, SqliteSynchronous::Normal)?);
    let readers = Readers::new(path.clone());
    let at = readers.head().await?;
    let (head_sender, head) = watch::channel(at);
    let head_sender = Arc::new(head_sender);
    let recent = Arc::new(Recent::default());
    let stop = tokio_util::sync::CancellationToken::new();
    let writer = writing::SqliteWriter::new(
        path,
        clock.clone(),
        Arc::clone(&recent),
        Arc::clone(&head_sender),
    );
    let (queue, appender) =
        Queue::start(writer, options.queue, options.queue_deadline, stop.clone());
    let poller = tokio::spawn(poll_head(readers.clone(), head_sender, options.poll, stop.clone()));
    let table = keys::SqliteKeys { writer: keys.clone(), readers: side_readers.clone() };
    let vault = SqlKeyVault { table, master_key: master_key.clone(), clock };
    let writers = side_writer.statements().clone();
    let snapshots = SqlSnapshots { writers, readers: side_readers.clone() };
    let scavenger = side_writer.clone();
    let writers = vec![side_writer, keys];
    let closing =
        Closing { appender, poller, stop, readers: readers.clone(), side_readers, writers };
    let max_event_bytes = options.max_event_bytes;
    let store = SqliteStore { log_id, readers, queue, recent, head, scavenger, max_event_bytes };
    Ok(Opened {
        store: Arc::new(store),
        vault: Arc::new(vault),
        snapshots: Arc::new(snapshots),
        closing: AnyClosing::Sqlite(closing),
    })
}

/// Reads the log's id, created when the log is first opened; refuses another master key.
async fn identify(
    pool: &SqlitePool,
    master_key: &SecretKey,
    clock: &SharedClock,
) -> Result<Uuid, OpenError> {
    let new = Identity::new(master_key, clock)?;
    sqlx::query(CREATE_LOG)
        .bind(new.log_id)
        .bind(new.master_key_check)
        .bind(new.created_at.timestamp_micros())
        .execute(pool)
        .await
        .map_err(DatabaseError::Sql)?;
    let (log_id, check): (Uuid, Vec<u8>) =
        sqlx::query_as(FIND_LOG).fetch_one(pool).await.map_err(DatabaseError::Sql)?;
    check_master_key(master_key, &check)?;
    Ok(log_id)
}

static UNREADABLE: Outage = Outage::new("log_head_unread", "cannot read the head of the log");
const FOLLOWER: &str = "event store";

/// Polls for events that other processes wrote into the same file.
async fn poll_head(
    readers: Readers,
    head: Arc<watch::Sender<Position>>,
    every: std::time::Duration,
    stop: tokio_util::sync::CancellationToken,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match readers.head().await {
            Ok(found) => {
                UNREADABLE.ends(FOLLOWER);
                raise(&head, found);
            }
            Err(error) => UNREADABLE.occurs(FOLLOWER, &error),
        }
    }
}

#[async_trait]
impl EventStore for SqliteStore {
    fn log_id(&self) -> Uuid {
        self.log_id
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        validate(&requests, self.max_event_bytes)?;
        self.queue.append(requests, ONLY_INCARNATION).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.readers.stream(stream, from, limit, usize::MAX).await
    }

    async fn read_stream_page(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.readers.stream(stream, from, limit, PAGE_BYTES).await
    }

    async fn read_last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        self.readers.last(stream).await
    }

    async fn find_in_stream(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<EventLocation>, ReadError> {
        self.readers.find(stream, event_id).await
    }

    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        let head = *self.head.borrow();
        if head <= after {
            return Ok(LogPage::nothing_after(after));
        }
        match self.recent.page(after, filter, limit) {
            Some(page) => Ok(page),
            None => self.readers.log(after, head, filter, limit).await,
        }
    }

    async fn read_correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.readers.correlation(correlation_id, after, limit).await
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        match self.recent.id_at(position) {
            Some(id) => Ok(Some(id)),
            None => self.readers.event_id_at(position).await,
        }
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.readers.head().await
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }

    async fn scavenge(
        &self,
        stream: &StreamName,
        below: Revision,
        limit: usize,
    ) -> Result<u64, AppendError> {
        let removed = scavenging::scavenge(&self.scavenger, stream, below, limit).await;
        let removed = removed.map_err(|error| AppendError::Unavailable(Box::new(error)))?;
        if removed < limit as u64 {
            // The stream has no more events to remove.
            self.recent.forget(stream, below);
        }
        Ok(removed)
    }

    async fn check_writable(&self) -> Result<(), AppendError> {
        self.queue.check().await
    }
}
