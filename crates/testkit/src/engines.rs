//! A place for a module's tables, on either engine.

use database::Engine;
use tempfile::TempDir;

use crate::postgres::TestDatabase;

/// An empty place for tables, gone with this value.
pub struct TestPlace {
    url: String,
    _held: Held,
}

/// What the place ends with.
enum Held {
    Sqlite(#[allow(dead_code, reason = "dropping it removes the folder")] TempDir),
    Postgres(#[allow(dead_code, reason = "dropping it drops the database")] TestDatabase),
}

impl TestPlace {
    /// A new, empty place.
    pub async fn on(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", folder.path().join("tables.db").display());
                Self { url, _held: Held::Sqlite(folder) }
            }
            Engine::Postgres => {
                let database = TestDatabase::create().await;
                Self { url: database.url().to_owned(), _held: Held::Postgres(database) }
            }
        }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}
