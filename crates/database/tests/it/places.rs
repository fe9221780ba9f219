//! Where tables are: made at the first opening, by several at once, and at another place beside.

use std::collections::BTreeMap;

use database::{Database, DatabaseError, Engine, Statement, Transaction, module_url};
use futures::TryStreamExt as _;
use rstest::rstest;
use testkit::engines::TestTables;

use crate::tables::{INSERT, THINGS, notes, open, things};

#[rstest]
#[tokio::test]
async fn replicas_that_start_at_once_make_the_tables_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let opening = (0..4).map(|_| Database::open(place.url(), "testing", &THINGS));
    let opened = futures::future::join_all(opening).await;
    for (id, database) in (1_i64..).zip(opened) {
        let database = database.unwrap();
        database.write(&INSERT).bind(id).bind("mine").execute().await.unwrap();
        database.close().await;
    }
    assert_eq!(notes(&open(place.url()).await).await.len(), 4);
}

#[rstest]
#[tokio::test]
async fn modules_do_not_see_each_others_tables(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let (one, other) = (module_url(place.url(), "one"), module_url(place.url(), "other"));
    let one = Database::open(&one.unwrap(), "one", &THINGS).await.unwrap();
    let other = Database::open(&other.unwrap(), "other", &THINGS).await.unwrap();
    one.write(&INSERT).bind(1_i64).bind("one's").execute().await.unwrap();
    assert_eq!(notes(&one).await, ["one's"]);
    assert!(notes(&other).await.is_empty());
}

async fn rows(transaction: &mut Transaction) -> BTreeMap<String, String> {
    let rows = transaction.rows_of("thing").await.unwrap();
    rows.map_ok(|row| (row.key, row.values)).try_collect().await.unwrap()
}

#[rstest]
#[tokio::test]
async fn tables_made_afresh_beside_the_served_ones_replace_them(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database) = things(engine).await;
    database.write(&INSERT).bind(1_i64).bind("served").execute().await.unwrap();
    let scratch = database.beside("scratch").await.unwrap();
    assert!(notes(&*scratch).await.is_empty());
    for (id, note) in [(10_i64, "it's fresh"), (9, "fresh too")] {
        scratch.write(&INSERT).bind(id).bind(note).execute().await.unwrap();
    }

    let mut dropped = scratch.begin_replacing().await.unwrap();
    scratch.replace_rows(&mut dropped, "thing").await.unwrap();
    drop(dropped);
    assert_eq!(notes(&database).await, ["served"]);

    let mut replacing = scratch.begin_replacing().await.unwrap();
    assert_eq!(scratch.replace_rows(&mut replacing, "thing").await.unwrap(), 2);
    assert_eq!(notes(&database).await, ["served"], "until the commit");
    replacing.commit().await.unwrap();
    assert_eq!(notes(&database).await, ["fresh too", "it's fresh"]);
    // What is generated from them comes along.
    let shouted = Statement::Same("SELECT shouted FROM thing ORDER BY id");
    let shouted: Vec<String> = database.query(&shouted).scalars().await.unwrap();
    assert_eq!(shouted, ["FRESH TOO", "IT'S FRESH"]);

    let served = rows(&mut database.snapshot().await.unwrap()).await;
    assert_eq!(served, rows(&mut scratch.snapshot().await.unwrap()).await);
    assert_eq!(served.len(), 2);

    scratch.remove().await.unwrap();
    let scratch = database.beside("scratch").await.unwrap();
    assert!(notes(&*scratch).await.is_empty(), "nothing was left");
    scratch.remove().await.unwrap();
    assert_eq!(notes(&database).await, ["fresh too", "it's fresh"]);
    // It writes as before.
    database.write(&INSERT).bind(11_i64).bind("later").execute().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn rows_are_given_in_the_order_of_their_keys_and_differ_with_every_column(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database) = things(engine).await;
    for id in [10_i64, 9, 100] {
        database.write(&INSERT).bind(id).bind("same").execute().await.unwrap();
    }
    let mut snapshot = database.snapshot().await.unwrap();
    let before: Vec<_> = snapshot.rows_of("thing").await.unwrap().try_collect().await.unwrap();
    let keys: Vec<_> = before.iter().map(|row| row.key.trim_matches(['(', ')'])).collect();
    assert_eq!(keys, ["9", "10", "100"]);
    drop(snapshot);
    let change = Statement::Same("UPDATE thing SET flag = FALSE WHERE id = 10");
    database.write(&change).execute().await.unwrap();
    let mut snapshot = database.snapshot().await.unwrap();
    let after: Vec<_> = snapshot.rows_of("thing").await.unwrap().try_collect().await.unwrap();
    let same: Vec<_> = before.iter().zip(&after).map(|(one, other)| one == other).collect();
    assert_eq!(same, [true, false, true]);

    let unknown = snapshot.rows_of("nothing").await.err().unwrap();
    assert!(matches!(unknown, DatabaseError::UnknownTable { .. }), "{unknown}");
    let hostile = snapshot.rows_of("thing; DROP TABLE thing").await.err().unwrap();
    assert!(matches!(hostile, DatabaseError::InvalidName { .. }), "{hostile}");
}
