//! On servers that are stopped, paused, filled up and told to be standbys.

use std::sync::Arc;

use kernel::keys::SecretKey;
use kernel::seams::SystemClock;
use kernel::store::{AppendError, ExpectedRevision, ReadError};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgListener};
use store_sqlx::StoreOptions;
use testkit::history::{Recorder, Tally, Workload, in_log_order, linearizable, read_all};
use testkit::postgres::{PostgresServer, TestDatabase, connect};
use testkit::random;
use testkit::stores::TestStore;

use crate::proxy::Proxy;
use crate::{LONG, assert_unavailable, eventually, impatient, request};

/// A server, and a store on it.
async fn store_on(settings: &str, options: StoreOptions) -> (PostgresServer, TestStore) {
    let server = PostgresServer::start_with(settings).await;
    let database = TestDatabase::create_on(&server.url()).await;
    let test = TestStore::in_database(database, options).await;
    (server, test)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_loses_and_repeats_nothing() {
    let (mut server, test) = store_on("", StoreOptions::default()).await;
    let other = test.beside().await.unwrap();
    let stores = [Arc::clone(&test.store), Arc::clone(&other.store)];
    let seed = random::seed();
    let recorder = Arc::new(Recorder::default());
    let mut done = 0;
    for round in 0..4 {
        let workload = Workload { streams: 3, clients: 8, operations: 60, seed, process: round };
        let (records, stores) = (Arc::clone(&recorder), stores.clone());
        let working = tokio::spawn(async move { workload.run(&stores, &records).await });
        // In the middle of it.
        eventually(async || {
            let appended = Tally::of(&recorder.history()).appended;
            if appended > done + 20 { Ok(()) } else { Err(appended) }
        })
        .await;
        server.stop_immediately();
        server.restart().await;
        working.await.unwrap();
        done = Tally::of(&recorder.history()).appended;
    }
    // Both go on by themselves.
    for store in &stores {
        eventually(async || store.check_writable().await).await;
    }
    let (history, log) = (recorder.history(), read_all(&test.store).await);
    for checked in [linearizable(&history, &log), in_log_order(&history, &log)] {
        if let Err(violation) = checked {
            panic!("{violation}\nSEED={seed} makes the same choices again");
        }
    }
    let tally = Tally::of(&history);
    assert!(tally.appended > 80, "{tally:?}");
    other.close().await;
}

#[tokio::test]
async fn while_the_server_is_away_appends_fail_soon_and_reads_too() {
    let (mut server, test) = store_on("", impatient()).await;
    test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
    server.stop().await;
    // The connection may have been lost before or after it was sent.
    let error = test.store.append(request("a-1", ExpectedRevision::Any)).await.unwrap_err();
    assert!(
        matches!(error, AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_)),
        "{error:?}"
    );
    for _ in 0..3 {
        let error = test.store.append(request("a-1", ExpectedRevision::Any)).await.unwrap_err();
        assert_unavailable(&error);
    }
    assert_unavailable(&test.store.check_writable().await.unwrap_err());
    let error = test.store.head().await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
    server.restart().await;
    eventually(async || test.store.check_writable().await).await;
    let appended = test.store.append(request("a-1", ExpectedRevision::Any)).await.unwrap();
    assert_eq!(appended.position, 2);
}

#[tokio::test]
async fn an_append_outlasts_a_short_restart() {
    let (mut server, test) = store_on("", StoreOptions::default()).await;
    test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
    server.stop_immediately();
    let store = Arc::clone(&test.store);
    let append =
        tokio::spawn(async move { store.append(request("a-1", ExpectedRevision::Any)).await });
    server.restart().await;
    assert_eq!(append.await.unwrap().unwrap().position, 2);
}

#[tokio::test]
async fn a_standby_refuses_until_it_is_promoted() {
    let (server, test) = store_on("", impatient()).await;
    test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
    test.store.check_writable().await.unwrap();
    server.set("default_transaction_read_only", "on").await;
    // The setting reaches an open session a moment later.
    let error =
        eventually(async || match test.store.append(request("a-1", ExpectedRevision::Any)).await {
            Ok(appended) => Err(appended),
            Err(error) => Ok(error),
        })
        .await;
    assert_unavailable(&error);
    assert_unavailable(&test.store.check_writable().await.unwrap_err());
    let before = test.store.head().await.unwrap();
    server.set("default_transaction_read_only", "off").await;
    eventually(async || test.store.check_writable().await).await;
    let appended = test.store.append(request("a-1", ExpectedRevision::Any)).await.unwrap();
    assert_eq!(appended.position, before + 1);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let (server, test) = store_on("", impatient()).await;
    test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
    server.pause();
    let sent = request("a-1", ExpectedRevision::Revision(0));
    let append = tokio::time::timeout(LONG, test.store.append(sent.clone()));
    let error = append.await.expect("no answer").unwrap_err();
    assert!(matches!(error, AppendError::OutcomeUnknown(_)), "{error:?}");
    server.resume();
    // The same ids again settle it, whether or not they were written.
    let appended = eventually(async || test.store.append(sent.clone()).await).await;
    assert_eq!((appended.revision, appended.position), (1, 2));
    assert_eq!(test.store.head().await.unwrap(), 2);
}

#[tokio::test]
async fn without_a_free_connection_it_is_unavailable() {
    let settings = "max_connections = 14\nsuperuser_reserved_connections = 0";
    let (server, test) = store_on(settings, impatient()).await;
    test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
    let mut taken = vec![connect(&server.url()).await];
    sqlx::query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE application_name = 'bascule-event-store' AND query LIKE 'WITH locked%'",
    )
    .execute(&mut taken[0])
    .await
    .unwrap();
    // Until there is no more.
    while let Ok(connection) = PgConnection::connect(&server.url()).await {
        taken.push(connection);
    }
    // The first one finds out that its connection is gone.
    test.store.append(request("a-1", ExpectedRevision::Any)).await.unwrap_err();
    let error = test.store.append(request("a-1", ExpectedRevision::Any)).await.unwrap_err();
    assert_unavailable(&error);
    drop(taken);
    let again = async || test.store.append(request("a-1", ExpectedRevision::Any)).await;
    assert_eq!(eventually(again).await.position, 2);
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_commit_is_found_out() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::before(database.url()).await;
    let key = SecretKey::generate().unwrap();
    // Nothing but the append may be answered while the answer is waited for.
    let options = StoreOptions { poll: LONG, ..StoreOptions::default() };
    let url = proxy.url(database.url());
    let opened = store_sqlx::open(&url, &key, Arc::new(SystemClock), options).await.unwrap();
    let store = Arc::clone(&opened.store);
    let mut listener = PgListener::connect(database.url()).await.unwrap();
    listener.listen("event_store").await.unwrap();
    store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
    // The notification of that append is answered, too, and whatever else was asked.
    listener.recv().await.unwrap();
    let quiet = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity \
         WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid())";
    let mut connection = connect(database.url()).await;
    eventually(async || sqlx::query_scalar::<_, i32>(quiet).fetch_one(&mut connection).await).await;
    proxy.swallow_the_next_answer();
    let appended = store.append(request("a-1", ExpectedRevision::Revision(0))).await.unwrap();
    assert!(proxy.has_swallowed());
    assert_eq!((appended.revision, appended.position), (1, 2));
    assert_eq!(store.head().await.unwrap(), 2);
    opened.close().await;
}
