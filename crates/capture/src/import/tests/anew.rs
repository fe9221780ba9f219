//! Restarting a mirror.

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
    for table in crate::module::TABLES {
        let count =
            Statement::Same(Box::leak(format!("SELECT count(*) FROM {table}").into_boxed_str()));
        let mut reading = database.snapshot().await.unwrap();
        let rows: i64 = reading.query(&count).scalar().await.unwrap();
        reading.rollback().await.unwrap();
        // Which aggregates modules have is known, not how they stand there.
        let stays = ["capture_source", "suppressed_row", "delivered"].contains(table);
        assert_eq!(rows > 0, stays, "{table} has {rows} rows");
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

/// The import already sent the intermediate states of the legacy before: sending them again would undo,
/// one after the other, what resulted from them.
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
    assert_eq!(states.len(), 2, "one command for each: {states:?}");
    // Later changes are sent as they come.
    for state in ["paid", "sent"] {
        shop.begin().sale(1, state);
    }
    assert_eq!(shop.import(&world).await.commands.revised, 2);
}

#[rstest]
#[tokio::test]
async fn an_import_anew_that_was_interrupted_goes_on_as_it_began(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    for state in ["paid", "shipped", "cancelled"] {
        shop.begin().sale(1, state);
    }
    shop.import(&world).await;
    let before = world.told("orders.SyncOrder").len();
    let mut broken = shop.lines.clone();
    broken[4] = "{".to_owned();
    let file = world.write("anew.jsonl", &broken);
    let import = world.import().await;
    import.start_anew().await.unwrap();
    let options = Options { only_latest: true, ..Options::default() };
    let never = CancellationToken::new();
    import.run(&[file], options, &NoProgress, &never).await.unwrap_err();
    // The line is corrected, and --fresh is not given again.
    let file = world.write("anew.jsonl", &shop.lines);
    let again = world.run(&[&file]).await;
    assert_eq!((again.commands.revised, again.dirty), (0, 0), "{again:?}");
    assert_eq!(world.told("orders.SyncOrder").len(), before + 1);
}

async fn run_anew(world: &World, shop: &Shop, delete_missing: bool) -> Summary {
    let file = world.write("anew.jsonl", &shop.lines);
    let import = world.import().await;
    import.start_anew().await.unwrap();
    let options = Options { only_latest: true, delete_missing, ..Options::default() };
    import.run(&[file], options, &NoProgress, &CancellationToken::new()).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn what_a_new_snapshot_does_not_have_is_counted_and_deleted_if_asked_for(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().party(2, "Bob Durand").sale(2, "paid").sale(3, "paid");
    shop.begin().delete("sale", 3);
    shop.import(&world).await;
    let mut moved = Shop { snapshot: Some("true"), ..Shop::default() };
    moved.begin().put("unit", 1, json!({"name": "piece"})).party(1, "Ada").sale(1, "open");
    moved.snapshot = Some("last");
    moved.line(1, 1, 2.0);
    let summary = run_anew(&world, &moved, false).await;
    assert_eq!((summary.missing, summary.commands.revised), (2, 0), "{summary:?}");
    assert!(world.held("customers.SyncCustomer")["2"].is_ok());
    let summary = run_anew(&world, &moved, true).await;
    assert_eq!((summary.missing, summary.commands.revised), (0, 2), "{summary:?}");
    assert_eq!(world.held("customers.SyncCustomer")["2"], Err("deleted".to_owned()));
    assert_eq!(world.held("orders.SyncOrder")["2"], Err("deleted".to_owned()));
    assert!(world.held("orders.SyncOrder")["1"].is_ok());
    // Tables of which there is no row were forgotten.
    let unit = moved.lines[0].replace("\"true\"", "\"last\"");
    let summary = run_anew(&world, &Shop { lines: vec![unit], ..Shop::default() }, true).await;
    assert_eq!((summary.missing, summary.commands.revised), (2, 0), "{summary:?}");
    assert!(world.held("orders.SyncOrder")["1"].is_ok());
    // Without a snapshot it is unknown what is missing.
    moved.lines.clear();
    moved.snapshot = None;
    moved.begin().party(1, "Ada");
    assert_eq!(run_anew(&world, &moved, true).await.missing, 0);
    assert!(world.held("orders.SyncOrder")["1"].is_ok());
}

/// What stands for an erased person is made of the key as the mapping made it.
#[rstest]
#[case("party = { compare = \"trimmed\", keep")]
#[case("party = { types = { id = \"decimal\" }, keep")]
#[tokio::test]
async fn keys_of_erased_people_cannot_be_made_otherwise(#[case] party: &str) {
    let mut world = World::new(MAPPING).await;
    let shop = Shop::open();
    shop.import(&world).await;
    let otherwise = MAPPING.replacen("party = { keep", party, 1);
    world.remap(&otherwise);
    world.import().await.start_anew().await.expect("nobody was erased");
    world.remap(MAPPING);
    world.import().await.start_anew().await.expect("nobody was erased");
    shop.import(&world).await;
    let database = world.import().await.database;
    let ada = LegacyReference { source: "shop".to_owned(), id: "1".to_owned() };
    erase(&database, &world.key, "customers.SyncCustomer", &ada).await.unwrap();
    database.close().await;
    world.remap(&otherwise);
    let error = world.import().await.start_anew().await.unwrap_err();
    assert!(matches!(error, ImportError::ErasedByOtherKeys { .. }), "{error}");
    assert!(error.to_string().contains("people of `party` were erased"), "{error}");
    world.remap(&MAPPING.replace("'{name, vat}'", "'{name}'"));
    world.import().await.start_anew().await.expect("the keys are as before");
    // It was interrupted before it read anything.
    world.remap(&otherwise);
    let error = world.import().await.start_anew().await.unwrap_err();
    assert!(matches!(error, ImportError::ErasedByOtherKeys { .. }), "{error}");
    let file = world.write("feed.jsonl", &shop.lines);
    let error = world.try_run(&[&file]).await.unwrap_err();
    assert!(matches!(error, ImportError::MirrorOutdated { .. }), "{error}");
}

#[rstest]
#[tokio::test]
async fn what_was_to_be_done_for_an_aggregate_goes_with_it_and_comes_back_with_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::on(engine, MAPPING).await;
    let mut shop = Shop { snapshot: Some("true"), ..Shop::default() };
    shop.begin().party(1, "Ada").put("unit", 1, json!({"name": "piece"})).sale(1, "open");
    let file = world.write("first.jsonl", &shop.lines);
    assert_eq!(world.run(&[&file]).await.dirty, 2);
    // The rest of the snapshot comes when the kind has another name, and one sale is odd.
    world.remap(&MAPPING.replace("[aggregates.order", "[aggregates.sale"));
    shop.lines.clear();
    shop.sale(2, "odd");
    shop.snapshot = Some("last");
    shop.line(1, 1, 2.0);
    let file = world.write("second.jsonl", &shop.lines);
    let summary = world.run(&[&file]).await;
    assert_eq!((summary.dirty, summary.quarantined, summary.commands.imported), (0, 1, 2));
    world.remap(MAPPING);
    let never = CancellationToken::new();
    let replayed = world.import().await.replay_quarantine(None, &NoProgress, &never).await.unwrap();
    assert_eq!((replayed.dirty, replayed.quarantined), (0, 1), "{replayed:?}");
    let entry = &world.import().await.quarantine(10).await.unwrap()[0];
    assert_eq!((&*entry.aggregate, &*entry.key), ("order", "2"));
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
