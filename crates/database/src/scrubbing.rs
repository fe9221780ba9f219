//! Scrubbing: deleted values, which may be personal, must not remain in the files.

use sqlx::{AssertSqlSafe, Connection as _};

use crate::{Database, DatabaseError, Pools};

/// Copies the content of the write-ahead log into the file, and empties the log.
const EMPTY_WAL: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

impl Database {
    /// Removes from the files the values that were deleted from these tables, or replaced in them.
    ///
    /// On SQLite the file is rewritten and the write-ahead log is emptied: deleted rows are overwritten
    /// at once, but copies of rows that moved between pages stay behind. The duration grows with the
    /// size of the database; reading goes on meanwhile. On PostgreSQL the tables are vacuumed, which
    /// removes the deleted rows, and analysed, because the statistics contain samples of them; their
    /// space is overwritten by later rows, or at once by a `VACUUM FULL`, which locks the table.
    pub async fn scrub(&self, tables: &[&'static str]) -> Result<(), DatabaseError> {
        match &self.pools {
            Pools::Sqlite(pools) => {
                sqlx::query("VACUUM").execute(pools.writer.statements()).await?;
                let (busy, _, _): (bool, i64, i64) =
                    sqlx::query_as(EMPTY_WAL).fetch_one(pools.writer.statements()).await?;
                if busy { Err(DatabaseError::Busy) } else { Ok(()) }
            }
            Pools::Postgres(pools) => {
                let mut connection = pools.writers.detach().await?;
                sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
                for table in tables {
                    // The names are those of the program's own tables.
                    let vacuum = AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"));
                    sqlx::query(vacuum).execute(&mut connection).await?;
                }
                Ok(connection.close().await?)
            }
        }
    }
}
