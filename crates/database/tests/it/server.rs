//! A module's database when the PostgreSQL server is restarted, paused, full or no longer the primary:
//! errors say so, and the module recovers without a restart of the process.

use std::time::Duration;

use database::{Database, DatabaseError, DatabaseOptions, Engine, Statement};
use sqlx::Connection as _;
use testkit::engines::TestTables;
use testkit::postgres::{PostgresServer, TestDatabase, connect, execute};

use crate::tables::{INSERT, THINGS, notes, open, open_with, things};

/// Longer than any step here; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something succeeds. Every failure before must be one that passes by itself.
async fn eventually<T>(mut attempt: impl AsyncFnMut() -> Result<T, DatabaseError>) -> T {
    let trying = async {
        loop {
            match attempt().await {
                Ok(outcome) => return outcome,
                Err(error) => assert!(error.is_unavailable(), "{error:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.expect("it never succeeded")
}

#[tokio::test]
async fn after_a_restart_of_the_server_everything_goes_on() {
    let mut server = PostgresServer::start().await;
    let options = DatabaseOptions { acquire_timeout: Duration::from_secs(1), ..<_>::default() };
    let database = open_with(&server.url(), options).await;
    database.write(&INSERT).bind(1_i64).bind("before").execute().await.unwrap();
    let mut open = database.begin().await.unwrap();
    open.query(&INSERT).bind(2_i64).bind("in between").execute().await.unwrap();

    server.stop_immediately();
    let lost = open.commit().await.unwrap_err();
    assert!(lost.is_unavailable(), "{lost:?}");
    let away = database.begin().await.unwrap_err();
    assert!(away.is_unavailable(), "{away:?}");

    server.restart().await;
    eventually(async || database.write(&INSERT).bind(3_i64).bind("after").execute().await).await;
    let statement = Statement::Same("SELECT note FROM thing ORDER BY id");
    let found = eventually(async || database.query(&statement).scalars::<String>().await).await;
    assert_eq!(found, ["before", "after"]);
}

#[tokio::test]
async fn a_connection_that_was_cut_is_replaced() {
    let place = TestDatabase::create().await;
    let database = open(place.url()).await;
    let mut cut = database.begin().await.unwrap();
    cut.query(&INSERT).bind(1_i64).bind("lost").execute().await.unwrap();
    execute(
        place.url(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'bascule-testing' AND datname = current_database()",
    )
    .await;
    let error = cut.query(&INSERT).bind(2_i64).bind("lost").execute().await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    drop(cut);
    eventually(async || database.write(&INSERT).bind(1_i64).bind("kept").execute().await).await;
    assert_eq!(notes(&database).await, ["kept"]);
}

#[tokio::test]
async fn a_standby_is_told_from_a_broken_statement() {
    let server = PostgresServer::start().await;
    let database = open(&server.url()).await;
    server.set("default_transaction_read_only", "on").await;
    let refused = async || database.write(&INSERT).bind(1_i64).bind("x").execute().await;
    let refused = tokio::time::timeout(PATIENCE, async {
        loop {
            // The setting reaches an open session a moment later.
            if let Err(error) = refused().await {
                return error;
            }
            let clear = Statement::Same("DELETE FROM thing");
            drop(database.write(&clear).execute().await);
        }
    });
    let error = refused.await.unwrap();
    assert!(error.is_unavailable(), "{error:?}");
    server.set("default_transaction_read_only", "off").await;
    eventually(async || database.write(&INSERT).bind(1_i64).bind("x").execute().await).await;
}

/// A session keeps the settings with which it was opened, for as long as it is open.
#[tokio::test]
async fn a_session_that_may_not_write_is_replaced() {
    let place = TestDatabase::create().await;
    let options = DatabaseOptions { session_lifetime: Duration::from_millis(50), ..<_>::default() };
    let database = open_with(place.url(), options).await;
    let name = place.url().rsplit('/').next().unwrap();
    let told = |value| format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
    execute(place.url(), &told("on")).await;
    let write = async || database.write(&INSERT).bind(1_i64).bind("x").execute().await;
    let refused = tokio::time::timeout(PATIENCE, async {
        loop {
            match write().await {
                Ok(_) => {
                    drop(database.write(&Statement::Same("DELETE FROM thing")).execute().await);
                }
                Err(error) => return error,
            }
        }
    });
    let refused = refused.await.unwrap();
    assert!(refused.is_unavailable(), "{refused:?}");
    let mut connection = connect(place.url()).await;
    let writable = "SET default_transaction_read_only = off";
    sqlx::raw_sql(writable).execute(&mut connection).await.unwrap();
    let again = sqlx::AssertSqlSafe(told("off"));
    sqlx::raw_sql(again).execute(&mut connection).await.unwrap();
    eventually(write).await;
}

#[tokio::test]
async fn no_process_holds_its_locks_for_ever() {
    let place = TestDatabase::create().await;
    let options = DatabaseOptions {
        idle_in_transaction_timeout: Duration::from_millis(100),
        statement_timeout: Duration::from_millis(300),
        ..<_>::default()
    };
    let paused = open_with(place.url(), options).await;
    let other = open(place.url()).await;
    // One that does nothing within its transaction, as if it had been stopped there.
    let mut idle = paused.begin().await.unwrap();
    idle.query(&INSERT).bind(1_i64).bind("never").execute().await.unwrap();
    // Waits for the first one's row lock.
    other.write(&INSERT).bind(1_i64).bind("other").execute().await.unwrap();
    let cut = idle.commit().await.unwrap_err();
    assert!(cut.is_unavailable(), "{cut:?}");

    let slow = Statement::Same("SELECT CAST(pg_sleep(60) AS text)");
    let cancelled = paused.query(&slow).fetch_all().await.unwrap_err();
    assert!(cancelled.is_unavailable(), "{cancelled:?}");
    assert_eq!(notes(&other).await, ["other"]);
}

#[tokio::test]
async fn an_exhausted_pool_is_unavailable_and_recovers() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let place = TestTables::on(engine).await;
        let options = DatabaseOptions {
            writers: 1,
            acquire_timeout: Duration::from_millis(50),
            ..<_>::default()
        };
        let database = open_with(place.url(), options).await;
        let held = database.begin().await.unwrap();
        let error = database.begin().await.unwrap_err();
        assert!(error.is_unavailable(), "{error:?}");
        held.rollback().await.unwrap();
        eventually(async || database.begin().await?.commit().await).await;
    }
}

#[tokio::test]
async fn deadlocks_pass_by_themselves() {
    const UPDATE: Statement = Statement::Same("UPDATE thing SET note = 'x' WHERE id = $1");
    let (_place, database) = things(Engine::Postgres).await;
    for id in [1_i64, 2] {
        database.write(&INSERT).bind(id).bind("y").execute().await.unwrap();
    }
    let (mut one, mut other) = (database.begin().await.unwrap(), database.begin().await.unwrap());
    one.query(&UPDATE).bind(1_i64).execute().await.unwrap();
    other.query(&UPDATE).bind(2_i64).execute().await.unwrap();
    let (first, second) = tokio::join!(
        one.query(&UPDATE).bind(2_i64).execute(),
        other.query(&UPDATE).bind(1_i64).execute()
    );
    let error = first.and(second).unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn connections_say_whose_they_are_and_see_one_schema() {
    let (place, database) = things(Engine::Postgres).await;
    let setting = async |name: &'static str| {
        let text = Statement::Same("SELECT current_setting($1)");
        database.query(&text).bind(name).scalar::<String>().await.unwrap()
    };
    assert_eq!(setting("application_name").await, "bascule-testing");
    assert_eq!(setting("search_path").await, "\"testing\"");
    assert_eq!(setting("statement_timeout").await, "30s");
    assert_eq!(setting("idle_in_transaction_session_timeout").await, "10s");
    assert_eq!(setting("synchronous_commit").await, "on");
    let mut derived = database.begin_derived().await.unwrap();
    let text = Statement::Same("SELECT current_setting('synchronous_commit')");
    assert_eq!(derived.query(&text).scalar::<String>().await.unwrap(), "off");
    derived.commit().await.unwrap();
    let mut durable = database.begin().await.unwrap();
    assert_eq!(durable.query(&text).scalar::<String>().await.unwrap(), "on");

    let mut connection = connect(place.url()).await;
    let statement = "SELECT table_name::text FROM information_schema.tables \
                     WHERE table_schema = 'public'";
    let outside: Vec<String> =
        sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap();
    assert!(outside.is_empty(), "{outside:?}");
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_role_without_the_right_to_make_schemas_uses_one_that_was_made() {
    let place = TestDatabase::create().await;
    let role = format!("module_{}", kernel::seams::new_id().simple());
    execute(
        place.url(),
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'xyzzy-7'; \
             CREATE SCHEMA testing AUTHORIZATION {role}"
        ),
    )
    .await;
    let (_, host) = place.url().rsplit_once('@').unwrap();
    let url = format!("postgres://{role}:xyzzy-7@{host}");
    let database = open(&url).await;
    assert!(notes(&database).await.is_empty());
    database.close().await;

    let refused = Database::open(&url, "other", &THINGS).await.unwrap_err();
    assert!(!refused.is_unavailable(), "{refused:?}");
    let wrong = url.replace("-7", "");
    let wrong = Database::open(&wrong, "testing", &THINGS).await.unwrap_err();
    for text in [format!("{refused:?}"), format!("{wrong:?}"), format!("{database:?}")] {
        assert!(!text.contains("xyzzy"), "{text}");
    }
    execute(place.url(), &format!("DROP SCHEMA testing CASCADE; DROP ROLE {role}")).await;
}

/// A proxy or a moved address: it accepts a connection and drops it, because no server is behind it.
#[tokio::test]
async fn whoever_takes_a_connection_in_and_drops_it_is_away() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://nobody:none@{}/nothing", listener.local_addr().unwrap());
    let dropping = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            // What it says first is read, so that it is told of an end and not of a reset.
            let mut asked = [0; 8];
            drop(tokio::io::AsyncReadExt::read(&mut client, &mut asked).await);
        }
    });
    let options = DatabaseOptions { acquire_timeout: Duration::from_millis(200), ..<_>::default() };
    let away = Database::open_with(&url, "things", &THINGS, options).await.unwrap_err();
    assert!(away.is_unavailable(), "{away:?}");
    dropping.abort();
}
