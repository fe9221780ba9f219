//! The event store in PostgreSQL, for any number of concurrent processes. A commit is durable before it
//! is acknowledged (`synchronous_commit=on`).

mod batch;
mod connecting;
mod facts;
mod failure;
mod following;
mod keys;
mod reading;
mod scavenging;
mod streams;
mod tail;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use database::{DatabaseError, Transactions};
use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use kernel::keys::SecretKey;
use kernel::planning::validate;
use kernel::seams::{SharedClock, new_id};
use kernel::store::{
    AppendError, AppendRequest, Appended, EventLocation, EventStore, LogPage, PAGE_BYTES, ReadError,
};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::connecting::{durable, not_durable, pool};
use self::following::Follower;
use self::reading::Readers;
use self::tail::Tail;
use self::writing::PostgresWriter;
use crate::appender::Queue;
use crate::keys::SqlKeyVault;
use crate::snapshots::{self, SqlSnapshots};
use crate::{Closing as AnyClosing, Identity, OpenError, Opened, StoreOptions, check_master_key};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres/event_store");

database::statements! {
    /// The statements on the log itself.
    pub(crate) const OF_THE_LOG: [&str];

    const IS_THERE: &str = "SELECT to_regclass('event_store.log') IS NOT NULL";
    const FIND_LOG: &str = "SELECT log_id, master_key_check FROM log";
    const CREATE_LOG: &str = "INSERT INTO log (log_id, master_key_check, created_at) \
         VALUES ($1, $2, $3) ON CONFLICT (one) DO NOTHING";
}

/// Every statement, for the test that prepares them.
pub const STATEMENTS: &[&[&str]] = &[
    OF_THE_LOG,
    batch::STATEMENTS,
    connecting::STATEMENTS,
    facts::STATEMENTS,
    following::STATEMENTS,
    keys::STATEMENTS,
    reading::STATEMENTS,
    scavenging::STATEMENTS,
    snapshots::STATEMENTS,
    writing::STATEMENTS,
];

/// The event store in PostgreSQL.
struct PostgresStore {
    log_id: Uuid,
    readers: Readers,
    queue: Queue,
    tail: Arc<Tail>,
    /// A connection that removes events.
    scavenger: PgPool,
    max_event_bytes: usize,
}

/// The parts that are stopped when the store is closed.
pub(crate) struct Closing {
    appender: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
    stop_appending: CancellationToken,
    stop: CancellationToken,
    pools: Vec<PgPool>,
    key_writers: Transactions<Postgres>,
}

impl Closing {
    pub(crate) async fn close(self) {
        self.stop_appending.cancel();
        // The last appends are answered once the follower has read the events written before them.
        wait_for(self.appender).await;
        self.stop.cancel();
        self.key_writers.close().await;
        // Closing the pools cancels those who wait for a connection.
        for pool in self.pools {
            pool.close().await;
        }
        for task in self.others {
            wait_for(task).await;
        }
    }
}

async fn wait_for(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "a task of the event store ended unexpectedly");
    }
}

/// Returns whether the database contains a log.
pub(crate) async fn exists(url: &str) -> Result<bool, DatabaseError> {
    let connect = connecting::connect_options(url, &StoreOptions::default())?;
    let mut connection = connect.connect().await?;
    let is_there = sqlx::query_scalar(IS_THERE).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(is_there)
}

pub(crate) async fn open(
    url: &str,
    master_key: &SecretKey,
    clock: SharedClock,
    options: StoreOptions,
) -> Result<Opened, OpenError> {
    let connect = connecting::connect_options(url, &options)?;
    database::migrate_postgres(&connect, connecting::SCHEMA, &[&MIGRATIONS], connecting::SCHEMA)
        .await?;
    let tail = Arc::new(Tail::new());
    let lifetime = options.session_lifetime;
    let pool = |most| pool(most, lifetime, &tail);
    let readers = Readers {
        pool: pool(options.readers).connect_lazy_with(not_durable(&connect)),
        timeout: options.statement_timeout + Duration::from_secs(1),
        tail: Arc::clone(&tail),
    };
    let key_writers = Transactions::on_postgres(pool(1), durable(&connect));
    let listeners = pool(1).connect_lazy_with(not_durable(&connect));
    // Its writes may be lost in a crash: snapshots are created again, and events removed again.
    let side_writer = pool(1).connect_lazy_with(not_durable(&connect));
    let log_id = identify(&key_writers, master_key, &clock).await?;
    tail.open(log_id, readers.look().await?);
    let (stop_appending, stop) = (CancellationToken::new(), CancellationToken::new());

    let writer =
        PostgresWriter::new(durable(&connect), clock.clone(), Arc::clone(&tail), options.clone());
    let (queue, appender) =
        Queue::start(writer, options.queue, options.queue_deadline, stop_appending.clone());
    let follower =
        Follower { tail: Arc::clone(&tail), readers: readers.clone(), poll: options.poll };
    let own = new_id();
    let others = vec![
        tokio::spawn(follower.run(stop.clone())),
        tokio::spawn(following::listen(Arc::clone(&tail), listeners.clone(), own)),
        tokio::spawn(following::notify(Arc::clone(&tail), readers.pool.clone(), own, stop.clone())),
    ];
    let table = keys::PostgresKeys { writers: key_writers.clone(), readers: readers.pool.clone() };
    let vault = SqlKeyVault { table, master_key: master_key.clone(), clock };
    let snapshots = SqlSnapshots { writers: side_writer.clone(), readers: readers.pool.clone() };
    let scavenger = side_writer.clone();
    let pools = vec![listeners, side_writer, readers.pool.clone()];
    let closing = Closing { appender, others, stop_appending, stop, pools, key_writers };
    let max_event_bytes = options.max_event_bytes;
    let store = PostgresStore { log_id, readers, queue, tail, scavenger, max_event_bytes };
    Ok(Opened {
        store: Arc::new(store),
        vault: Arc::new(vault),
        snapshots: Arc::new(snapshots),
        closing: AnyClosing::Postgres(closing),
    })
}

/// Reads the log's id, created when the log is first opened; refuses another master key.
async fn identify(
    writers: &Transactions<Postgres>,
    master_key: &SecretKey,
    clock: &SharedClock,
) -> Result<Uuid, OpenError> {
    let new = Identity::new(master_key, clock)?;
    let mut transaction = writers.begin("BEGIN").await.map_err(DatabaseError::Sql)?;
    sqlx::query(CREATE_LOG)
        .bind(new.log_id)
        .bind(new.master_key_check)
        .bind(new.created_at)
        .execute(&mut *transaction)
        .await
        .map_err(DatabaseError::Sql)?;
    let (log_id, check): (Uuid, Vec<u8>) =
        sqlx::query_as(FIND_LOG).fetch_one(&mut *transaction).await.map_err(DatabaseError::Sql)?;
    transaction.commit().await.map_err(DatabaseError::Sql)?;
    check_master_key(master_key, &check)?;
    Ok(log_id)
}

/// PostgreSQL cannot store NUL in text.
fn check_texts(requests: &[AppendRequest]) -> Result<(), AppendError> {
    for event in requests.iter().flat_map(|request| &request.events) {
        let metadata = &event.metadata;
        let texts = [event.event_type.as_str(), &metadata.actor, &metadata.origin_system];
        let traceparent = metadata.traceparent.as_deref();
        if texts.into_iter().chain(traceparent).any(|text| text.contains('\0')) {
            let problem = format!("a text field of event {} contains a NUL character", event.id);
            return Err(AppendError::Invalid(problem));
        }
    }
    Ok(())
}

impl PostgresStore {
    /// Records an event that was read: it may be later than the known head of the log.
    fn saw(&self, event: Option<&Arc<RecordedEvent>>) {
        if let Some(event) = event {
            self.tail.seen(event.position);
        }
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    fn log_id(&self) -> Uuid {
        self.log_id
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        validate(&requests, self.max_event_bytes)?;
        check_texts(&requests)?;
        self.queue.append(requests, self.tail.incarnation()).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let events = self.readers.stream(stream, from, limit, usize::MAX).await?;
        self.saw(events.last());
        Ok(events)
    }

    async fn read_stream_page(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let events = self.readers.stream(stream, from, limit, PAGE_BYTES).await?;
        self.saw(events.last());
        Ok(events)
    }

    async fn read_last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        let event = self.readers.last(stream).await?;
        self.saw(event.as_ref());
        Ok(event)
    }

    async fn find_in_stream(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<EventLocation>, ReadError> {
        let place = self.readers.find(stream, event_id).await?;
        if let Some(place) = place {
            self.tail.seen(place.position);
        }
        Ok(place)
    }

    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        match self.tail.page(after, filter, limit) {
            Ok(page) => Ok(page),
            Err(end) => self.readers.log(after, end, filter, limit).await,
        }
    }

    async fn read_correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let events = self.readers.correlation(correlation_id, after, limit).await?;
        self.saw(events.last());
        Ok(events)
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        match self.tail.recent.id_at(position) {
            Some(id) => Ok(Some(id)),
            None => self.readers.event_id_at(position).await,
        }
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let head = self.readers.head().await?;
        self.tail.seen(head);
        Ok(head)
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.tail.subscribe()
    }

    fn watch_incarnation(&self) -> watch::Receiver<u64> {
        self.tail.watch_incarnation()
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
            self.tail.recent.forget(stream, below);
        }
        Ok(removed)
    }

    async fn check_writable(&self) -> Result<(), AppendError> {
        self.queue.check().await?;
        match self.readers.is_read_only().await {
            Ok(false) => Ok(()),
            Ok(true) => Err(AppendError::Unavailable("the database is read-only".into())),
            Err(error) => Err(AppendError::Unavailable(Box::new(error))),
        }
    }
}
