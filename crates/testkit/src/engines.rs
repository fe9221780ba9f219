//! A place for a module's tables, on either engine. The test names the engine: a test of a module runs
//! on both, by `#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine`.

use std::path::Path;

use database::Engine;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;

use crate::postgres::{TestDatabase, connect};

/// An empty place for tables, removed when dropped.
pub struct TestTables {
    url: String,
    held: Held,
}

/// Resources that are removed with the place.
enum Held {
    Sqlite(TempDir),
    Postgres(#[allow(dead_code, reason = "dropping it drops the database")] TestDatabase),
}

impl TestTables {
    /// Creates an empty place.
    pub async fn on(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", folder.path().join("tables.db").display());
                Self { url, held: Held::Sqlite(folder) }
            }
            Engine::Postgres => {
                let database = TestDatabase::create().await;
                Self { url: database.url().to_owned(), held: Held::Postgres(database) }
            }
        }
    }

    /// Returns its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns whether a text occurs in the place: on SQLite in the bytes of the files, including the
    /// write-ahead log; on PostgreSQL in a row of a table, because deleted rows stay on the disk there
    /// for a while.
    pub async fn holds(&self, text: &str) -> bool {
        match &self.held {
            Held::Sqlite(folder) => files_hold(folder.path(), text),
            Held::Postgres(_) => rows_hold(&self.url, text).await,
        }
    }
}

fn files_hold(folder: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(folder).unwrap();
    let mut files = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

async fn rows_hold(url: &str, text: &str) -> bool {
    let mut connection = connect(url).await;
    let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
                  WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let mut holds = false;
    for table in sqlx::query(tables).fetch_all(&mut connection).await.unwrap() {
        let table: String = table.get(0);
        let search =
            format!("SELECT EXISTS (SELECT 1 FROM {table} AS row WHERE strpos(row::text, $1) > 0)");
        let found = sqlx::query_scalar::<_, bool>(AssertSqlSafe(search)).bind(text);
        holds |= found.fetch_one(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    holds
}
