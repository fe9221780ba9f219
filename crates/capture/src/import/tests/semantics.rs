//! What single changes lead to, on a small legacy of parties, sales and lines.

use kernel::sync::LegacyState;
use serde_json::{Value, json};

use super::super::*;
use super::harness::*;

const MAPPING: &str = r#"
version = 1
source = "shop"
tables_from = "shop.public."
[tables]
party = { keep = ["name"], hash = ["vat"] }
sale = { keep = ["party", "state", "note"] }
line = { keep = ["sale", "qty", "unit"], types = { qty = "decimal" } }
unit = { keep = ["name"] }
[aggregates.customer]
root = "party"
command = "customers.SyncCustomer"
[aggregates.customer.jq]
program = '{name, vat}'
[aggregates.order]
root = "sale"
command = "orders.SyncOrder"
[aggregates.order.rows]
"party" = { one = "party", ref = "party", required = true }
"lines" = { many = "line", fk = "sale" }
"lines.unit" = { one = "unit", ref = "unit", follow = false }
[aggregates.order.jq]
program = '''
if .state == "draft" then {absent: "state draft"}
elif .state == "odd" then error("an odd sale of \(.party.name)")
else {state, note, who: .party.name, customer_id: (.party.id | uid("party")),
      lines: [.lines[] | {qty, unit: .unit.name, noisy: (.qty | dec_scale > 6)}]} end
'''
"#;

/// Longer than anything here takes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A feed being written. Positions count up.
#[derive(Default)]
struct Shop {
    lines: Vec<String>,
    position: i64,
    transaction: i64,
    snapshot: Option<&'static str>,
}

impl Shop {
    fn begin(&mut self) -> &mut Self {
        self.transaction += 1;
        self
    }

    fn record(&mut self, op: &str, table: &str, id: i64, after: Value) -> &mut Self {
        self.position += 1;
        let mut after = after;
        if after.is_object() {
            after["id"] = json!(id);
            after["secret"] = json!("dropped-value-0815");
        }
        let source = json!({"lsn": self.position, "txId": self.transaction, "snapshot": self.snapshot.unwrap_or("false"), "ts_ms": 1_760_000_000_000_i64 + self.position});
        let value = json!({"op": op, "before": null, "after": after, "source": source});
        let line =
            json!({"topic": format!("shop.public.{table}"), "key": {"id": id}, "value": value});
        self.lines.push(line.to_string());
        self
    }

    fn put(&mut self, table: &str, id: i64, after: Value) -> &mut Self {
        self.record("u", table, id, after)
    }

    fn delete(&mut self, table: &str, id: i64) -> &mut Self {
        self.record("d", table, id, Value::Null)
    }

    fn party(&mut self, id: i64, name: &str) -> &mut Self {
        self.put("party", id, json!({"name": name, "vat": "FR-hashed-4711"}))
    }

    fn sale(&mut self, id: i64, state: &str) -> &mut Self {
        self.put("sale", id, json!({"party": 1, "state": state, "note": "n"}))
    }

    fn line(&mut self, id: i64, sale: i64, qty: f64) -> &mut Self {
        self.put("line", id, json!({"sale": sale, "qty": qty, "unit": 1}))
    }

    /// A party, a unit and a sale with one line.
    fn open() -> Self {
        let mut shop = Self::default();
        shop.begin()
            .put("unit", 1, json!({"name": "piece"}))
            .party(1, "Ada")
            .sale(1, "open")
            .line(1, 1, 2.0);
        shop
    }

    async fn import(&self, world: &World) -> Summary {
        world.run(&[&world.write("feed.jsonl", &self.lines)]).await
    }
}

fn quantities(world: &World, sale: &str) -> Vec<String> {
    let held = world.held("orders.SyncOrder");
    let state = held[sale].as_ref().unwrap();
    let lines = state["lines"].as_array().unwrap().iter();
    lines.map(|line| line["qty"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn only_states_at_the_end_of_a_transaction_are_sent() {
    let world = World::new(MAPPING);
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

#[tokio::test]
async fn a_row_that_moves_changes_both_its_owners() {
    let world = World::new(MAPPING);
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
    let world = World::new(MAPPING);
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

#[tokio::test]
async fn absent_is_ignored_before_and_told_after_it_was_there() {
    let world = World::new(MAPPING);
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

#[tokio::test]
async fn what_is_required_is_waited_for_and_missed_only_at_the_end() {
    let world = World::new(MAPPING);
    let mut shop = Shop::default();
    shop.begin().sale(1, "open");
    shop.begin().put("unit", 1, json!({"name": "piece"}));
    let mut late = Shop { position: 9, transaction: 9, ..Shop::default() };
    late.begin().party(1, "Ada");
    let (first, second) = (world.write("a", &shop.lines), world.write("b", &late.lines));

    let both = World::new(MAPPING);
    let summary = both.run(&[&first, &second]).await;
    assert_eq!((summary.quarantined, summary.commands.imported), (0, 2));

    let summary = world.run(&[&first]).await;
    assert_eq!((summary.quarantined, summary.dirty, summary.commands.sent), (1, 0, 0));
    let entry = &world.import().await.quarantine().await.unwrap()[0];
    assert_eq!((entry.aggregate.as_str(), entry.key.as_str()), ("order", "1"));
    assert_eq!(entry.reason, "`party`: the row it needs in `party` never came");

    let summary = world.run(&[&second]).await;
    assert_eq!((summary.quarantined, summary.commands.imported), (0, 2));
}

#[tokio::test]
async fn a_program_that_fails_leads_to_quarantine_without_data() {
    let mut world = World::new(MAPPING);
    let mut shop = Shop::open();
    shop.begin().sale(1, "odd");
    let summary = shop.import(&world).await;
    assert_eq!(summary.quarantined, 1);
    let entry = &world.import().await.quarantine().await.unwrap()[0];
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

#[tokio::test]
async fn what_a_module_refuses_is_replayed_from_the_mirror() {
    let world = World::new(MAPPING);
    *world.modules["orders.SyncOrder"].refuse.lock().unwrap() = Some("1".to_owned());
    let summary = Shop::open().import(&world).await;
    assert_eq!((summary.quarantined, summary.commands.not_understood), (1, 1));
    let replay = async || {
        let never = CancellationToken::new();
        world.import().await.replay_quarantine(&NoProgress, &never).await.unwrap()
    };
    assert_eq!(replay().await.quarantined, 1);
    *world.modules["orders.SyncOrder"].refuse.lock().unwrap() = None;
    let summary = replay().await;
    assert_eq!((summary.quarantined, summary.commands.imported), (0, 1));
}

#[tokio::test]
async fn other_columns_need_another_mirror() {
    let mut world = World::new(MAPPING);
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

#[tokio::test]
async fn a_value_that_is_unavailable_stays_and_one_never_seen_is_waited_for() {
    let world = World::new(MAPPING);
    let unavailable = json!({"party": 1, "state": "paid", "note": "__debezium_unavailable_value"});
    let mut shop = Shop::open();
    shop.begin().put("sale", 1, unavailable.clone()).put("sale", 2, unavailable);
    let summary = shop.import(&world).await;
    let held = world.held("orders.SyncOrder");
    let state = held["1"].as_ref().unwrap();
    assert_eq!((&state["state"], &state["note"]), (&json!("paid"), &json!("n")));
    assert!(!held.contains_key("2"));
    assert_eq!(summary.quarantined, 1);
    let entry = &world.import().await.quarantine().await.unwrap()[0];
    assert_eq!(entry.reason, "the value of `sale.note` never came");
}

#[tokio::test]
async fn nothing_is_sent_before_a_snapshot_is_whole() {
    let world = World::new(MAPPING);
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

#[tokio::test]
async fn what_is_dropped_or_hashed_is_nowhere_in_the_mirror() {
    let world = World::new(MAPPING);
    let mut shop = Shop::open();
    shop.begin().sale(1, "odd");
    shop.import(&world).await;
    let hashed = world.held("customers.SyncCustomer")["1"].clone().unwrap()["vat"].clone();
    assert_eq!(hashed.as_str().unwrap().len(), 64);
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("mirror.db") {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("Ada") && holds(hashed.as_str().unwrap()), "the mirror was not looked at");
    for secret in ["dropped-value-0815", "FR-hashed-4711", "odd sale of"] {
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
        assert_eq!(error.to_string(), format!("{} cannot be read", bad.display()));
    }
}

#[tokio::test]
async fn broken_lines_are_named_and_nothing_is_lost() {
    for (broken, expected) in [
        ("nonsense", "feed.jsonl, line 5: the line is not JSON"),
        ("{\"a\":1}", "line 5: the line is not a Debezium record"),
        (
            r#"{"topic":"other.public.x","key":{},"value":null}"#,
            "topic `other.public.x` does not begin with `shop.public.`",
        ),
        (r#"{"topic":"shop.public.sale","key":{"nr":1},"value":null}"#, "the key lacks a column"),
        (
            r#"{"topic":"shop.public.sale","key":{"id":1},"value":{"op":"u","after":{"id":1},"source":{"lsn":99,"txId":99}}}"#,
            "column `note` of `sale` is not in the record",
        ),
    ] {
        let world = World::new(MAPPING);
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
    let world = World::new(MAPPING);
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
    let world = World::new(MAPPING);
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
async fn an_import_stops_when_another_one_takes_over() {
    let world = World::new(MAPPING);
    let file = world.write("feed.jsonl", &Shop::open().lines);
    let (first, second) = (world.import().await, world.import().await);
    let never = CancellationToken::new();
    let begun = session::Session::begin(&first, &NoProgress, &never).await.unwrap();
    second.run(std::slice::from_ref(&file), Options::default(), &NoProgress, &never).await.unwrap();
    let options = Options { from_start: true };
    let error = begun.run(&[file], options).await.unwrap_err();
    assert!(matches!(error, ImportError::Superseded { .. }), "{error}");
}

/// A busy little legacy: aggregates that change in one transaction after the other, come and go,
/// break and are mended, wait for each other, and a transaction too large for the memory.
fn busy_shop() -> Shop {
    let mut shop = Shop::open();
    shop.begin().sale(2, "draft");
    // In one turn with the next: nothing new, then something.
    shop.begin().line(2, 2, 1.0);
    shop.begin().sale(2, "open");
    shop.begin().sale(3, "open").party(2, "Blaise");
    shop.begin().delete("sale", 3).delete("party", 2);
    shop.begin().sale(2, "odd");
    shop.begin().sale(2, "open");
    shop.begin().put("sale", 4, json!({"party": 3, "state": "open", "note": null}));
    shop.begin().sale(1, "paid").line(1, 1, 5.0);
    shop.begin().sale(1, "draft");
    shop.begin().sale(1, "paid");
    shop.begin().party(3, "Émilie");
    shop.begin();
    for id in 10..16 {
        shop.sale(id, "open").line(id, id, 1.0);
    }
    shop.begin();
    for id in 10..16 {
        shop.delete("sale", id).party(id, "Short");
    }
    shop.begin().sale(5, "odd");
    shop.begin().sale(2, "done");
    shop
}

#[tokio::test]
async fn a_crash_at_any_command_changes_nothing_in_the_end() {
    let all = [Sizes { least: 2, most: 5, page: 4 }, Sizes { least: 6, most: 100, page: 100 }];
    for sizes in all {
        let mut whole = World::new(MAPPING);
        whole.sizes = sizes;
        let files = [whole.write("feed.jsonl", &busy_shop().lines)];
        assert_eq!(whole.run(&[&files[0]]).await.quarantined, 1);
        let states = whole.went().values().map(Vec::len).sum::<usize>();
        assert!(states > 30, "only {states} states");
        for moment in [Moment::Before, Moment::Recorded, Moment::Answered] {
            for commands in 0..states {
                let mut world = World::new(MAPPING);
                world.key = whole.key.clone();
                world.sizes = sizes;
                assert!(world.run_and_crash(&files, commands, moment).await);
                let summary = world.run(&[&files[0]]).await;
                assert_eq!(world.went(), whole.went(), "{moment:?} {commands}");
                assert_eq!((summary.quarantined, summary.dirty), (1, 0), "{moment:?} {commands}");
            }
        }
    }
}

#[tokio::test]
async fn a_newer_state_outlives_a_crash_though_an_older_one_said_nothing_new() {
    let mut world = World::new(MAPPING);
    let mut shop = Shop::default();
    shop.begin().put("unit", 1, json!({"name": "piece"})).party(1, "Ada").sale(1, "draft");
    // One turn: the state on its way once more, then another one.
    shop.begin().line(1, 1, 2.0);
    shop.begin().sale(1, "open");
    world.sizes = Sizes { least: 2, ..Sizes::default() };
    let files = [world.write("feed.jsonl", &shop.lines)];
    // The customer is recorded, the order is not.
    assert!(world.run_and_crash(&files, 1, Moment::Before).await);
    world.run(&[&files[0]]).await;
    assert_eq!(world.held("orders.SyncOrder")["1"].clone().unwrap()["state"], "open");
}

#[tokio::test]
async fn what_the_outbox_keeps_is_gone_when_it_is_answered_and_masked_before() {
    let world = World::new(MAPPING);
    let mut shop = Shop::open();
    shop.begin().sale(1, "odd");
    let files = [world.write("feed.jsonl", &shop.lines)];
    assert!(world.run_and_crash(&files, 0, Moment::Before).await);
    let posted = async || {
        let import = world.import().await;
        let mut connection = import.database.readers().acquire().await.unwrap();
        let rows: Vec<(Option<String>,)> =
            sqlx::query_as("SELECT state FROM outbox").fetch_all(&mut *connection).await.unwrap();
        rows.into_iter().map(|(state,)| state.unwrap()).collect::<String>()
    };
    let kept = posted().await;
    assert!(kept.contains("Ada"));
    for secret in ["dropped-value-0815", "FR-hashed-4711", "odd sale of"] {
        assert!(!kept.contains(secret), "{secret} is in the outbox");
    }
    assert_eq!(world.run(&[&files[0]]).await.dirty, 0);
    assert_eq!(posted().await, "");
}

#[tokio::test]
async fn the_answer_to_something_older_does_not_end_a_quarantine() {
    let world = World::new(MAPPING);
    let mut shop = Shop::open();
    // In one turn: a state to send, and one that is not understood.
    shop.begin().sale(1, "odd");
    let files = [world.write("feed.jsonl", &shop.lines)];
    assert!(world.run_and_crash(&files, 0, Moment::Before).await);
    let summary = world.run(&[&files[0]]).await;
    assert_eq!((summary.quarantined, summary.commands.imported), (1, 2));
    // The state before the one that was not understood, while it still is on its way.
    let world = World::new(MAPPING);
    shop.begin().sale(1, "open");
    let summary = shop.import(&world).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
}

#[tokio::test]
async fn what_is_refused_after_a_crash_can_be_replayed_at_once() {
    let world = World::new(MAPPING);
    let files = [world.write("feed.jsonl", &Shop::open().lines)];
    assert!(world.run_and_crash(&files, 0, Moment::Before).await);
    *world.modules["orders.SyncOrder"].refuse.lock().unwrap() = Some("1".to_owned());
    let never = CancellationToken::new();
    let summary = world.import().await.replay_quarantine(&NoProgress, &never).await.unwrap();
    // From the outbox, and once more from the mirror.
    assert_eq!((summary.quarantined, summary.commands.not_understood), (1, 2));
}

#[tokio::test]
async fn cancelling_does_not_wait_for_expensive_programs() {
    let world = World::new(MAPPING);
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
