//! On the shared server.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kernel::event::EventFilter;
use kernel::store::{AppendError, EventStore, ExpectedRevision};
use kernel::subscription::{Delivery, LogReader};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, SqlSafeStr as _};
use store_sqlx::{POSTGRES_STATEMENTS, StoreOptions};
use testkit::contract;
use testkit::postgres::{connect, execute};
use testkit::stores::TestStore;

use crate::{LONG, assert_unavailable, eventually, impatient, request};

const LOCK_LOG: &str = "SET search_path = event_store; SELECT lock_log()";

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let test = TestStore::postgres().await;
    let options: PgConnectOptions = test.url().unwrap().parse().unwrap();
    let options = options.options([("search_path", "event_store")]);
    let mut connection = options.connect().await.unwrap();
    for statement in POSTGRES_STATEMENTS.iter().copied().flatten() {
        let prepared = connection.prepare(AssertSqlSafe(*statement).into_sql_str()).await;
        assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
    }
}

#[tokio::test]
async fn a_full_queue_fails_as_overloaded_and_loses_nothing_that_was_acknowledged() {
    let options =
        StoreOptions { queue: 1, queue_deadline: Duration::from_millis(50), ..Default::default() };
    let test = TestStore::postgres_with(options).await;
    let mut blocker = connect(&test.url().unwrap()).await;
    #[expect(clippy::disallowed_methods, reason = "on a connection of its own")]
    let mut lock = blocker.begin().await.unwrap();
    lock.execute(LOCK_LOG).await.unwrap();
    contract::overload_is_told_and_loses_nothing(&test, async || lock.rollback().await.unwrap())
        .await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_fails_alone_and_is_not_ready() {
    let test = TestStore::postgres_with(impatient()).await;
    let mut blocker = connect(&test.url().unwrap()).await;
    #[expect(clippy::disallowed_methods, reason = "on a connection of its own")]
    let mut lock = blocker.begin().await.unwrap();
    lock.execute(LOCK_LOG).await.unwrap();
    let error = test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap_err();
    assert_unavailable(&error);
    assert_unavailable(&test.store.check_writable().await.unwrap_err());
    lock.rollback().await.unwrap();
    test.store.check_writable().await.unwrap();
    assert_eq!(test.store.head().await.unwrap(), 0);
    test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
}

/// Makes every event of a type fail as the server itself might.
async fn refuse(test: &TestStore, event_type: &str, sqlstate: &str) {
    let statements = format!(
        "CREATE FUNCTION event_store.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON event_store.event FOR EACH ROW
         WHEN (NEW.type = '{event_type}') EXECUTE FUNCTION event_store.refuse()"
    );
    execute(&test.url().unwrap(), &statements).await;
}

#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    const DISK_FULL: &str = "53100";
    let test = TestStore::postgres_with(impatient()).await;
    refuse(&test, "testing.Happened.v1", DISK_FULL).await;
    let error = test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap_err();
    assert_unavailable(&error);
    execute(&test.url().unwrap(), "DROP TRIGGER refuse ON event_store.event").await;
    let appended = test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
    assert_eq!(appended.position, 1);
}

#[tokio::test]
async fn what_the_database_refuses_takes_nothing_else_down() {
    const INVALID_PARAMETER_VALUE: &str = "22023";
    let test = TestStore::postgres().await;
    refuse(&test, "testing.Refused.v1", INVALID_PARAMETER_VALUE).await;
    let appends = (0..20).map(|number| {
        let mut request = request(&format!("a-{number}"), ExpectedRevision::NoStream);
        if number % 5 == 0 {
            request.events[0].event_type = "testing.Refused.v1".into();
        }
        test.store.append(request)
    });
    for (number, answer) in join_all(appends).await.into_iter().enumerate() {
        if number % 5 == 0 {
            let error = answer.unwrap_err();
            assert!(matches!(error, AppendError::Invalid(_)), "{error:?}");
        } else {
            answer.unwrap();
        }
    }
    assert_eq!(test.store.head().await.unwrap(), 16);
}

#[tokio::test]
async fn a_text_with_nul_is_refused() {
    let test = TestStore::postgres().await;
    let mut request = request("a-1", ExpectedRevision::NoStream);
    request.events[0].metadata.actor = "a\0b".into();
    let error = test.store.append(request).await.unwrap_err();
    assert!(matches!(error, AppendError::Invalid(_)), "{error:?}");
}

/// Waits for live events on one process that another one writes.
async fn follows(test: &TestStore, there: &Arc<dyn EventStore>, events: u64) {
    let mut reader = LogReader::new(Arc::clone(there), 0, EventFilter::all());
    let following = async {
        for _ in 0..events {
            let last = test.store.append(request("a-1", ExpectedRevision::Any)).await.unwrap();
            while let Delivery::Event(event) = reader.next().await.unwrap() {
                if event.position == last.position {
                    break;
                }
            }
        }
    };
    tokio::time::timeout(LONG, following).await.expect("what another process wrote never came");
}

#[tokio::test]
async fn notifications_tell_what_another_process_wrote() {
    // No process polls.
    let options = StoreOptions { poll: Duration::from_secs(3600), ..Default::default() };
    let test = TestStore::postgres_with(options).await;
    let other = test.beside().await.unwrap();
    follows(&test, &other.store, 20).await;
    other.close().await;
}

/// Ends the sessions of a store that last did this.
async fn end_sessions(connection: &mut PgConnection, last_did: &str) -> u64 {
    let ended = sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE $1 AND pid <> pg_backend_pid()",
    )
    .bind(last_did)
    .execute(connection)
    .await;
    ended.unwrap().rows_affected()
}

#[tokio::test]
async fn without_notifications_others_are_followed_all_the_same() {
    let options = StoreOptions { poll: Duration::from_millis(10), ..Default::default() };
    let test = TestStore::postgres_with(options).await;
    let other = test.beside().await.unwrap();
    let mut connection = connect(&test.url().unwrap()).await;
    // Repeatedly, so that no listener stays connected for long.
    for _ in 0..5 {
        eventually(async || match end_sessions(&mut connection, "LISTEN%").await {
            0 => Err("nobody listens"),
            _ => Ok(()),
        })
        .await;
        follows(&test, &other.store, 3).await;
    }
    other.close().await;
}

#[tokio::test]
async fn a_session_that_is_ended_while_it_waits_is_replaced_and_writes_once() {
    let test = TestStore::postgres().await;
    test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
    let url = test.url().unwrap();
    let (mut blocker, mut connection) = (connect(&url).await, connect(&url).await);
    #[expect(clippy::disallowed_methods, reason = "on a connection of its own")]
    let mut lock = blocker.begin().await.unwrap();
    lock.execute(LOCK_LOG).await.unwrap();
    let store = Arc::clone(&test.store);
    let append =
        tokio::spawn(async move { store.append(request("a-1", ExpectedRevision::Any)).await });
    // Its outcome is unknown to the writer, which has to find out.
    eventually(async || match end_sessions(&mut connection, "WITH locked%").await {
        0 => Err("nobody writes"),
        _ => Ok(()),
    })
    .await;
    lock.rollback().await.unwrap();
    let appended = append.await.unwrap().unwrap();
    assert_eq!((appended.position, appended.repeated), (2, false));
    assert_eq!(test.store.head().await.unwrap(), 2);
}

#[tokio::test]
async fn a_read_goes_on_when_its_session_was_ended() {
    let test = TestStore::postgres().await;
    test.store.append(request("a-1", ExpectedRevision::NoStream)).await.unwrap();
    let mut connection = connect(&test.url().unwrap()).await;
    for _ in 0..3 {
        // A session that was told to end may answer once more before it does.
        eventually(async || {
            assert_eq!(test.store.head().await.unwrap(), 1);
            match end_sessions(&mut connection, "SELECT pg_is_in_recovery()%").await {
                0 => Err("no session has read"),
                _ => Ok(()),
            }
        })
        .await;
    }
    assert_eq!(test.store.head().await.unwrap(), 1);
}

/// A session keeps the settings with which it was opened, for as long as it is open.
#[tokio::test]
async fn sessions_that_may_not_write_are_replaced() {
    let options = StoreOptions { session_lifetime: Duration::from_millis(50), ..impatient() };
    let test = TestStore::postgres_with(options).await;
    let url = test.url().unwrap();
    let name = url.rsplit('/').next().unwrap();
    let told = |value| format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
    execute(&url, &told("on")).await;
    execute(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    let append = async || test.store.append(request("a-1", ExpectedRevision::Any)).await;
    let refused = eventually(async || append().await.err().ok_or("it still writes")).await;
    assert_unavailable(&refused);
    eventually(async || test.store.check_writable().await.err().ok_or("it is still ready")).await;
    let mut connection = connect(&url).await;
    connection.execute("SET default_transaction_read_only = off").await.unwrap();
    connection.execute(AssertSqlSafe(told("off")).into_sql_str()).await.unwrap();
    eventually(async || append().await).await;
    eventually(async || test.store.check_writable().await).await;
}
