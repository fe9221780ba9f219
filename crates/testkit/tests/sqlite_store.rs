//! What is particular to the store in a SQLite file.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use kernel::event::StreamName;
use kernel::keys::KeyHolder;
use kernel::seams::new_id;
use kernel::store::{AppendError, AppendRequest, ExpectedRevision};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _, SqliteConnection};
use store_sqlx::{SQLITE_STATEMENTS, StoreOptions};
use testkit::contract;
use testkit::stores::TestStore;

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let test = TestStore::sqlite().await;
    let mut connection = SqliteConnection::connect(&test.url().unwrap()).await.unwrap();
    for statement in SQLITE_STATEMENTS.iter().copied().flatten() {
        let prepared = connection.prepare(AssertSqlSafe(*statement).into_sql_str()).await;
        assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
    }
}

#[tokio::test]
async fn a_destroyed_key_is_nowhere_in_the_files() {
    let test = TestStore::sqlite().await;
    let opened = test.beside().await.unwrap();
    let mut subjects = Vec::new();
    // Enough for rows to move between pages as the table grows.
    for _ in 0..400 {
        let subject = new_id();
        let holder = KeyHolder { subject, purpose: "orders".to_owned() };
        subjects.push((subject, opened.vault.sealing_key(&holder).await.unwrap().unwrap().id));
    }
    let (subject, key_id) = subjects[123];
    let mut connection = SqliteConnection::connect(&test.url().unwrap()).await.unwrap();
    let find = sqlx::query_scalar("SELECT wrapped FROM subject_key WHERE id = $1").bind(key_id);
    let wrapped: Vec<u8> = find.fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let path = test.url().unwrap().strip_prefix("sqlite:").unwrap().to_owned();
    let is_stored = || {
        let files = ["", "-wal"].map(|suffix| format!("{path}{suffix}"));
        let mut files = files.into_iter().filter_map(|file| std::fs::read(file).ok());
        let parts = [&wrapped[..16], &wrapped[16..40], &wrapped[40..]];
        let holds = |file: Vec<u8>| {
            parts.iter().any(|part| file.windows(part.len()).any(|bytes| bytes == *part))
        };
        files.any(holds)
    };
    assert!(is_stored());
    opened.vault.destroy(&[subject], &[]).await.unwrap();
    assert!(!is_stored());
    assert!(opened.vault.opening_key(subjects[7].1).await.unwrap().is_some());
    opened.close().await;
}

#[tokio::test]
async fn a_full_queue_fails_as_overloaded_and_loses_nothing_that_was_acknowledged() {
    let options =
        StoreOptions { queue: 1, queue_deadline: Duration::from_millis(50), ..Default::default() };
    let test = TestStore::sqlite_with(options).await;
    // Another process holds the write lock, so that the queue cannot empty.
    let mut blocker = SqliteConnection::connect(&test.url().unwrap()).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "on a connection of its own")]
    let lock = blocker.begin_with("BEGIN IMMEDIATE").await.unwrap();
    contract::overload_is_told_and_loses_nothing(&test, async || lock.rollback().await.unwrap())
        .await;
}

#[tokio::test]
async fn a_store_that_cannot_be_written_to_says_so_until_it_can() {
    let test = TestStore::sqlite().await;
    let append = async || {
        let stream = StreamName::new("a-1").unwrap();
        let expected = ExpectedRevision::Any;
        test.store.append(AppendRequest { stream, expected, events: contract::events(1) }).await
    };
    append().await.unwrap();
    test.store.check_writable().await.unwrap();
    // Stands for a full disk: no write succeeds.
    let mut other = SqliteConnection::connect(&test.url().unwrap()).await.unwrap();
    for table in ["log", "event"] {
        let operation = if table == "log" { "UPDATE" } else { "INSERT" };
        let trigger = format!(
            "CREATE TRIGGER full_{table} BEFORE {operation} ON {table} \
             BEGIN SELECT RAISE(ABORT, 'full'); END"
        );
        other.execute(AssertSqlSafe(trigger)).await.unwrap();
    }
    for refused in [append().await.unwrap_err(), test.store.check_writable().await.unwrap_err()] {
        assert!(matches!(refused, AppendError::Unavailable(_)), "{refused:?}");
    }
    for table in ["log", "event"] {
        other.execute(AssertSqlSafe(format!("DROP TRIGGER full_{table}"))).await.unwrap();
    }
    test.store.check_writable().await.unwrap();
    assert_eq!(append().await.unwrap().position, 2);
}
