//! Wherever the process crashes, the modules receive the same states as without the crash.

use database::{Engine, Statement};
use rstest::rstest;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::*;
use super::harness::*;
use super::shop::{MAPPING, Shop};

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

#[rstest]
#[case(Engine::Sqlite, 1)]
#[case(Engine::Postgres, 17)]
#[tokio::test]
async fn a_crash_at_any_command_changes_nothing_in_the_end(
    #[case] engine: Engine,
    #[case] every: usize,
) {
    let all = [
        Sizes { least: 2, most: 5, page: 4, bytes: 1_000 },
        Sizes { least: 6, most: 100, page: 100, ..Sizes::default() },
    ];
    for sizes in all {
        let mut whole = World::on(engine, MAPPING).await;
        whole.sizes = sizes;
        let files = [whole.write("feed.jsonl", &busy_shop().lines)];
        assert_eq!(whole.run(&[&files[0]]).await.quarantined, 1);
        let states = whole.went().values().map(Vec::len).sum::<usize>();
        assert!(states > 30, "only {states} states");
        let moments = [Moment::Before, Moment::Recorded, Moment::Answered];
        for moment in moments {
            for commands in (0..states).step_by(every) {
                let mut world = World::on(engine, MAPPING).await;
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

#[rstest]
#[tokio::test]
async fn a_newer_state_outlives_a_crash_though_an_older_one_said_nothing_new(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::on(engine, MAPPING).await;
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

#[rstest]
#[tokio::test]
async fn what_the_outbox_keeps_is_gone_when_it_is_answered_and_masked_before(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    shop.begin().sale(1, "odd");
    let files = [world.write("feed.jsonl", &shop.lines)];
    assert!(world.run_and_crash(&files, 0, Moment::Before).await);
    let posted = async || {
        let import = world.import().await;
        let states = Statement::Same("SELECT state FROM outbox");
        let states: Vec<String> = import.database.query(&states).scalars().await.unwrap();
        states.concat()
    };
    let kept = posted().await;
    assert!(kept.contains("Ada"));
    for secret in ["dropped-value-0815", "FR-hashed-4711", "odd sale of"] {
        assert!(!kept.contains(secret), "{secret} is in the outbox");
    }
    assert_eq!(world.run(&[&files[0]]).await.dirty, 0);
    assert_eq!(posted().await, "");
}

#[rstest]
#[tokio::test]
async fn the_answer_to_something_older_does_not_end_a_quarantine(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let mut shop = Shop::open();
    // In one turn: a state to send, and one that is not understood.
    shop.begin().sale(1, "odd");
    let files = [world.write("feed.jsonl", &shop.lines)];
    assert!(world.run_and_crash(&files, 0, Moment::Before).await);
    let summary = world.run(&[&files[0]]).await;
    assert_eq!((summary.quarantined, summary.commands.imported), (1, 2));
    // The state before the one that was not understood, while it still is on its way.
    let world = World::on(engine, MAPPING).await;
    shop.begin().sale(1, "open");
    let summary = shop.import(&world).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
}

#[tokio::test]
async fn what_is_refused_after_a_crash_can_be_replayed_at_once() {
    let world = World::new(MAPPING).await;
    let files = [world.write("feed.jsonl", &Shop::open().lines)];
    assert!(world.run_and_crash(&files, 0, Moment::Before).await);
    *world.modules["orders.SyncOrder"].refuse.lock().unwrap() = Some("1".to_owned());
    let never = CancellationToken::new();
    let summary = world.import().await.replay_quarantine(None, &NoProgress, &never).await.unwrap();
    // From the outbox, and once more from the mirror.
    assert_eq!((summary.quarantined, summary.commands.not_understood), (1, 2));
}
