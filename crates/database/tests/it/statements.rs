//! Statements, rows and transactions mean the same on both engines.

use chrono::{DateTime, SubsecRound as _, Utc};
use database::{DatabaseError, Engine, Executor, Statement};
use kernel::seams::{Clock as _, SystemClock, new_id};
use rstest::rstest;
use serde::{Deserialize, Serialize};
use serde_json::json;
use testkit::statements::are_prepared;
use uuid::Uuid;

use crate::tables::{INSERT, notes, things};

const WRITE: Statement = Statement::Same(
    "INSERT INTO thing (id, other, name, note, bytes, flag, share, made_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
);
const READ: Statement = Statement::Same(
    "SELECT id, other, name, note, bytes, flag, share, made_at FROM thing WHERE id = $1",
);
const ENGINE: Statement =
    Statement::PerEngine { sqlite: "SELECT 'SQLite'", postgres: "SELECT 'PostgreSQL'" };

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Colour {
    DarkRed,
}

#[rstest]
#[tokio::test]
async fn every_kind_of_value_comes_back_as_it_was(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database) = things(engine).await;
    let (id, other) = (i64::MAX, new_id());
    let made_at: DateTime<Utc> = SystemClock.now().trunc_subsecs(6);
    let document = json!({ "text": "a \"quoted\" ‘text’ \u{1F980}", "number": 1.5 });
    let written = database
        .write(&WRITE)
        .bind(id)
        .bind(other)
        .bind("dark_red")
        .bind_json(&document)
        .bind(&[0_u8, 255, 39][..])
        .bind(true)
        .bind(0.25)
        .bind(made_at);
    assert_eq!(written.execute().await.unwrap(), 1);

    let row = database.query(&READ).bind(id).fetch_one().await.unwrap();
    assert_eq!(row.get::<i64>("id").unwrap(), id);
    assert_eq!(row.get::<Uuid>("other").unwrap(), other);
    assert_eq!(row.get::<&str>("name").unwrap(), "dark_red");
    assert_eq!(row.name::<Colour>("name").unwrap(), Colour::DarkRed);
    assert_eq!(row.json::<serde_json::Value>("note").unwrap(), document);
    assert_eq!(row.get::<&[u8]>("bytes").unwrap(), [0, 255, 39]);
    assert!(row.get::<bool>("flag").unwrap());
    assert_eq!(row.get::<f64>("share").unwrap(), 0.25);
    assert_eq!(row.get::<DateTime<Utc>>("made_at").unwrap(), made_at);
    assert!(row.get::<i64>("colour").is_err(), "there is no such column");
    assert_eq!(database.query(&ENGINE).scalar::<String>().await.unwrap(), engine.to_string());
}

#[rstest]
#[tokio::test]
async fn nothing_is_null(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (_place, database) = things(engine).await;
    let written = database
        .write(&WRITE)
        .bind(1_i64)
        .bind(None::<Uuid>)
        .bind(None::<&str>)
        .bind_json(&None::<Colour>)
        .bind(None::<Vec<u8>>)
        .bind(None::<bool>)
        .bind(None::<f64>)
        .bind(None::<DateTime<Utc>>);
    written.execute().await.unwrap();
    let row = database.query(&READ).bind(1_i64).fetch_one().await.unwrap();
    assert_eq!(row.get::<Option<Uuid>>("other").unwrap(), None);
    assert_eq!(row.get::<Option<&str>>("note").unwrap(), None);
    assert_eq!(row.json::<Option<Colour>>("note").unwrap(), None);
    assert_eq!(row.get::<Option<bool>>("flag").unwrap(), None);
    assert!(row.get::<Uuid>("other").is_err(), "a null is no id");
    assert!(database.query(&READ).bind(2_i64).fetch_optional().await.unwrap().is_none());
    assert!(database.query(&READ).bind(2_i64).fetch_one().await.is_err());
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_read_is_named_and_not_shown(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database) = things(engine).await;
    database.write(&INSERT).bind(1_i64).bind("Ada Martin").execute().await.unwrap();
    let row = database.query(&READ).bind(1_i64).fetch_one().await.unwrap();
    let errors = [
        row.json::<Colour>("note").unwrap_err(),
        row.name::<Colour>("note").unwrap_err(),
        row.get::<i64>("note").unwrap_err(),
    ];
    for error in errors {
        let text = format!("{error} {error:?}");
        assert!(text.contains("note") && !text.contains("Ada"), "{text}");
        assert!(!error.is_unavailable());
    }
}

#[rstest]
#[tokio::test]
async fn one_statement_takes_many_entries_as_json(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const WRITE_ALL: Statement = Statement::Same(
        "INSERT INTO thing (id, note, flag) \
         SELECT CAST(value ->> 0 AS bigint), value ->> 1, CAST(value ->> 2 AS boolean) \
         FROM json_each($1) WHERE TRUE \
         ON CONFLICT (id) DO UPDATE SET note = excluded.note",
    );
    const FIND_ALL: Statement = Statement::Same(
        "SELECT id FROM thing WHERE note IN (SELECT atom FROM json_each($1)) ORDER BY id",
    );
    let (_place, database) = things(engine).await;
    for note in ["first", "it's \"so\""] {
        let entries = json!([[1, note, true], [2, "other", false], [3, null, null]]);
        let written = database.write(&WRITE_ALL).bind_json(&entries).execute().await.unwrap();
        assert_eq!(written, 3);
    }
    let wanted = ["it's \"so\"", "nobody's", "other"];
    let found = database.query(&FIND_ALL).bind_json(&wanted).scalars::<i64>().await.unwrap();
    assert_eq!(found, [1, 2]);
    let row = database.query(&READ).bind(3_i64).fetch_one().await.unwrap();
    assert_eq!(row.get::<Option<bool>>("flag").unwrap(), None);
    let none: [&str; 0] = [];
    let found = database.query(&FIND_ALL).bind_json(&none).scalars::<i64>().await.unwrap();
    assert!(found.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_transaction_keeps_all_or_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    async fn insert<'c>(on: impl Executor<'c>, id: i64) -> Result<u64, DatabaseError> {
        on.query(&INSERT).bind(id).bind(format!("note {id}")).execute().await
    }
    let (_place, database) = things(engine).await;

    let mut dropped = database.begin().await.unwrap();
    insert(&mut dropped, 1).await.unwrap();
    assert_eq!(notes(&mut dropped).await, ["note 1"], "it sees its own");
    drop(dropped);
    let mut undone = database.begin_derived().await.unwrap();
    insert(&mut undone, 2).await.unwrap();
    undone.rollback().await.unwrap();
    assert!(notes(&database).await.is_empty());

    let mut derived = database.begin_derived().await.unwrap();
    insert(&mut derived, 3).await.unwrap();
    derived.commit().await.unwrap();
    let mut kept = database.begin().await.unwrap();
    insert(&mut kept, 4).await.unwrap();
    kept.commit().await.unwrap();
    assert_eq!(notes(&database).await, ["note 3", "note 4"]);
}

#[rstest]
#[tokio::test]
async fn a_transaction_with_a_failed_statement_is_never_committed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database) = things(engine).await;
    let mut transaction = database.begin().await.unwrap();
    transaction.query(&INSERT).bind(1_i64).bind("first").execute().await.unwrap();
    let again = transaction.query(&INSERT).bind(1_i64).bind("second").execute().await;
    assert!(!again.unwrap_err().is_unavailable(), "a duplicate is no reason to try again");
    // The failure is forgotten about, by mistake.
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error, DatabaseError::Aborted), "{error}");
    assert!(notes(&database).await.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_snapshot_reads_one_state(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (_place, database) = things(engine).await;
    let mut snapshot = database.snapshot().await.unwrap();
    assert!(notes(&mut snapshot).await.is_empty());
    database.write(&INSERT).bind(1_i64).bind("later").execute().await.unwrap();
    assert!(notes(&mut snapshot).await.is_empty());
    snapshot.rollback().await.unwrap();
    assert_eq!(notes(&database).await, ["later"]);
    let mut snapshot = database.snapshot().await.unwrap();
    let refused = snapshot.query(&INSERT).bind(2_i64).bind("x").execute().await;
    assert!(refused.is_err(), "it only reads");
}

#[rstest]
#[tokio::test]
async fn a_statement_that_an_engine_does_not_understand_is_found(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database) = things(engine).await;
    database.prepare(&READ).await.unwrap();
    are_prepared(&database, database::STATEMENTS).await;
    let wrong = Statement::Same("SELECT colour FROM thing");
    assert!(database.prepare(&wrong).await.is_err());
}
