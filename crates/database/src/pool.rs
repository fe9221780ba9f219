//! Where transactions are begun, on either engine: on the connections of [`Transactions`] and nowhere
//! else.
//!
//! A statement by itself is acknowledged when it returns. On a connection in a transaction that nobody
//! knows of, it would be rolled back later. Two things, each by itself, keep a connection from being
//! handed out so:
//!
//! - A transaction is never begun half. In sqlx 0.9.0 a `BEGIN` whose future is dropped leaves the
//!   PostgreSQL session in a transaction (<https://github.com/transact-rs/sqlx/issues/4393>).
//! - A session that comes back in a transaction, for whatever reason, is closed.
//!
//! On a plain [`Pool`] nothing is ever begun: `clippy.toml` bans the methods of sqlx that do. It is for
//! statements only, and costs nothing more.

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
    /// Begins a transaction with a statement that begins one. Dropped on the way, it leaves nothing
    /// open: what was begun is rolled back.
    pub async fn begin(
        &self,
        statement: &'static str,
    ) -> Result<sqlx::Transaction<'static, DB>, sqlx::Error> {
        // Waiting for a connection can be cut off, so that none is taken for a caller that is gone.
        let connection = self.0.acquire().await?;
        // In a task of its own, which goes on without the caller and then drops the transaction. If
        // the runtime ends first, the connection ends with it.
        #[expect(clippy::disallowed_methods, reason = "the one place that begins a transaction")]
        let beginning = sqlx::Transaction::begin(connection, Some(statement.into_sql_str()));
        let begun = tokio::spawn(beginning).await;
        begun.unwrap_or_else(|error| Err(sqlx::Error::Io(std::io::Error::other(error))))
    }

    /// The same connections, for statements that are transactions by themselves.
    pub fn statements(&self) -> &Pool<DB> {
        &self.0
    }

    /// Waits for the transactions that are open and closes every connection.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

impl Transactions<Postgres> {
    /// Up to as many connections as the options say, opened when they are needed. One that comes back
    /// in a transaction is closed.
    pub fn on_postgres(options: PoolOptions<Postgres>, connect: PgConnectOptions) -> Self {
        let options = options.after_release(|connection, _| {
            Box::pin(async move {
                let is_open = is_in_transaction(connection).await?;
                if is_open {
                    tracing::error!("a session came back in a transaction and is closed");
                }
                Ok(!is_open)
            })
        });
        Self(options.connect_lazy_with(connect))
    }

    /// Takes a connection out, for what cannot be done in a transaction.
    pub async fn detach(&self) -> Result<PgConnection, sqlx::Error> {
        Ok(self.0.acquire().await?.detach())
    }

    /// How its connections are opened.
    pub fn connect_options(&self) -> PgConnectOptions {
        PgConnectOptions::clone(&self.0.connect_options())
    }
}

impl Transactions<Sqlite> {
    /// Up to as many connections as the options say, opened when they are needed.
    ///
    /// What is dropped on the way is undone by sqlx in its thread, which counts what is begun. After a
    /// full disk SQLite has rolled back by itself and sqlx still counts a transaction: such a
    /// connection is replaced.
    pub fn on_sqlite(options: PoolOptions<Sqlite>, connect: SqliteConnectOptions) -> Self {
        let options = options.before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        });
        Self(options.connect_lazy_with(connect))
    }
}

/// Whether a session is in a transaction, as the server itself says, at the price of a round trip.
///
/// sqlx knows it from every answer and shows it in one place only: beginning with a statement that
/// begins nothing fails with `BeginFailed` outside of a transaction, and succeeds in one. In a
/// transaction that has failed the statement fails.
#[expect(clippy::disallowed_methods, reason = "nothing is begun")]
async fn is_in_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match connection.begin_with("SELECT").await {
        Err(sqlx::Error::BeginFailed) => Ok(false),
        Ok(_) | Err(sqlx::Error::InvalidSavePointStatement) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
