//! Connections to the schema of the event store.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use database::{DatabaseError, postgres_pool_options_if};
use sqlx::ConnectOptions as _;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, Postgres};
use uuid::Uuid;

use super::tail::{Found, Mark, Remembered, Tail};
use crate::StoreOptions;

pub(super) const SCHEMA: &str = "event_store";

/// Maximum time to open a connection, and to wait for a free one to read.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    pub(super) const WHO_AM_I: &str =
        "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    pub(super) const END_BACKEND: &str = "SELECT pg_terminate_backend(pid, 1000) \
         FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2";

    /// Queries a server's state of the log: whether it is a standby, the log's id, its last event, and
    /// the event at the remembered position. One statement, and so one snapshot.
    pub(super) const LOOK: &str = "\
SELECT pg_is_in_recovery(), (SELECT log_id FROM log), head.position, head.id, coalesce(
    (SELECT id FROM event WHERE position = $1), (SELECT id FROM scavenged WHERE position = $1)
)
FROM (SELECT) AS always
LEFT JOIN LATERAL (SELECT position, id FROM event ORDER BY position DESC LIMIT 1) AS head ON true";
}

type LookRow = (bool, Option<Uuid>, Option<i64>, Option<Uuid>, Option<Uuid>);

/// A server's state of the log.
pub(super) struct Looked {
    /// Its last event.
    pub(super) head: Mark,
    pub(super) incarnation: u64,
}

/// Compares a server's state with the remembered one. Refuses a standby: it lacks the end of the log
/// temporarily, which is not a loss.
pub(super) async fn look(
    connection: &mut PgConnection,
    tail: &Tail,
) -> Result<Looked, sqlx::Error> {
    loop {
        let asked = tail.remembered();
        let found = ask(connection, asked).await.inspect_err(|error| tail.refused(error))?;
        if let Some(incarnation) = tail.compare(asked, found) {
            return Ok(Looked { head: found.head, incarnation });
        }
    }
}

async fn ask(connection: &mut PgConnection, asked: Remembered) -> Result<Found, sqlx::Error> {
    let (is_standby, log_id, position, event_id, there): LookRow =
        sqlx::query_as(LOOK).bind(asked.last.position.cast_signed()).fetch_one(connection).await?;
    if is_standby {
        return Err(sqlx::Error::Protocol(
            "the database server is a standby: connect to the primary".to_owned(),
        ));
    }
    if asked.log_id.is_some() && log_id != asked.log_id {
        return Err(sqlx::Error::Protocol("the database contains another event log".to_owned()));
    }
    let position = position.map_or(0, i64::cast_unsigned);
    Ok(Found { head: Mark { position, event_id }, there })
}

/// Returns the options of every connection of the store.
pub(super) fn connect_options(
    url: &str,
    options: &StoreOptions,
) -> Result<PgConnectOptions, DatabaseError> {
    let timeout = format!("{}ms", options.statement_timeout.as_millis());
    Ok(database::postgres_options(url, SCHEMA, "bascule-event-store")?.options([
        ("statement_timeout", timeout.as_str()),
        ("idle_in_transaction_session_timeout", "10s"),
        ("idle_session_timeout", "0"),
        // A process that waited for the log's lock sees everything committed before.
        ("default_transaction_isolation", "read committed"),
        // Every statement uses an index. A plan made while a table was small would scan the whole
        // table, and would be cached.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("jit", "off"),
    ]))
}

/// Returns the options of connections whose commits are durable, whatever the server's default.
pub(super) fn durable(connect: &PgConnectOptions) -> PgConnectOptions {
    connect.clone().options([("synchronous_commit", "on")])
}

/// Returns the options of connections that read, notify and store snapshots, which need not be durable.
pub(super) fn not_durable(connect: &PgConnectOptions) -> PgConnectOptions {
    connect.clone().options([("synchronous_commit", "off")])
}

/// Returns the options of a pool of at most so many connections. Each of them is compared with the
/// remembered state of the log before it is used.
pub(super) fn pool(most: u32, lifetime: Duration, tail: &Arc<Tail>) -> PoolOptions<Postgres> {
    let (opened, used) = (Arc::clone(tail), Arc::clone(tail));
    postgres_pool_options_if(move |seen| !used.is_of_earlier_incarnation(seen.age))
        .after_connect(move |connection, _| {
            let tail = Arc::clone(&opened);
            Box::pin(async move { look(connection, &tail).await.map(drop) })
        })
        .max_connections(most)
        .acquire_timeout(CONNECT_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(lifetime)
}

/// A server process: its process id alone may be reused later.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backend {
    pid: i32,
    started: DateTime<Utc>,
}

impl Backend {
    /// Makes sure that it has ended: its transaction is then committed or rolled back. Returns an error
    /// if it does not end.
    pub(super) async fn end(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let ended: Option<bool> = sqlx::query_scalar(END_BACKEND)
            .bind(self.pid)
            .bind(self.started)
            .fetch_optional(connection)
            .await?;
        match ended {
            Some(false) => {
                Err(sqlx::Error::Protocol("a lost database session does not end".into()))
            }
            // It has ended now, or before.
            Some(true) | None => Ok(()),
        }
    }
}

/// The connection that writes.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) backend: Backend,
    /// The incarnation of the log to which it writes.
    pub(super) incarnation: u64,
}

impl Session {
    pub(super) async fn open(connect: &PgConnectOptions, tail: &Tail) -> Result<Self, sqlx::Error> {
        let opening = async {
            let mut connection = connect.connect().await?;
            let (pid, started) = sqlx::query_as(WHO_AM_I).fetch_one(&mut connection).await?;
            let Looked { incarnation, .. } = look(&mut connection, tail).await?;
            Ok(Self { connection, backend: Backend { pid, started }, incarnation })
        };
        within(CONNECT_TIMEOUT, opening).await
    }
}

/// Cancels a statement if the server does not respond at all.
pub(super) async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "the database server does not respond",
        )))
    })
}
