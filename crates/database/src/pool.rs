//! Transactions on either engine: begun only on the connections of [`Transactions`].
//!
//! A single statement is acknowledged when it returns. On a connection with an open transaction that
//! was left behind unnoticed, it would be rolled back later. Two independent measures prevent that such
//! a connection is used:
//!
//! - A transaction is never begun in part. In sqlx 0.9.0 a `BEGIN` whose future is dropped leaves the
//!   PostgreSQL session in a transaction (<https://github.com/transact-rs/sqlx/issues/4393>).
//! - A session that is returned to the pool within a transaction, for whatever reason, is closed.
//!
//! On a plain [`Pool`] no transaction is ever begun: `clippy.toml` bans the methods of sqlx that do.
//! Plain pools execute single statements only, at no extra cost.

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, Postgres};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions};
use sqlx::{Connection as _, Pool, SqlSafeStr as _};

/// Connections for transactions. Cheap to clone.
#[derive(Debug)]
pub struct Transactions<DB: sqlx::Database>(Pool<DB>);

impl<DB: sqlx::Database> Clone for Transactions<DB> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<DB: sqlx::Database> Transactions<DB> {
    /// Begins a transaction with a statement that begins one. A dropped future leaves no transaction
    /// open: it is rolled back.
    pub async fn begin(
        &self,
        statement: &'static str,
    ) -> Result<sqlx::Transaction<'static, DB>, sqlx::Error> {
        // Waiting for a connection can be cancelled, so that none is acquired for a cancelled caller.
        let connection = self.0.acquire().await?;
        // In a task of its own, which continues without the caller and then drops the transaction. If
        // the runtime ends first, the connection ends with it.
        #[expect(clippy::disallowed_methods, reason = "the only place that begins a transaction")]
        let beginning = sqlx::Transaction::begin(connection, Some(statement.into_sql_str()));
        let begun = tokio::spawn(beginning).await;
        begun.unwrap_or_else(|error| Err(sqlx::Error::Io(std::io::Error::other(error))))
    }

    /// Returns the same connections, for statements that are transactions by themselves.
    pub fn statements(&self) -> &Pool<DB> {
        &self.0
    }

    /// Waits for the open transactions and closes every connection.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

impl Transactions<Postgres> {
    /// Returns a pool with the given options; connections are opened on demand. A connection that is
    /// returned within a transaction is closed.
    pub fn on_postgres(options: PoolOptions<Postgres>, connect: PgConnectOptions) -> Self {
        let options = options.after_release(|connection, _| {
            Box::pin(async move {
                let is_open = is_in_transaction(connection).await?;
                if is_open {
                    tracing::error!("a database session was returned to the pool within a transaction; closing it");
                }
                Ok(!is_open)
            })
        });
        Self(options.connect_lazy_with(connect))
    }

    /// Takes a connection out of the pool, for statements that cannot run in a transaction.
    pub async fn detach(&self) -> Result<PgConnection, sqlx::Error> {
        Ok(self.0.acquire().await?.detach())
    }

    /// Returns the options with which its connections are opened.
    pub fn connect_options(&self) -> PgConnectOptions {
        PgConnectOptions::clone(&self.0.connect_options())
    }
}

impl Transactions<Sqlite> {
    /// Returns a pool with the given options; connections are opened on demand.
    ///
    /// Cancelled transactions are rolled back by sqlx in its thread, which counts them. After a full
    /// disk SQLite has rolled back by itself while sqlx still counts a transaction: such a connection
    /// is replaced.
    pub fn on_sqlite(options: PoolOptions<Sqlite>, connect: SqliteConnectOptions) -> Self {
        let options = options.before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        });
        Self(options.connect_lazy_with(connect))
    }
}

/// Returns whether a session is in a transaction, according to the server, at the cost of a round trip.
///
/// sqlx knows it from every response but exposes it in one place only: `begin_with` a statement that
/// begins no transaction fails with `BeginFailed` outside of a transaction, and succeeds within one.
/// Within a failed transaction the statement fails.
#[expect(clippy::disallowed_methods, reason = "no transaction is begun")]
async fn is_in_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match connection.begin_with("SELECT").await {
        Err(sqlx::Error::BeginFailed) => Ok(false),
        Ok(_) | Err(sqlx::Error::InvalidSavePointStatement) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
