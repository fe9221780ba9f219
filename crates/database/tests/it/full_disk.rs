//! A temporarily full disk does not require a restart.

use database::Statement;

use crate::tables::{INSERT, open};

/// SQLite answers as it does when the disk is full once it may take no further page.
const FULL: Statement = Statement::Same("PRAGMA max_page_count = 1");

#[tokio::test]
async fn after_a_full_disk_the_next_transaction_begins_as_usual() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("full.db").display());
    let database = open(&url).await;
    let large = "x".repeat(1_000_000);

    let mut transaction = database.begin().await.unwrap();
    transaction.query(&FULL).fetch_all().await.unwrap();
    let full = transaction.query(&INSERT).bind(1_i64).bind(&large).execute().await.unwrap_err();
    assert!(full.is_unavailable(), "{full:?}");
    drop(transaction);

    // The page limit is the connection's own: a connection that was replaced has none.
    let mut transaction = database.begin().await.unwrap();
    transaction.query(&INSERT).bind(1_i64).bind(&large).execute().await.unwrap();
    transaction.commit().await.unwrap();
    database.close().await;
}
