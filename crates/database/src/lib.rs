//! The database of one module: a pool, transactions, migrations, and the bookkeeping of its
//! subscriptions. What projections and queries are written against.
//!
//! On SQLite every module has a file of its own beside the event store: one connection writes,
//! several read. Its content derives from the log, so a commit need not reach the disk at once
//! (`synchronous=NORMAL`): after a power cut rows and checkpoint go back together and the
//! projection catches up.

mod subscriptions;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, SqlitePool};

/// Why a database could not be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL names no database this build can use.
    #[error("`{url}` is not a database this build can use: expected sqlite:<path of a file>")]
    UnknownUrl {
        /// The URL as given.
        url: String,
    },
    /// The folder of the database file cannot be made.
    #[error("the folder {folder} cannot be created")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A migration failed.
    #[error("the tables of {module} could not be brought up to date")]
    Migration {
        /// The module.
        module: &'static str,
        /// What went wrong.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("the database failed")]
    Sql(#[from] sqlx::Error),
}

/// Whether a statement failed because the database cannot be used now (busy, its disk full or
/// unreadable) rather than because of the statement. Codes: <https://www.sqlite.org/rescode.html>.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const NOMEM: i32 = 7;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        | sqlx::Error::InvalidSavePointStatement
        | sqlx::Error::BeginFailed => true,
        // The primary result code is in the low byte.
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<i32>().ok())
            .map(|code| code & 0xff)
            .is_some_and(|code| {
                [BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN].contains(&code)
            }),
        _ => false,
    }
}

/// How long a writer waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

static BOOKKEEPING: Migrator = sqlx::migrate!("../../migrations/sqlite/database");

/// Where a module's database lies, given the event store's URL: `sqlite:data/bascule.db` has its
/// orders in `sqlite:data/bascule.orders.db`.
pub fn module_url(store_url: &str, module: &str) -> Result<String, DatabaseError> {
    let path = sqlite_path(store_url)?;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("bascule");
    let file = path.with_file_name(format!("{stem}.{module}.db"));
    Ok(format!("sqlite:{}", file.display()))
}

/// The file that a `sqlite:` URL names.
pub fn sqlite_path(url: &str) -> Result<PathBuf, DatabaseError> {
    let unknown = || DatabaseError::UnknownUrl { url: url.to_owned() };
    let rest = url.strip_prefix("sqlite:").ok_or_else(unknown)?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains(":memory:") || path.contains('?') {
        return Err(unknown());
    }
    Ok(PathBuf::from(path))
}

/// How connections to a SQLite file are opened, for the event store as for the modules: WAL, so
/// that readers never wait for the writer.
pub fn sqlite_options(
    path: &Path,
    synchronous: SqliteSynchronous,
) -> Result<SqliteConnectOptions, DatabaseError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|source| DatabaseError::Folder { folder: folder.to_owned(), source })?;
    }
    Ok(SqliteConnectOptions::from_str("sqlite:")?
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT))
}

/// How often migrations are tried: two processes that make the same database at once get into each
/// other's way, and the slower one finds the work done.
const MIGRATION_ATTEMPTS: u32 = 5;

/// Brings the tables of one set of migrations up to date.
pub async fn migrate(
    pool: &SqlitePool,
    migrations: &Migrator,
    module: &'static str,
) -> Result<(), DatabaseError> {
    let set = Migrator {
        migrations: migrations.migrations.clone(),
        ignore_missing: true,
        ..Migrator::DEFAULT
    };
    let mut attempts = 1;
    while let Err(source) = set.run(pool).await {
        if attempts == MIGRATION_ATTEMPTS {
            return Err(DatabaseError::Migration { module, source });
        }
        tracing::debug!(module, error = &source as &dyn std::error::Error, "migrating again");
        tokio::time::sleep(Duration::from_millis(100) * attempts).await;
        attempts += 1;
    }
    Ok(())
}

/// A module's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Database {
    /// Opens the database at `url`, making it if need be, and brings its tables up to date.
    pub async fn open(
        url: &str,
        module: &'static str,
        migrations: &'static Migrator,
    ) -> Result<Self, DatabaseError> {
        let options = sqlite_options(&sqlite_path(url)?, SqliteSynchronous::Normal)?;
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .before_acquire(|connection, _| {
                // After a full disk SQLite has rolled back by itself and sqlx still counts a
                // transaction: such a connection takes no further one and is replaced.
                Box::pin(async move { Ok(!connection.is_in_transaction()) })
            })
            .connect_with(options.clone())
            .await?;
        // Both sets of migrations share one table of what was applied.
        for set in [&BOOKKEEPING, migrations] {
            migrate(&writer, set, module).await?;
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers })
    }

    /// Connections that read.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Opens a transaction on the connection that writes, waiting for its turn.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        Ok(Transaction(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    /// Writes what is open and closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// An open transaction; dropped without [`Self::commit`] it changes nothing.
#[derive(Debug)]
pub struct Transaction(sqlx::Transaction<'static, sqlx::Sqlite>);

impl Transaction {
    /// Makes the changes visible.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        Ok(self.0.commit().await?)
    }
}

impl Deref for Transaction {
    type Target = SqliteConnection;
    fn deref(&self) -> &SqliteConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}
