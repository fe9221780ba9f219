//! The database of one module, on SQLite or PostgreSQL: connections, transactions, statements,
//! migrations, and the bookkeeping of its subscriptions. Projections and queries are written against
//! this crate, independently of the engine.
//!
//! A statement is a static text, the same for both engines wherever that is possible; values are
//! bound and rows are read once, in Rust:
//!
//! ```
//! use database::{DatabaseError, Executor, Statement, Transaction, statements};
//! use uuid::Uuid;
//!
//! statements! {
//!     /// Every statement of this file, for the test that prepares them all.
//!     pub const STATEMENTS: [Statement];
//!
//!     const OPEN: Statement =
//!         Statement::Same("SELECT open FROM known_customer WHERE customer_id = $1");
//!     const CLOSE: Statement =
//!         Statement::Same("UPDATE known_customer SET open = FALSE WHERE customer_id = $1");
//! }
//!
//! /// Whether a customer may order; works on the database or within a transaction.
//! async fn is_open<'c>(of: impl Executor<'c>, id: Uuid) -> Result<Option<bool>, DatabaseError> {
//!     of.query(&OPEN).bind(id).scalar_optional().await
//! }
//!
//! /// Returns `false` if the customer does not exist.
//! async fn close(transaction: &mut Transaction, id: Uuid) -> Result<bool, DatabaseError> {
//!     Ok(transaction.query(&CLOSE).bind(id).execute().await? == 1)
//! }
//! ```
//!
//! On SQLite every module has a file of its own next to the event store. Its content derives from the
//! log, so a commit need not be durable at once (`synchronous=NORMAL`): after a power failure rows and
//! checkpoint go back together and the projection catches up. On PostgreSQL every module has a schema
//! of its own, and only data that derives from the log is committed in that way
//! ([`Database::begin_derived`]). A connection keeps state of its session for as long as it is open: a
//! connection pooler in between must work in session mode.

mod beside;
pub mod documents;
mod error;
mod migrations;
mod place;
mod placement;
mod pool;
mod postgres;
pub mod read_model;
mod remembered;
mod row;
mod scrubbing;
mod sqlite;
mod statement;
mod subscriptions;
mod tables;
mod transaction;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Executor as _, SqlSafeStr as _};

pub use beside::Scratch;
pub use error::{DatabaseError, is_unavailable};
pub use kernel::credentials::redacted;
use migrations::BOOKKEEPING;
pub use migrations::Migrations;
pub use place::{Engine, module_url, sqlite_path};
pub use placement::{HandOver, HandOverError, HandedOver, Placement, is_in_charge};
pub use pool::Transactions;
use postgres::PostgresPools;
pub use postgres::{
    migrate_postgres, postgres_options, postgres_pool_options, postgres_pool_options_if,
};
use remembered::Remembered;
pub use row::{FromSql, Row};
use sqlite::SqlitePools;
pub use sqlite::{migrate, sqlite_options};
use statement::Connections;
pub use statement::{Executor, Query, Statement, ToSql};
pub use tables::TableRow;
pub use transaction::Transaction;

/// Every statement of this crate, for the test that prepares them all.
pub const STATEMENTS: &[&[Statement]] = &[
    beside::STATEMENTS,
    placement::STATEMENTS,
    remembered::STATEMENTS,
    subscriptions::STATEMENTS,
    tables::STATEMENTS,
];

/// Limits of the connections of one module in one process.
///
/// The numbers apply to PostgreSQL, whose server accepts 100 connections by default:
/// `docs/event-store.md` lists how many a process may need in all. On SQLite one connection writes.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// Maximum number of connections that write.
    pub writers: u32,
    /// Maximum number of connections that read.
    pub readers: u32,
    /// How long to wait for a free connection before the database counts as unavailable.
    pub acquire_timeout: Duration,
    /// How long a connection may be unused before it is closed.
    pub idle_timeout: Duration,
    /// How long a connection to PostgreSQL is used before it is replaced: without a limit, a connection
    /// to a server that is no longer the primary, or that became read-only, would be used for ever.
    pub session_lifetime: Duration,
    /// Maximum duration of a statement on PostgreSQL.
    pub statement_timeout: Duration,
    /// How long a transaction on PostgreSQL may be idle: a paused process must not hold its locks for
    /// ever.
    pub idle_in_transaction_timeout: Duration,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            writers: 2,
            readers: 3,
            acquire_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            session_lifetime: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(30),
            idle_in_transaction_timeout: Duration::from_secs(10),
        }
    }
}

/// A module's database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pools: Pools,
    source: Arc<Source>,
}

#[derive(Clone)]
enum Pools {
    Sqlite(SqlitePools),
    Postgres(PostgresPools),
}

/// The origin of the tables.
struct Source {
    module: &'static str,
    migrations: &'static Migrations,
    options: DatabaseOptions,
}

/// Leaves out the connection options, which contain a password.
impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Database")
            .field("module", &self.source.module)
            .finish_non_exhaustive()
    }
}

impl Source {
    fn on_sqlite(&self) -> [&'static sqlx::migrate::Migrator; 2] {
        [&BOOKKEEPING.sqlite, &self.migrations.sqlite]
    }

    fn on_postgres(&self) -> [&'static sqlx::migrate::Migrator; 2] {
        [&BOOKKEEPING.postgres, &self.migrations.postgres]
    }
}

impl Database {
    /// Opens the database at `url`, creating it if needed, and migrates its tables. On PostgreSQL the
    /// tables are in a schema named after the module.
    pub async fn open(
        url: &str,
        module: &'static str,
        migrations: &'static Migrations,
    ) -> Result<Self, DatabaseError> {
        Self::open_with(url, module, migrations, DatabaseOptions::default()).await
    }

    /// [`Self::open`] with other limits than the defaults.
    pub async fn open_with(
        url: &str,
        module: &'static str,
        migrations: &'static Migrations,
        options: DatabaseOptions,
    ) -> Result<Self, DatabaseError> {
        let source = Source { module, migrations, options };
        let pools = match Engine::of(url)? {
            Engine::Sqlite => {
                let (path, sets) = (sqlite_path(url)?, source.on_sqlite());
                Pools::Sqlite(SqlitePools::open(path, module, sets, &source.options).await?)
            }
            Engine::Postgres => {
                let sets = source.on_postgres();
                Pools::Postgres(PostgresPools::open(url, module, sets, &source.options).await?)
            }
        };
        Ok(Self { pools, source: Arc::new(source) })
    }

    /// Returns the remembered checkpoints, for tables that may be reset under this process: those in
    /// PostgreSQL.
    fn remembered(&self) -> Option<&Remembered> {
        match &self.pools {
            Pools::Sqlite(_) => None,
            Pools::Postgres(pools) => Some(&pools.remembered),
        }
    }

    /// Begins a statement that reads.
    pub fn query(&self, statement: &Statement) -> Query<'_> {
        match &self.pools {
            Pools::Sqlite(pools) => {
                Query::on_sqlite(Connections::Pool(pools.readers.statements(), None), statement)
            }
            Pools::Postgres(pools) => {
                let remembered = Some(&*pools.remembered);
                Query::on_postgres(Connections::Pool(&pools.readers, remembered), statement)
            }
        }
    }

    /// Begins a statement that writes and is a transaction by itself: one round trip instead of three.
    /// Its connection is not used for transactions ([`Transactions`]).
    pub fn write(&self, statement: &Statement) -> Query<'_> {
        match &self.pools {
            Pools::Sqlite(pools) => {
                Query::on_sqlite(Connections::Pool(pools.writer.statements(), None), statement)
            }
            Pools::Postgres(pools) => {
                let (writers, remembered) = (pools.writers.statements(), &*pools.remembered);
                Query::on_postgres(Connections::Pool(writers, Some(remembered)), statement)
            }
        }
    }

    /// Opens a transaction. On SQLite it waits for its turn to write.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        Ok(match &self.pools {
            Pools::Sqlite(pools) => pools.writer.begin("BEGIN IMMEDIATE").await?.into(),
            Pools::Postgres(pools) => pools.begin("BEGIN").await?.into(),
        })
    }

    /// Opens a transaction for data that derives from the log, rows together with their checkpoint: its
    /// commit does not wait for the disk. After a crash of the server both may be lost together, and
    /// are derived again.
    /// See <https://www.postgresql.org/docs/current/wal-async-commit.html>.
    pub async fn begin_derived(&self) -> Result<Transaction, DatabaseError> {
        const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off";
        Ok(match &self.pools {
            Pools::Sqlite(_) => self.begin().await?,
            Pools::Postgres(pools) => pools.begin(BEGIN).await?.into(),
        })
    }

    /// Opens a transaction that reads one snapshot of the database, for any time. It may be idle: it
    /// blocks nothing, and on PostgreSQL has a connection of its own.
    pub async fn snapshot(&self) -> Result<Transaction, DatabaseError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
             SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = '1h'";
        Ok(match &self.pools {
            Pools::Sqlite(pools) => pools.readers.begin("BEGIN").await?.into(),
            Pools::Postgres(pools) => pools.snapshots().begin(BEGIN).await?.into(),
        })
    }

    /// Prepares a statement without executing it. For tests: a statement that cannot be prepared would
    /// otherwise fail only when it is needed.
    pub async fn prepare(&self, statement: &Statement) -> Result<(), DatabaseError> {
        match &self.pools {
            Pools::Sqlite(pools) => {
                let text = statement.text(Engine::Sqlite).into_sql_str();
                pools.writer.statements().acquire().await?.prepare(text).await?;
            }
            Pools::Postgres(pools) => {
                let text = statement.text(Engine::Postgres).into_sql_str();
                pools.writers.statements().acquire().await?.prepare(text).await?;
            }
        }
        Ok(())
    }

    /// Checkpoints the write-ahead log and closes every connection.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite(pools) => pools.close().await,
            Pools::Postgres(pools) => pools.close().await,
        }
    }
}

impl<'c> Executor<'c> for &'c Database {
    fn query(self, statement: &Statement) -> Query<'c> {
        Database::query(self, statement)
    }
}
