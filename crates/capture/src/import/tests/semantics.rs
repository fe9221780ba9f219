//! The results of single changes, on a small legacy of parties, sales and lines.

use database::Engine;
use kernel::sync::LegacyState;
use rstest::rstest;
use serde_json::{Value, json};

use super::super::*;
use super::harness::*;
use super::shop::{MAPPING, Shop};

/// Longer than anything here takes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

fn quantities(world: &World, sale: &str) -> Vec<String> {
    let held = world.held("orders.SyncOrder");
    let state = held[sale].as_ref().unwrap();
    let lines = state["lines"].as_array().unwrap().iter();
    lines.map(|line| line["qty"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn only_states_at_the_end_of_a_transaction_are_sent(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().sale(1, "paid").line(1, 1, 3.0).line(2, 1, 30.700000000000003);
    shop.begin().sale(1, "done");
    shop.import(&world).await;
    let told: Vec<Value> = world
        .told("orders.SyncOrder")
        .into_iter()
        .map(|request| match request.state {
            LegacyState::Present(state) => {
                json!([state["state"], state["lines"].as_array().unwrap().len()])
            }
            LegacyState::Absent { reason } => json!(reason),
        })
        .collect();
    assert_eq!(told, [json!(["open", 1]), json!(["paid", 2]), json!(["done", 2])]);
    assert_eq!(quantities(&world, "1"), ["3", "30.700000000000003"]);
    let lines = &world.held("orders.SyncOrder")["1"].clone().unwrap()["lines"];
    assert_eq!((&lines[0]["noisy"], &lines[1]["noisy"]), (&json!(false), &json!(true)));
}

#[rstest]
#[tokio::test]
async fn a_row_that_moves_changes_both_its_owners(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().sale(2, "open");
    shop.begin().line(1, 2, 2.0);
    shop.import(&world).await;
    assert!(quantities(&world, "1").is_empty());
    assert_eq!(quantities(&world, "2"), ["2"]);
    shop.begin().delete("line", 1);
    shop.import(&world).await;
    assert!(quantities(&world, "2").is_empty());
}

#[tokio::test]
async fn updates_of_what_is_not_followed_send_nothing_but_its_coming_and_going_do() {
    let world = World::new(MAPPING).await;
    let mut shop = Shop::default();
    shop.begin().party(1, "Ada").sale(1, "open").line(1, 1, 2.0);
    shop.begin().put("unit", 1, json!({"name": "piece"}));
    shop.import(&world).await;
    let unit = || world.held("orders.SyncOrder")["1"].clone().unwrap()["lines"][0]["unit"].clone();
    assert_eq!(unit(), "piece");
    shop.begin().put("unit", 1, json!({"name": "box"}));
    assert_eq!(shop.import(&world).await.commands.sent, 0);
    assert_eq!(unit(), "piece");
    shop.begin().delete("unit", 1);
    assert_eq!(shop.import(&world).await.commands.sent, 1);
    assert_eq!(unit(), Value::Null);
    // What is followed does.
    shop.begin().party(1, "Ada Martin");
    assert_eq!(shop.import(&world).await.commands.sent, 2);
}

#[rstest]
#[tokio::test]
async fn absent_is_ignored_before_and_told_after_it_was_there(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().sale(2, "draft").sale(3, "draft");
    let summary = shop.import(&world).await;
    assert_eq!(summary.commands.ignored, 2);
    assert_eq!(summary.ignored.len(), 1);
    assert_eq!((summary.ignored[0].reason.as_str(), summary.ignored[0].roots), ("state draft", 2));
    shop.begin().sale(2, "open").sale(1, "draft").delete("sale", 3);
    let summary = shop.import(&world).await;
    assert_eq!(summary.ignored.len(), 1);
    assert_eq!((summary.ignored[0].reason.as_str(), summary.ignored[0].roots), ("deleted", 1));
    let held = world.held("orders.SyncOrder");
    assert_eq!(held["1"], Err("state draft".to_owned()));
    assert!(held["2"].is_ok() && !held.contains_key("3"));
    shop.begin().delete("line", 1).delete("sale", 1);
    shop.import(&world).await;
    assert_eq!(world.held("orders.SyncOrder")["1"], Err("deleted".to_owned()));
}

#[rstest]
#[tokio::test]
async fn what_is_required_is_waited_for_and_missed_only_at_the_end(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::default();
    shop.begin().sale(1, "open");
    shop.begin().put("unit", 1, json!({"name": "piece"}));
    let mut late = Shop { position: 9, transaction: 9, ..Shop::default() };
    late.begin().party(1, "Ada");
    let (first, second) = (world.write("a", &shop.lines), world.write("b", &late.lines));

    let both = World::on(engine, MAPPING).await;
    let summary = both.run(&[&first, &second]).await;
    assert_eq!((summary.quarantined, summary.commands.imported), (0, 2));

    let summary = world.run(&[&first]).await;
    assert_eq!((summary.quarantined, summary.dirty, summary.commands.sent), (1, 0, 0));
    let entry = &world.import().await.quarantine(100).await.unwrap()[0];
    assert_eq!((entry.aggregate.as_str(), entry.key.as_str()), ("order", "1"));
    assert_eq!(entry.reason, "`party`: the feed has no row for it in `party`");

    let summary = world.run(&[&second]).await;
    assert_eq!((summary.quarantined, summary.commands.imported), (0, 2));
}

#[rstest]
#[tokio::test]
async fn a_program_that_fails_leads_to_quarantine_without_data(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().sale(1, "odd");
    let summary = shop.import(&world).await;
    assert_eq!(summary.quarantined, 1);
    let entry = &world.import().await.quarantine(100).await.unwrap()[0];
    assert_eq!(entry.reason, "the program failed: \"…\"");
    // A state like the one before gets it out, although there is nothing to send.
    shop.begin().sale(1, "open");
    let summary = shop.import(&world).await;
    assert_eq!((summary.quarantined, summary.commands.sent), (0, 0));
    // Another program is applied to what is in the mirror.
    shop.begin().sale(1, "odd");
    assert_eq!(shop.import(&world).await.quarantined, 1);
    world.remap(
        &MAPPING
            .replace("elif .state == \"odd\" then error(\"an odd sale of \\(.party.name)\")\n", ""),
    );
    let summary = shop.import(&world).await;
    assert_eq!((summary.quarantined, summary.changes.read, summary.commands.sent), (0, 0, 1));
    assert_eq!(world.held("orders.SyncOrder")["1"].clone().unwrap()["state"], "odd");
}

#[rstest]
#[tokio::test]
async fn what_is_not_understood_twice_in_one_turn_is_in_quarantine_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().sale(1, "odd");
    shop.begin().line(1, 1, 3.0);
    assert_eq!(shop.import(&world).await.quarantined, 1);
    shop.begin().sale(1, "open");
    let summary = shop.import(&world).await;
    assert_eq!((summary.quarantined, summary.commands.revised), (0, 1));
}

#[rstest]
#[tokio::test]
async fn what_a_module_refuses_is_replayed_from_the_mirror(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    *world.modules["orders.SyncOrder"].refuse.lock().unwrap() = Some("1".to_owned());
    let summary = Shop::open().import(&world).await;
    assert_eq!((summary.quarantined, summary.commands.not_understood), (1, 1));
    let replay = async || {
        let never = CancellationToken::new();
        world.import().await.replay_quarantine(None, &NoProgress, &never).await.unwrap()
    };
    assert_eq!(replay().await.quarantined, 1);
    *world.modules["orders.SyncOrder"].refuse.lock().unwrap() = None;
    let summary = replay().await;
    assert_eq!((summary.quarantined, summary.commands.imported), (0, 1));
}

#[tokio::test]
async fn other_columns_need_another_mirror() {
    let mut world = World::new(MAPPING).await;
    Shop::open().import(&world).await;
    world.remap(&MAPPING.replace("keep = [\"name\"], hash", "keep = [\"name\", \"id\"], hash"));
    Shop::open().import(&world).await; // the key is stored anyway
    world.remap(
        &MAPPING
            .replace("hash = [\"vat\"]", "keep = [\"name\", \"vat\"]")
            .replace("keep = [\"name\"], keep", "keep"),
    );
    let file = world.write("feed.jsonl", &Shop::open().lines);
    let error = world.try_run(&[&file]).await.unwrap_err();
    assert!(matches!(error, ImportError::MirrorOutdated { .. }), "{error}");
}

#[rstest]
#[tokio::test]
async fn a_value_that_is_unavailable_stays_and_one_never_seen_is_waited_for(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let unavailable = json!({"party": 1, "state": "paid", "note": "__debezium_unavailable_value"});
    let mut shop = Shop::open();
    shop.begin().put("sale", 1, unavailable.clone()).put("sale", 2, unavailable);
    let summary = shop.import(&world).await;
    let held = world.held("orders.SyncOrder");
    let state = held["1"].as_ref().unwrap();
    assert_eq!((&state["state"], &state["note"]), (&json!("paid"), &json!("n")));
    assert!(!held.contains_key("2"));
    assert_eq!(summary.quarantined, 1);
    let entry = &world.import().await.quarantine(100).await.unwrap()[0];
    assert_eq!(
        entry.reason,
        "the feed has no value of `sale.note`: update the row, or take an incremental snapshot of it"
    );
}

/// Debezium makes a deletion and a row of it, at one position.
#[tokio::test]
async fn an_update_of_a_key_keeps_what_it_does_not_repeat() {
    let world = World::new(MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().delete("sale", 1);
    shop.position -= 1;
    let unavailable = json!({"party": 1, "state": "paid", "note": "__debezium_unavailable_value"});
    shop.record("c", "sale", 3, unavailable.clone());
    let summary = shop.import(&world).await;
    assert_eq!(summary.quarantined, 0, "{summary:?}");
    let held = world.held("orders.SyncOrder");
    assert_eq!(held["1"], Err("deleted".to_owned()));
    assert_eq!(held["3"].as_ref().unwrap()["note"], "n");
    // A row that is made elsewhere has nothing to do with it.
    shop.begin().delete("sale", 3).record("c", "sale", 4, unavailable);
    assert_eq!(shop.import(&world).await.quarantined, 1);
}

#[rstest]
#[tokio::test]
async fn nothing_is_sent_before_a_snapshot_is_whole(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop { snapshot: Some("true"), ..Shop::default() };
    shop.begin().put("unit", 1, json!({"name": "piece"})).party(1, "Ada").sale(1, "open");
    let summary = shop.import(&world).await;
    assert!(summary.unfinished_snapshot);
    assert_eq!((summary.commands.sent, summary.dirty, summary.quarantined), (0, 2, 0));
    shop.snapshot = Some("last");
    shop.line(1, 1, 2.0);
    let summary = shop.import(&world).await;
    assert_eq!(
        (summary.commands.imported, summary.dirty, summary.unfinished_snapshot),
        (2, 0, false)
    );
    assert_eq!(quantities(&world, "1"), ["2"]);
}

#[rstest]
#[tokio::test]
async fn what_is_dropped_or_hashed_is_nowhere_in_the_mirror(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().sale(1, "odd");
    shop.import(&world).await;
    let hashed = world.held("customers.SyncCustomer")["1"].clone().unwrap()["vat"].clone();
    assert_eq!(hashed.as_str().unwrap().len(), 64);
    let bytes = world.stored().await;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("Ada") && holds(hashed.as_str().unwrap()), "the mirror was not looked at");
    for secret in ["dropped-value-0815", "FR-hashed-4711", "odd sale of Ada"] {
        assert!(!holds(secret), "{secret} is in the mirror");
    }
}

#[test]
fn files_that_cannot_be_read_are_told_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let (good, missing) = (folder.path().join("good"), folder.path().join("missing"));
    std::fs::write(&good, "").unwrap();
    Import::check_files(std::slice::from_ref(&good)).unwrap();
    for bad in [missing, folder.path().to_owned()] {
        let error = Import::check_files(&[good.clone(), bad.clone()]).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot read {}", bad.display()));
    }
}

#[tokio::test]
async fn broken_lines_are_named_and_nothing_is_lost() {
    for (broken, expected) in [
        ("nonsense", "feed.jsonl, line 5: the line is not JSON"),
        ("{\"a\":1}", "line 5: the line is not a Debezium record"),
        (
            r#"{"topic":"shop.public.Sale","key":{},"value":null}"#,
            "topic `shop.public.Sale`: the mapping has `shop.public.sale`",
        ),
        (r#"{"topic":"shop.public.sale","key":{"nr":1},"value":null}"#, "the key lacks a column"),
        (
            r#"{"topic":"shop.public.sale","key":null,"value":{"op":"t","source":{"lsn":99,"txId":99}}}"#,
            "table `sale` was truncated",
        ),
        (
            r#"{"topic":"shop.public.sale","key":{"id":1},"value":{"op":"u","after":{"id":1},"source":{"lsn":99,"txId":99}}}"#,
            "column `note` of `sale` is not in the record",
        ),
    ] {
        let world = World::new(MAPPING).await;
        let mut shop = Shop::open();
        shop.lines.push(broken.to_owned());
        let file = world.write("feed.jsonl", &shop.lines);
        let error = world.try_run(&[&file]).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        // People see a chain of errors in one line.
        let causes = std::iter::successors(std::error::Error::source(&error), |one| one.source());
        for cause in causes.map(ToString::to_string) {
            assert!(!error.to_string().contains(&cause), "said twice: {cause}");
        }
        shop.lines.pop();
        shop.begin().sale(1, "paid");
        let summary = shop.import(&world).await;
        assert_eq!(summary.changes.read, 1, "{broken}");
        assert_eq!(world.held("orders.SyncOrder")["1"].clone().unwrap()["state"], "paid");
        assert_eq!(quantities(&world, "1"), ["2"]);
    }
}

#[tokio::test]
async fn a_request_says_where_it_comes_from() {
    let world = World::new(MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().sale(2, "open").party(2, "Blaise");
    shop.import(&world).await;
    let requests = world.told("orders.SyncOrder");
    let request = requests.iter().find(|request| request.legacy.id == "2").unwrap();
    assert_eq!(request.id, crate::aggregate_id("shop", "sale", "2"));
    assert_eq!(request.legacy.source, "shop");
    let cause = &request.cause;
    assert_eq!((cause.origin_system.as_str(), cause.actor.as_str()), ("shop", "import"));
    assert_eq!(cause.occurred_at.unwrap().timestamp_millis(), 1_760_000_000_000 + shop.position);
    // What one source transaction led to is one story.
    let customers = world.told("customers.SyncCustomer");
    let correlation = |key: &str| {
        let told = customers.iter().find(|request| request.legacy.id == key);
        told.unwrap().cause.correlation_id
    };
    assert_eq!(correlation("2"), cause.correlation_id);
    assert_ne!(correlation("1"), cause.correlation_id);
    let LegacyState::Present(state) = &request.state else { panic!("the sale is there") };
    assert_eq!(state["customer_id"], crate::aggregate_id("shop", "party", "1").to_string());
}

#[tokio::test]
async fn a_command_that_fails_is_tried_again_and_not_lost_when_that_does_not_help() {
    let world = World::new(MAPPING).await;
    let module = &world.modules["orders.SyncOrder"];
    *module.failing.lock().unwrap() = 2;
    let mut shop = Shop::open();
    assert_eq!(shop.import(&world).await.commands.imported, 2);

    *module.failing.lock().unwrap() = usize::MAX;
    shop.begin().sale(1, "paid");
    let file = world.write("feed.jsonl", &shop.lines);
    let error = world.try_run(&[&file]).await.unwrap_err();
    assert!(matches!(error, ImportError::NotDelivered { .. }), "{error}");
    *module.failing.lock().unwrap() = 0;
    let summary = world.run(&[&file]).await;
    assert_eq!((summary.changes.read, summary.commands.revised, summary.dirty), (0, 1, 0));
}

#[tokio::test]
async fn cancelling_does_not_wait_for_expensive_programs() {
    let world = World::new(MAPPING).await;
    let mut shop = Shop::default();
    shop.begin();
    for id in 0..20 {
        shop.party(id, "Ada");
    }
    let files = [world.write("feed.jsonl", &shop.lines)];
    let cancel = CancellationToken::new();
    // Programs as expensive as can be: none ends before the import has. The first to begin cancels.
    let (over, end) = std::sync::mpsc::channel::<()>();
    let (end, begun) = (std::sync::Mutex::new(end), cancel.clone());
    let mut import = world.import().await;
    import.runner = Runner::observed(PATIENCE, move || {
        begun.cancel();
        // Fails when the import has ended, which is what it waits for.
        let _ = end.lock().unwrap().recv();
    })
    .unwrap();
    let run = import.run(&files, Options::default(), &NoProgress, &cancel);
    let summary = tokio::time::timeout(PATIENCE, run).await;
    drop(over);
    let summary = summary.expect("the programs were waited for").unwrap();
    assert!(summary.cancelled);
    // As if the turn had never begun.
    assert_eq!((summary.changes.read, summary.commands.sent, summary.dirty), (0, 0, 0));
    let summary = world.run(&[&files[0]]).await;
    assert_eq!((summary.changes.read, summary.commands.imported), (20, 20));
}
