//! A table to test with, on either engine.

use database::{Database, DatabaseOptions, Engine, Executor, Migrations, Statement};
use testkit::engines::TestTables;

/// A table with a column of every kind.
pub static THINGS: Migrations = Migrations {
    sqlite: sqlx::migrate!("tests/it/migrations/sqlite"),
    postgres: sqlx::migrate!("tests/it/migrations/postgres"),
};

pub const INSERT: Statement = Statement::Same("INSERT INTO thing (id, note) VALUES ($1, $2)");
const NOTES: Statement = Statement::Same("SELECT note FROM thing ORDER BY id");

pub async fn things(engine: Engine) -> (TestTables, Database) {
    let place = TestTables::on(engine).await;
    let database = open(place.url()).await;
    (place, database)
}

pub async fn open(url: &str) -> Database {
    Database::open(url, "testing", &THINGS).await.unwrap()
}

pub async fn open_with(url: &str, options: DatabaseOptions) -> Database {
    Database::open_with(url, "testing", &THINGS, options).await.unwrap()
}

/// The notes of all things, in the order of their ids.
pub async fn notes<'c>(of: impl Executor<'c>) -> Vec<String> {
    of.query(&NOTES).scalars().await.unwrap()
}
