//! How connections to the event store's schema are opened.

use std::time::Duration;

use chrono::{DateTime, Utc};
use database::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::StoreOptions;

pub(super) const SCHEMA: &str = "event_store";

/// How long a connection may take to open, and a reader waits for one that is free.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After how long unused a connection is tried before it is used again.
const TRIED_AFTER: Duration = Duration::from_secs(1);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) const WHO_AM_I: &str =
    "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()";
pub(super) const END_BACKEND: &str = "SELECT pg_terminate_backend(pid, 1000) \
     FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2";

/// How every connection of the store is opened.
pub(super) fn connect_options(
    url: &str,
    options: &StoreOptions,
) -> Result<PgConnectOptions, DatabaseError> {
    let timeout = format!("{}ms", options.statement_timeout.as_millis());
    Ok(database::postgres_options(url, SCHEMA, "bascule-event-store")?.options([
        ("statement_timeout", timeout.as_str()),
        ("idle_in_transaction_session_timeout", "10s"),
        ("idle_session_timeout", "0"),
        // Whoever waited for the log's lock sees what was committed before.
        ("default_transaction_isolation", "read committed"),
        // Every statement goes by an index. A plan made while a table was small would go through
        // the whole of it, and be kept.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("jit", "off"),
    ]))
}

/// The same for what must be on the disk when it is committed, whatever the server's default.
pub(super) fn durable(connect: &PgConnectOptions) -> PgConnectOptions {
    connect.clone().options([("synchronous_commit", "on")])
}

/// The same for connections that read, notify and keep snapshots: that needs no disk.
pub(super) fn not_durable(connect: &PgConnectOptions) -> PgConnectOptions {
    connect.clone().options([("synchronous_commit", "off")])
}

/// Up to so many connections, opened when they are needed.
pub(super) fn pool(connect: PgConnectOptions, most: u32, lifetime: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(CONNECT_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(lifetime)
        .test_before_acquire(false)
        .before_acquire(|connection, seen| {
            Box::pin(async move {
                if seen.idle_for > TRIED_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(connect)
}

/// A server process: its number alone may be given to another one later.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backend {
    pid: i32,
    started: DateTime<Utc>,
}

impl Backend {
    /// Makes sure that it does no more: what it was doing is then committed or rolled back. Fails
    /// if it does not end.
    pub(super) async fn end(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let ended: Option<bool> = sqlx::query_scalar(END_BACKEND)
            .bind(self.pid)
            .bind(self.started)
            .fetch_optional(connection)
            .await?;
        match ended {
            Some(false) => Err(sqlx::Error::Protocol("a lost session does not end".into())),
            // Ended now, or before.
            Some(true) | None => Ok(()),
        }
    }
}

/// The connection that writes.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) backend: Backend,
}

impl Session {
    pub(super) async fn open(connect: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let opening = async {
            let mut connection = connect.connect().await?;
            let (pid, started) = sqlx::query_as(WHO_AM_I).fetch_one(&mut connection).await?;
            Ok(Self { connection, backend: Backend { pid, started } })
        };
        within(CONNECT_TIMEOUT, opening).await
    }
}

/// Gives up on a server that says nothing at all.
pub(super) async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "the database server does not answer",
        )))
    })
}
