//! A mirror that is begun anew.

use database::{Engine, Statement};
use kernel::sync::LegacyReference;
use rstest::rstest;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::*;
use super::harness::*;
use super::shop::{MAPPING, Shop};
use crate::erase;

#[rstest]
#[tokio::test]
async fn a_mapping_with_other_tables_begins_anew(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::on(engine, MAPPING).await;
    let shop = Shop::open();
    let first = shop.import(&world).await;
    assert_eq!(first.commands.imported, 2);
    world.remap(&MAPPING.replace(
        "[\"party\", \"state\", \"note\"]",
        "[\"party\", \"state\", \"note\", \"secret\"]",
    ));
    let file = world.write("feed.jsonl", &shop.lines);
    let refused = world.try_run(&[&file]).await.unwrap_err();
    assert!(matches!(refused, ImportError::MirrorOutdated { .. }), "{refused}");
    world.import().await.start_anew().await.unwrap();
    let again = world.run(&[&file]).await;
    assert_eq!(again.changes.applied, first.changes.applied);
    assert_eq!((again.commands.unchanged, again.commands.imported), (2, 0));
}

#[rstest]
#[tokio::test]
async fn everything_is_forgotten_but_who_was_erased(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().party(2, "Bob Durand").sale(9, "odd");
    shop.import(&world).await;
    let database = world.import().await.database;
    let ada = LegacyReference { source: "shop".to_owned(), id: "1".to_owned() };
    erase(&database, &world.key, "customers.SyncCustomer", &ada).await.unwrap();
    world.import().await.start_anew().await.unwrap();
    for table in Import::tables() {
        let count =
            Statement::Same(Box::leak(format!("SELECT count(*) FROM {table}").into_boxed_str()));
        let mut reading = database.snapshot().await.unwrap();
        let rows: i64 = reading.query(&count).scalar().await.unwrap();
        reading.rollback().await.unwrap();
        assert_eq!(rows > 0, table == "suppressed_row", "{table} has {rows} rows");
    }
    database.close().await;
    shop.import(&world).await;
    assert_eq!(
        world.held("customers.SyncCustomer")["2"].clone().unwrap()["name"],
        json!("Bob Durand")
    );
    let of_ada =
        world.told("customers.SyncCustomer").into_iter().filter(|told| told.legacy.id == "1");
    assert_eq!(of_ada.count(), 1, "one command for Ada, sent before she was erased");
}

/// What the legacy said on the way was told by the import before: saying it again would undo, one
/// after the other, what came of it.
#[rstest]
#[tokio::test]
async fn what_is_imported_anew_is_told_as_it_is_at_the_end(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    for state in ["paid", "shipped", "cancelled"] {
        shop.begin().sale(1, state);
    }
    shop.begin().sale(2, "open").line(2, 2, 1.0);
    shop.begin().delete("sale", 2);
    let first = shop.import(&world).await;
    assert!(first.commands.revised >= 3, "{first:?}");
    let before = world.told("orders.SyncOrder").len();
    let file = world.write("feed.jsonl", &shop.lines);
    let import = world.import().await;
    import.start_anew().await.unwrap();
    let options = Options { only_latest: true, ..Options::default() };
    let never = CancellationToken::new();
    let again = import.run(&[file], options, &NoProgress, &never).await.unwrap();
    assert_eq!((again.commands.revised, again.commands.imported, again.dirty), (0, 0, 0));
    let told = world.told("orders.SyncOrder").split_off(before);
    let states: Vec<_> = told.into_iter().map(|told| (told.legacy.id, told.state)).collect();
    assert_eq!(states.len(), 2, "each is told once: {states:?}");
    // What comes later is told as it comes.
    for state in ["paid", "sent"] {
        shop.begin().sale(1, state);
    }
    assert_eq!(shop.import(&world).await.commands.revised, 2);
}

/// An earlier release counted more into the fingerprint of a mirror, such as which columns may be
/// missing.
#[rstest]
#[case(MAPPING, true)]
#[case(&MAPPING.replacen("line = { keep", "line = { types = { id = \"decimal\" }, keep", 1).replace("types = { qty = \"decimal\" }", "optional = []"), false)]
#[tokio::test]
async fn a_mirror_of_an_earlier_release_stays_valid_unless_its_keys_are_made_otherwise(
    #[case] mapping: &str,
    #[case] stays: bool,
) {
    let world = World::new(mapping).await;
    let mut shop = Shop::open();
    shop.import(&world).await;
    let database = world.import().await.database;
    let earlier =
        Statement::Same("UPDATE capture_source SET mirror_fingerprint = 'of an earlier release'");
    let mut writing = database.begin().await.unwrap();
    writing.query(&earlier).execute().await.unwrap();
    writing.commit().await.unwrap();
    database.close().await;
    shop.begin().sale(1, "paid");
    let file = world.write("feed.jsonl", &shop.lines);
    let outcome = world.try_run(&[&file]).await;
    if stays {
        assert_eq!(outcome.unwrap().commands.revised, 1);
    } else {
        let error = outcome.unwrap_err();
        assert!(matches!(error, ImportError::MirrorOutdated { .. }), "{error}");
        assert!(error.to_string().contains("--fresh"), "{error}");
    }
}
