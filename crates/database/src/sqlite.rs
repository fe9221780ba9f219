//! A module's database in a SQLite file: one connection writes, several read.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::migrations::{Attempts, complete};
use crate::{DatabaseError, DatabaseOptions, Transactions};

/// How long a writer waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The pools of one file.
#[derive(Clone)]
pub(crate) struct SqlitePools {
    pub(crate) path: PathBuf,
    pub(crate) writer: Transactions<Sqlite>,
    pub(crate) readers: Transactions<Sqlite>,
}

/// Returns the options of connections to a SQLite file, for the event store and the modules: WAL, so
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
        // Deleted and replaced values are overwritten: they may be personal.
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT))
}

/// Runs the migrations of one set.
pub async fn migrate(
    pool: &SqlitePool,
    migrations: &Migrator,
    module: &'static str,
) -> Result<(), DatabaseError> {
    let set = complete(migrations);
    let mut attempts = Attempts::new(module);
    while let Err(error) = set.run(pool).await {
        attempts.again_after(error).await?;
    }
    Ok(())
}

impl SqlitePools {
    pub(crate) async fn open(
        path: PathBuf,
        module: &'static str,
        migrations: [&Migrator; 2],
        options: &DatabaseOptions,
    ) -> Result<Self, DatabaseError> {
        // Data that derives from the log need not be durable at once.
        let connect = sqlite_options(&path, SqliteSynchronous::Normal)?;
        let pool = PoolOptions::new()
            .acquire_timeout(options.acquire_timeout)
            // A slow acquire is reported by the request that fails, not for every one that waits.
            .acquire_slow_threshold(Duration::MAX);
        let writer = Transactions::on_sqlite(pool.clone().max_connections(1), connect.clone());
        // When two processes switch a new file to WAL at once, the second gets "locked" immediately,
        // whatever the busy timeout.
        let mut attempts = Attempts::new(module);
        while let Err(error) = writer.statements().acquire().await {
            attempts.again_after(error.into()).await?;
        }
        // Both sets of migrations share one table of applied migrations.
        for set in migrations {
            migrate(writer.statements(), set, module).await?;
        }
        let pool = pool.max_connections(options.readers).idle_timeout(options.idle_timeout);
        let readers = Transactions::on_sqlite(pool, connect.read_only(true));
        Ok(Self { path, writer, readers })
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Deletes the file and its write-ahead log.
    pub(crate) async fn remove(self) -> Result<(), DatabaseError> {
        self.close().await;
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.path.clone().into_os_string();
            file.push(suffix);
            match std::fs::remove_file(&file) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(DatabaseError::File { file: file.into(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}
