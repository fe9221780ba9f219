//! Data of other legacy systems: the right value, or an error that says what to do, and never a silent
//! loss. The feeds are in `tests/data/legacies`.

mod keys;

use std::path::{Path, PathBuf};

use database::Engine;
use kernel::sync::LegacyReference;
use rstest::rstest;
use serde_json::{Value, json};

use super::super::*;
use super::harness::*;
use crate::erase;

const CUSTOMER: &str = "customers.SyncCustomer";
const ORDER: &str = "orders.SyncOrder";
const INVOICE: &str = "billing.SyncInvoice";
const PAYMENT: &str = "payments.SyncPayment";

fn data(name: &str) -> PathBuf {
    from_the_crate("../../tests/data/legacies").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(data(name)).unwrap()
}

async fn mini() -> World {
    World::new(&text("mini.toml")).await
}

fn names(world: &World) -> Value {
    let names = world.held(CUSTOMER).into_iter();
    names
        .map(|(key, state)| (key, state.map_or(json!(null), |state| state["name"].clone())))
        .collect()
}

fn order(world: &World, key: &str) -> Value {
    world.held(ORDER)[key].clone().unwrap()
}

async fn error_of(world: &World, file: &Path) -> String {
    world.try_run(&[file]).await.unwrap_err().to_string()
}

/// A record of `leg.public`, of a transaction of its own unless a snapshot is given.
fn record(
    table: &str,
    position: i64,
    op: &str,
    snapshot: &str,
    key: Value,
    after: Value,
) -> String {
    let source = json!({ "connector": "postgresql", "lsn": position, "txId": position,
        "snapshot": snapshot, "ts_ms": 1_200_000_000_000_i64 + position });
    let value = json!({ "op": op, "before": null, "after": after, "source": source });
    json!({ "topic": format!("leg.public.{table}"), "key": key, "value": value }).to_string()
}

fn client(position: i64, op: &str, snapshot: &str, id: i64, name: &str) -> String {
    record("client", position, op, snapshot, json!({ "id": id }), json!({ "id": id, "nom": name }))
}

/// Kinds: `MaterializeInc/materialize#14211`, `yugabyte/debezium-connector-yugabytedb#331`.
#[rstest]
#[tokio::test]
async fn rows_after_the_last_of_a_snapshot_belong_to_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, &text("mini.toml")).await;
    let summary = world.run(&[&data("last-is-not-the-last.jsonl")]).await;
    assert_eq!((summary.dirty, summary.unfinished_snapshot), (0, false));
    assert_eq!(names(&world), json!({ "7": "A", "8": "B", "9": "D" }));
    assert_eq!(order(&world, "1")["lines"].as_array().unwrap().len(), 1);
    // One command is sent for each, with the whole state.
    assert_eq!(world.told(ORDER).len(), 1);
}

/// One file per topic, in every order, split between runs or not.
#[tokio::test]
async fn a_snapshot_may_come_as_one_file_per_topic_in_any_order() {
    let lines: Vec<String> =
        text("last-is-not-the-last.jsonl").lines().map(str::to_owned).collect();
    let of = |table: &str| -> Vec<String> {
        let topic = format!("leg.public.{table}\"");
        lines.iter().filter(|line| line.contains(&topic)).cloned().collect()
    };
    for order_of_files in
        [["client", "cde", "ligne"], ["ligne", "cde", "client"], ["cde", "ligne", "client"]]
    {
        for at_once in [true, false] {
            let world = mini().await;
            let files =
                order_of_files.map(|table| world.write(&format!("{table}.jsonl"), &of(table)));
            let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
            let runs: Vec<&[&Path]> =
                if at_once { vec![&paths] } else { paths.chunks(1).collect() };
            let mut last = Summary::default();
            for run in runs {
                last = world.run(run).await;
            }
            assert_eq!((last.dirty, last.unfinished_snapshot), (0, false), "{order_of_files:?}");
            assert_eq!(names(&world), json!({ "7": "A", "8": "B", "9": "D" }));
            assert_eq!(order(&world, "1")["lines"].as_array().unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_snapshot_without_its_last_record_waits_until_it_is_said_to_be_whole() {
    let world = mini().await;
    let lines = [client(10, "r", "first", 1, "A"), client(10, "r", "true", 2, "B")];
    let file = world.write("feed.jsonl", &lines);
    for _ in 0..2 {
        let summary = world.run(&[&file]).await;
        assert_eq!((summary.dirty, summary.unfinished_snapshot), (2, true));
        assert!(world.told(CUSTOMER).is_empty());
    }
    let whole = Options { snapshot_complete: true, ..Options::default() };
    let summary = world.run_with(&[&file], whole, &CancellationToken::new()).await.unwrap();
    assert_eq!((summary.dirty, summary.unfinished_snapshot), (0, false));
    assert_eq!(names(&world), json!({ "1": "A", "2": "B" }));
    let summary = world.run(&[&file]).await;
    assert_eq!((summary.dirty, summary.unfinished_snapshot), (0, false));
}

/// Kinds: `debezium/debezium#4403`, `#5532`, `stitchdata/docs#1012`.
#[rstest]
#[tokio::test]
async fn positions_that_begin_anew_stop_the_import_at_their_line(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, &text("mini.toml")).await;
    let file = data("positions-begin-anew.jsonl");
    for _ in 0..2 {
        let error = error_of(&world, &file).await;
        assert!(
            error.contains("positions-begin-anew.jsonl, line 2: the change of `client`"),
            "{error}"
        );
        assert!(
            error.contains("moved to another server") && error.contains("--allow-older"),
            "{error}"
        );
        // What is before it is taken over.
        assert_eq!(names(&world), json!({ "7": "ancien" }));
    }
    let allowing = Options { allow_older: true, ..Options::default() };
    let summary = world.run_with(&[&file], allowing, &CancellationToken::new()).await.unwrap();
    assert_eq!(summary.changes.not_newer, 2);
}

#[tokio::test]
async fn what_is_older_by_right_is_no_error() {
    // A connector that was restarted delivers again; a file that is imported twice; files in another
    // order; a snapshot taken with a slot that had confirmed less than was delivered.
    let world = mini().await;
    let [a, b, c] =
        [(10, "A"), (20, "B"), (30, "C")].map(|(at, name)| client(at, "u", "false", 1, name));
    let again = [a.clone(), b.clone(), c.clone(), b.clone(), c.clone()];
    let file = world.write("feed.jsonl", &again);
    let summary = world.run(&[&file]).await;
    assert_eq!((summary.changes.applied, summary.changes.not_newer), (3, 2));
    let from_start = Options { from_start: true, ..Options::default() };
    let summary = world.run_with(&[&file], from_start, &CancellationToken::new()).await.unwrap();
    assert_eq!((summary.changes.applied, summary.changes.not_newer), (0, 5));
    let later = world.write("later.jsonl", &[b, a]);
    assert_eq!(world.run(&[&later]).await.changes.not_newer, 2);
    let behind = client(15, "r", "first", 1, "B").replace("1200000000015", "1200000000040");
    let last = client(15, "r", "last", 2, "Z").replace("1200000000015", "1200000000041");
    let snapshot = world.write("snapshot.jsonl", &[behind, last]);
    let summary = world.run(&[&snapshot]).await;
    assert_eq!((summary.changes.behind, summary.changes.not_newer), (1, 1));
    assert_eq!(names(&world), json!({ "1": "C", "2": "Z" }));
}

/// Kinds: `debezium/debezium#966`, `#1221`, `memiiso/debezium-server-iceberg#623`.
#[tokio::test]
async fn records_of_nothing_that_is_mapped_are_counted_and_skipped() {
    let world = mini().await;
    let summary = world.run(&[&data("heartbeat.jsonl")]).await;
    assert_eq!((summary.changes.unmapped, summary.changes.no_change), (1, 1));
    assert_eq!(names(&world), json!({ "7": "A", "8": "B" }));
    let summary = world.run(&[&data("transaction-metadata.jsonl")]).await;
    assert_eq!((summary.changes.unmapped, summary.changes.no_change), (1, 1));
    assert_eq!(world.run(&[&data("message.jsonl")]).await.changes.no_change, 1);
    let others = [
        record("journal", 2_000, "t", "false", json!(null), json!(null)),
        record("journal", 2_010, "c", "false", json!({ "id": 1 }), json!({ "id": 1 })),
        r#"{"topic":"other.public.client","key":{"id":1},"value":{"op":"c"}}"#.to_owned(),
    ];
    let summary = world.run(&[&world.write("others.jsonl", &others)]).await;
    assert_eq!((summary.changes.unmapped, summary.changes.no_change), (3, 1));
}

/// The first feed after a connector was set up may hold no change yet.
#[tokio::test]
async fn a_first_feed_of_nothing_but_heartbeats_and_the_like_is_no_error() {
    let heartbeat =
        r#"{"topic":"__debezium-heartbeat.leg","key":{"serverName":"leg"},"value":{"ts_ms":1}}"#;
    let metadata = r#"{"topic":"leg.transaction","key":{"id":"5:1"},"value":{"status":"BEGIN","id":"5:1","ts_ms":1}}"#;
    let message = r#"{"topic":"leg.message","key":{"prefix":"p"},"value":{"op":"m","ts_ms":1,"source":{"lsn":3,"txId":4},"message":{"prefix":"p","content":""}}}"#;
    let truncate = record("journal", 2_000, "t", "false", json!(null), json!(null));
    for line in [heartbeat, metadata, message, &truncate] {
        let world = mini().await;
        let summary = world.run(&[&world.write("feed.jsonl", &[line.to_owned()])]).await;
        assert_eq!((summary.changes.read, summary.changes.no_change), (1, 1), "{line}");
    }
}

#[tokio::test]
async fn a_feed_of_which_nothing_is_mapped_is_an_error() {
    let world = mini().await;
    let lines = [client(10, "c", "false", 1, "A").replace("leg.public.", "leg.prod.")];
    let error = error_of(&world, &world.write("feed.jsonl", &lines)).await;
    assert!(error.contains("none of the 1 records") && error.contains("`leg.public.`"), "{error}");
    let heartbeat = r#"{"topic":"__debezium-heartbeat.leg","key":null,"value":{"ts_ms":1}}"#;
    let lines = [lines[0].clone(), heartbeat.to_owned()];
    let world = mini().await;
    let error = error_of(&world, &world.write("feed.jsonl", &lines)).await;
    assert!(error.contains("none of the 2 records"), "{error}");
}

#[tokio::test]
async fn a_date_beyond_those_of_a_calendar_here_is_taken_and_the_import_goes_on() {
    let world = mini().await;
    let order = |id: i64, day: i64, at: i64| {
        let row = json!({ "id": id, "client": 7, "total": "1.00", "jour": day, "maj": 9_223_371_331_199_999_999_i64,
            "etiq": "a", "doc": "d" });
        record("cde", at, "c", "false", json!({ "id": id }), row)
    };
    let lines = [order(1, 1, 10), order(2, 2_145_042_541, 20), order(3, 1, 30)];
    let summary = world.run(&[&world.write("feed.jsonl", &lines)]).await;
    assert_eq!(summary.changes.applied, 3);
    // Modules refuse it as a date, and so it goes to quarantine there.
    assert_eq!(world.held(ORDER)["2"].clone().unwrap()["date"], "+5874897-01-01");
    assert!(world.held(ORDER)["3"].is_ok());
}

#[tokio::test]
async fn a_reason_for_absence_that_is_a_document_goes_to_quarantine() {
    let absent = text("mini.toml")
        .replace("'{name: .nom, number: (.id|tostring)}'", "'{absent: (.nom * 400)}'");
    let world = World::new(&absent).await;
    let lines = [client(10, "c", "false", 1, "abc"), client(20, "c", "false", 2, "ab")];
    let summary = world.run(&[&world.write("feed.jsonl", &lines)]).await;
    assert_eq!((summary.quarantined, summary.ignored.len()), (1, 1));
}

#[tokio::test]
async fn a_table_in_other_letters_is_an_error_with_its_name_unless_it_is_another_one() {
    let lines = [client(10, "c", "false", 1, "A").replace("client", "CLIENT")];
    let world = mini().await;
    let error = error_of(&world, &world.write("feed.jsonl", &lines)).await;
    assert!(error.contains("`leg.public.CLIENT`: the mapping has `leg.public.client`"), "{error}");
    let ignoring =
        text("mini.toml").replacen("version = 1", "version = 1\nignore = [\"CLIENT\"]", 1);
    let world = World::new(&ignoring).await;
    let lines = [lines[0].clone(), client(20, "c", "false", 2, "B")];
    let summary = world.run(&[&world.write("feed.jsonl", &lines)]).await;
    assert_eq!((summary.changes.unmapped, names(&world)), (1, json!({ "2": "B" })));
}

#[tokio::test]
async fn a_column_in_other_letters_is_named_as_the_record_has_it() {
    let world = mini().await;
    let lines = [client(10, "c", "false", 1, "A").replace("nom", "NOM")];
    let error = error_of(&world, &world.write("feed.jsonl", &lines)).await;
    assert!(error.contains("is not in the record, which has `NOM`"), "{error}");
}

/// Kinds: `memiiso/debezium-server-iceberg#370`, `Altinity/clickhouse-sink-connector#38`.
#[rstest]
#[tokio::test]
async fn a_column_that_was_dropped_can_be_made_optional_without_another_mirror(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::on(engine, &text("mini.toml")).await;
    let file = data("column-dropped.jsonl");
    let error = error_of(&world, &file).await;
    assert!(error.contains("list it in `optional`"), "{error}");
    let optional = "client = { keep = [\"nom\"], optional = [\"nom\"] }";
    world.remap(&text("mini.toml").replace("client = { keep = [\"nom\"] }", optional));
    let summary = world.run(&[&file]).await;
    assert_eq!(summary.quarantined, 0);
    assert_eq!(names(&world), json!({ "7": "A", "8": null, "9": "C" }));
}

/// Kinds: `debezium/debezium#4136`, `#4137`, `risingwavelabs/risingwave#22852`.
#[rstest]
#[case("placeholder-array.jsonl", json!([["a"], "x"]))]
#[case("placeholder-bytea.jsonl", json!([["a"], "SGVsbG8="]))]
#[tokio::test]
async fn a_value_that_is_not_repeated_stays_whatever_its_type(
    #[case] file: &str,
    #[case] stays: Value,
) {
    let world = mini().await;
    world.run(&[&data(file)]).await;
    let order = order(&world, "1");
    let shown: Value = serde_json::from_str(order["reference"].as_str().unwrap()).unwrap();
    assert_eq!((&shown[1], &shown[2]), (&stays[0], &stays[1]));
    assert_eq!(order["total"], "13.00");
}

/// Kinds: `debezium/debezium#3765`, `apache/hudi#19110`.
#[rstest]
#[tokio::test]
async fn rows_read_while_changes_are_streamed_are_taken(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, &text("mini.toml")).await;
    let file = data("incremental-snapshot.jsonl");
    world.run(&[&file]).await;
    assert_eq!(names(&world), json!({ "7": "C", "8": "B" }));
    let read = |id: i64, name: &str, time: i64| {
        let mut line: Value =
            serde_json::from_str(&client(0, "r", "incremental", id, name)).unwrap();
        let source = &mut line["value"]["source"];
        (source["lsn"], source["txId"]) = (json!(null), json!(null));
        source["ts_ms"] = json!(1_200_000_000_000_i64 + time);
        line.to_string()
    };
    // It makes up for what was missed; what is streamed later wins; read again it changes nothing.
    let lines = [
        client(2_000, "u", "false", 1, "A"),
        read(7, "E", 2_001),
        read(8, "F", 2_001),
        client(2_010, "u", "false", 8, "G"),
    ];
    let later = world.write("later.jsonl", &lines);
    let expected = json!({ "1": "A", "7": "E", "8": "G" });
    world.run(&[&later]).await;
    assert_eq!(names(&world), expected);
    let from_start = Options { from_start: true, ..Options::default() };
    world.run_with(&[&file, &later], from_start, &CancellationToken::new()).await.unwrap();
    assert_eq!(names(&world), expected);
    // Also where reading goes on in the middle of a file.
    let mut more = lines.to_vec();
    more.push(read(8, "H", 2_020));
    world.run(&[&world.write("later.jsonl", &more)]).await;
    assert_eq!(names(&world)["8"], "H");
}

/// Kinds: `risingwavelabs/risingwave#10628`, `airbytehq/airbyte#4315`.
#[tokio::test]
async fn decimals_are_read_exactly_or_refused_with_the_setting() {
    let error = error_of(&mini().await, &data("decimal-base64.jsonl")).await;
    assert!(error.contains("column `total` of `cde`"), "{error}");
    assert!(error.contains("decimal.handling.mode=string"), "{error}");
    let world = mini().await;
    world.run(&[&data("decimal-variable-scale.jsonl")]).await;
    assert_eq!(order(&world, "1")["total"], "12.50");
    let precise = text("mini.toml").replace("total = \"decimal\"", "total = { precise = 2 }");
    for (file, total) in
        [("decimal-base64.jsonl", "12.50"), ("decimal-base64-digits.jsonl", "-26588.24")]
    {
        let world = World::new(&precise).await;
        world.run(&[&data(file)]).await;
        assert_eq!(order(&world, "1")["total"], total);
    }
}

/// Kinds: `datastax/kafka-sink#107`, `pingcap/tiflow#12064`.
#[tokio::test]
async fn numbers_beyond_a_double_keep_their_digits() {
    for (file, total) in [
        ("number-28-digits.jsonl", "0.1234567890123456789012345678"),
        ("number-money.jsonl", "12345678901234567.89"),
    ] {
        for mapping in [text("mini.toml"), text("mini.toml").replace("total = \"decimal\", ", "")] {
            let world = World::new(&mapping).await;
            world.run(&[&data(file)]).await;
            assert_eq!(order(&world, "1")["total"], total);
        }
    }
    let world = World::new(&text("mini.toml").replace("total = \"decimal\", ", "")).await;
    let error = error_of(&world, &data("number-beyond-double.jsonl")).await;
    assert!(
        error.contains("column `total` of `cde` is a number that does not fit into a double"),
        "{error}"
    );
}
