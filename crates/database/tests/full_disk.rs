//! A disk that was full for a moment is no reason to restart.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use database::{Database, DatabaseError, is_unavailable};
use sqlx::migrate::Migrator;

static NO_TABLES: Migrator =
    Migrator { migrations: std::borrow::Cow::Borrowed(&[]), ..Migrator::DEFAULT };

const INSERT: &str = "INSERT INTO idempotency (key_hash, fingerprint, created_at) \
     VALUES (randomblob(16), zeroblob($1), '2026-01-01')";

#[tokio::test]
async fn after_a_full_disk_the_next_transaction_begins_as_usual() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("full.db").display());
    let database = Database::open(&url, "testing", &NO_TABLES).await.unwrap();

    let mut transaction = database.begin().await.unwrap();
    // SQLite answers as it does when the disk is full once it may take no further page.
    sqlx::query("PRAGMA max_page_count = 1").execute(&mut *transaction).await.unwrap();
    let full = sqlx::query(INSERT).bind(1_000_000).execute(&mut *transaction).await.unwrap_err();
    assert!(is_unavailable(&full), "{full}");
    drop(transaction);

    // The page limit is the connection's own: a connection that was replaced has none.
    let mut transaction = database.begin().await.unwrap();
    let outcome = sqlx::query(INSERT).bind(1_000_000).execute(&mut *transaction).await;
    outcome.map_err(DatabaseError::from).unwrap();
    transaction.commit().await.unwrap();
    database.close().await;
}
