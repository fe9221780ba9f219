//! What is particular to the store in a SQLite file.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use kernel::event::{EventFilter, StreamName};
use kernel::keys::{KeyError, KeyHolder, SecretKey};
use kernel::seams::{SystemClock, new_id};
use kernel::store::{AppendError, AppendRequest, ExpectedRevision};
use kernel::subscription::{Delivery, LogReader};
use store_sqlx::{OpenError, SQLITE_STATEMENTS, StoreOptions};
use testkit::contract::events;
use testkit::stores::TestStore;

fn request(name: &str) -> AppendRequest {
    let stream = StreamName::new(name).unwrap();
    AppendRequest { stream, expected: ExpectedRevision::Any, events: events(1) }
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};
    let test = TestStore::sqlite().await;
    let mut connection = sqlx::SqliteConnection::connect(&test.url().unwrap()).await.unwrap();
    for statement in SQLITE_STATEMENTS {
        let prepared = connection.prepare(AssertSqlSafe(*statement).into_sql_str()).await;
        assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
    }
}

#[tokio::test]
async fn another_process_sees_what_this_one_writes_and_positions_stay_dense() {
    let test = TestStore::sqlite().await;
    let other = test.beside().await.unwrap();
    let mut reader = LogReader::new(Arc::clone(&other.store), 0, EventFilter::all());
    for round in 0..10_u64 {
        let here = test.store.append(request("here-1")).await.unwrap();
        let there = other.store.append(request("there-1")).await.unwrap();
        assert_eq!((here.position, there.position), (round * 2 + 1, round * 2 + 2));
    }
    let last = test.store.append(request("here-1")).await.unwrap().position;
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        if let Delivery::Event(event) = reader.next().await.unwrap() {
            seen.push(event.position);
        }
    }
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
    other.close().await;
}

#[tokio::test]
async fn another_master_key_is_refused_at_once() {
    let test = TestStore::sqlite().await;
    let other = SecretKey::generate().unwrap();
    let url = test.url().unwrap();
    let opened = store_sqlx::open(&url, &other, Arc::new(SystemClock), StoreOptions::default());
    assert!(matches!(opened.await.err(), Some(OpenError::Key(KeyError::WrongMasterKey))));
}

#[tokio::test]
async fn a_subject_has_one_key_per_purpose_however_many_ask_at_once() {
    let test = TestStore::sqlite().await;
    let opened = test.beside().await.unwrap();
    let subject = new_id();
    let holder = |purpose: &str| KeyHolder { subject, purpose: purpose.to_owned() };
    let asked =
        (0..8).map(|_| async { opened.vault.sealing_key(&holder("orders")).await.unwrap().id });
    let mut ids = futures::future::join_all(asked).await;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let billing = opened.vault.sealing_key(&holder("billing")).await.unwrap();
    assert_ne!(billing.id, ids[0]);
    let found = opened.vault.opening_key(billing.id).await.unwrap().unwrap();
    assert_eq!(found.to_hex(), billing.key.to_hex());
    assert!(opened.vault.opening_key(new_id()).await.unwrap().is_none());
    opened.close().await;
}

#[tokio::test]
async fn a_full_queue_fails_as_overloaded_and_loses_nothing_that_was_acknowledged() {
    use sqlx::Connection as _;
    let options =
        StoreOptions { queue: 1, queue_deadline: Duration::from_millis(50), ..Default::default() };
    let test = TestStore::sqlite_with(options).await;
    // Another process holds the write lock, so that the queue cannot empty.
    let mut blocker = sqlx::SqliteConnection::connect(&test.url().unwrap()).await.unwrap();
    let lock = blocker.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(&test.store);
        appends.spawn(async move { store.append(request(&format!("a-{number}"))).await });
    }
    let mut overloaded = 0;
    let mut written = 0;
    let mut lock = Some(lock);
    while let Some(outcome) = appends.join_next().await {
        match outcome.unwrap() {
            Ok(_) => written += 1,
            Err(AppendError::Overloaded) => {
                overloaded += 1;
                // The first refusal has come: let the others through.
                if let Some(lock) = lock.take() {
                    lock.rollback().await.unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(overloaded > 0);
    assert!(written > 0);
    assert_eq!(test.store.head().await.unwrap(), written);
}
