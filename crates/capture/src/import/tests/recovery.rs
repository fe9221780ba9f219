//! The same state results whatever the order of the records and wherever the import is interrupted.

use std::path::Path;

use database::Engine;
use rstest::rstest;
use tokio_util::sync::CancellationToken;

use super::super::*;
use super::harness::*;

/// Fisher and Yates, with a generator that gives the same order every time (Lehmer, 1951).
fn shuffle<T>(values: &mut [T], mut seed: u64) {
    for last in (1..values.len()).rev() {
        seed = seed.wrapping_mul(48_271) % 0x7fff_ffff;
        values.swap(last, (seed % (last as u64 + 1)) as usize);
    }
}

async fn outcome_of(file: &Path, engine: Engine) -> World {
    let world = World::tryton(engine).await;
    let summary = world.run(&[file]).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
    world
}

#[rstest]
#[tokio::test]
async fn a_second_import_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = whole_feed_on(engine).await;
    let before = world.outcome();

    let again = world.run(&[&feed()]).await;
    assert_eq!((again.changes.read, again.commands.sent, again.commands.skipped), (0, 0, 0));

    // The guard holds too when every record is read again.
    let options = Options { from_start: true, ..Options::default() };
    let reread = world.run_with(&[&feed()], options, &CancellationToken::new()).await.unwrap();
    assert_eq!(reread.changes.read, 21_839);
    assert_eq!(reread.changes.applied, 0);
    assert_eq!(reread.commands.sent, 0);
    assert_eq!(world.outcome(), before);
}

#[tokio::test]
async fn the_summary_counts_what_was_there() {
    let world = World::tryton(Engine::Sqlite).await;
    let summary = world.run(&[&feed()]).await;
    let changes = &summary.changes;
    assert_eq!(
        (
            changes.read,
            changes.snapshot,
            changes.created,
            changes.updated,
            changes.deleted,
            changes.tombstones
        ),
        (21_839, 1_311, 7_075, 13_101, 176, 176)
    );
    let mapped = changes.read - changes.tombstones - changes.unmapped;
    assert!(changes.not_newer == 0 && changes.equal > 6_000);
    assert!(changes.applied + changes.equal <= mapped + changes.tombstones);
    assert_eq!(summary.transactions, 3_758);
    let drafts =
        summary.ignored.iter().find(|one| one.reason == "state draft" && one.aggregate == "order");
    assert!(drafts.unwrap().roots > 0);
    let commands = &summary.commands;
    let answered = commands.imported + commands.revised + commands.unchanged + commands.ignored;
    assert_eq!(commands.sent, answered);
    assert_eq!(commands.unchanged, 0, "the digest of the last state skips these");
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["changes"]["read"], 21_839);
}

#[tokio::test]
async fn interrupted_and_resumed() {
    let expected = whole_feed().await.outcome();
    let world = World::tryton(Engine::Sqlite).await;
    let mut runs = 0;
    loop {
        let summary = world.run_until("orders.SyncOrder", 150, &[&feed()]).await;
        runs += 1;
        if !summary.cancelled {
            break;
        }
    }
    assert!(runs > 3, "the import was interrupted only {runs} times");
    assert_eq!(world.outcome(), expected);
}

/// Dropping the import where it stands is what a kill leaves behind: open transactions are rolled
/// back, commands under way are lost, acknowledgements are not recorded.
#[rstest]
#[tokio::test]
async fn killed_and_resumed(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let expected = whole_feed().await.outcome();
    let mut world = World::tryton(engine).await;
    world.sizes = Sizes { least: 100, most: 300, page: 40, bytes: 30_000 };
    let mut kills = 0;
    for (command, told) in COMMANDS.iter().cycle().zip([1, 7, 40, 90, 3, 200, 150, 11, 30, 300]) {
        let kill = CancellationToken::new();
        world.kill_after(command, told, &kill);
        let files = [feed()];
        let import = world.import().await;
        let never = CancellationToken::new();
        tokio::select! {
            () = kill.cancelled() => kills += 1,
            result = import.run(&files, Options::default(), &NoProgress, &never) => {
                result.unwrap();
            }
        }
    }
    assert!(kills >= 8, "only {kills} kills");
    let summary = world.run(&[&feed()]).await;
    assert_eq!((summary.quarantined, summary.dirty), (0, 0));
    assert_eq!(world.outcome(), expected);
}

/// Numbers that are the same every time (Lehmer, 1951).
fn numbers(seed: u64) -> impl FnMut(u64) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(48_271) % 0x7fff_ffff;
        (state % below) as usize
    }
}

/// Whatever the moments it crashes at, every aggregate goes through the same states in the same
/// order, also those that came and went.
#[rstest]
#[case(Engine::Sqlite, 3, 30)]
#[case(Engine::Sqlite, 1_789, 30)]
#[case(Engine::Sqlite, 65_537, 30)]
#[case(Engine::Postgres, 1_789, 150)]
#[tokio::test]
async fn crashed_again_and_again(
    #[case] engine: Engine,
    #[case] seed: u64,
    #[case] commands_between: u64,
) {
    let whole = whole_feed().await;
    let lines = feed_lines();
    let mut number = numbers(seed);
    let mut world = World::tryton(engine).await;
    let files = [world.write("feed.jsonl", &lines)];
    let mut crashes = 0;
    loop {
        let least = [20, 300, 1_000][number(3)];
        world.sizes = Sizes {
            least,
            most: 4 + number(400),
            page: 3 + number(100),
            bytes: 2_000 + number(100_000),
        };
        let moment = [Moment::Before, Moment::Recorded, Moment::Answered][number(3)];
        if !world.run_and_crash(&files, number(commands_between), moment).await {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 1_500 / commands_between, "only {crashes} crashes");
    let summary = world.run(&[&files[0]]).await;
    assert_eq!((summary.quarantined, summary.dirty, summary.commands.sent), (0, 0, 0));
    assert_eq!(world.went(), whole.went());
}

#[tokio::test]
async fn interrupted_wherever_customers_come_and_go() {
    let whole = whole_feed().await;
    let gone = |world: &World| {
        world.held("customers.SyncCustomer").values().filter(|state| state.is_err()).count()
    };
    assert!(gone(&whole) > 0);
    let world = World::tryton(Engine::Sqlite).await;
    while world.run_until("customers.SyncCustomer", 15, &[&feed()]).await.cancelled {}
    assert_eq!(gone(&world), gone(&whole));
    assert_eq!(world.went(), whole.went());
}

#[tokio::test]
async fn cut_files_are_read_on_when_they_have_grown() {
    let expected = whole_feed().await.outcome();
    let lines = feed_lines();
    let world = World::tryton(Engine::Sqlite).await;
    // Within the snapshot, right behind it, within a transaction, near the end.
    for cut in [3, 700, 1_311, 1_500, 9_001, 15_000, 21_800] {
        let file = world.write("feed.jsonl", &lines[..cut]);
        world.run(&[&file]).await;
        assert_eq!(world.outcome().is_empty(), cut < 1_311, "{cut}");
    }
    let file = world.write("feed.jsonl", &lines);
    let summary = world.run(&[&file]).await;
    assert_eq!(summary.changes.read, 39);
    assert_eq!(world.outcome(), expected);
}

#[tokio::test]
async fn a_line_cut_in_the_middle_stops_the_import_and_is_read_when_it_is_whole() {
    let lines = feed_lines();
    let world = World::tryton(Engine::Sqlite).await;
    let text = lines.join("\n") + "\n";
    let end = lines[..5_000].iter().map(|line| line.len() + 1).sum::<usize>() + 200;
    let file = world.folder.path().join("feed.jsonl");
    std::fs::write(&file, &text[..end]).unwrap();
    for _ in 0..2 {
        let error = world.try_run(&[&file]).await.unwrap_err().to_string();
        assert!(error.contains("line 5001: the line is cut off"), "{error}");
    }
    std::fs::write(&file, &text).unwrap();
    let summary = world.run(&[&file]).await;
    assert_eq!(summary.changes.read, 21_839 - 5_000);
    assert_eq!(world.outcome(), whole_feed().await.outcome());
}

#[tokio::test]
async fn the_order_of_a_snapshot_does_not_matter() {
    let expected = whole_feed().await.outcome();
    let lines = feed_lines();
    let mut shuffled = lines.clone();
    shuffle(&mut shuffled[..1_311], 7);
    let mut tables = lines;
    tables[..1_311].sort_by(|one, other| other.cmp(one));
    for lines in [shuffled, tables] {
        let world = World::tryton(Engine::Sqlite).await;
        let file = world.write("feed.jsonl", &lines);
        assert_eq!(outcome_of(&file, Engine::Sqlite).await.outcome(), expected);
    }
}

#[rstest]
#[tokio::test]
async fn no_order_of_records_at_all_matters_in_the_end(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let expected = whole_feed().await.outcome();
    let mut lines = feed_lines();
    shuffle(&mut lines, 11);
    let world = World::tryton(engine).await;
    let file = world.write("feed.jsonl", &lines);
    let world = outcome_of(&file, engine).await;
    assert_eq!(world.outcome(), expected);
    // The feed in its own order has nothing to add.
    let summary = world.run(&[&feed()]).await;
    assert_eq!((summary.changes.read, summary.changes.applied), (21_839, 0));
    assert_eq!(world.outcome(), expected);
}

#[tokio::test]
async fn small_steps_and_several_files_give_the_same() {
    let expected = whole_feed().await.outcome();
    let lines = feed_lines();
    let mut world = World::tryton(Engine::Sqlite).await;
    world.sizes = Sizes { least: 20, most: 7, page: 3, bytes: 5_000 };
    // A transaction may be split between two files.
    let one = world.write("one.jsonl", &lines[..1_000]);
    let two = world.write("two.jsonl", &lines[1_000..12_345]);
    let three = world.write("three.jsonl", &lines[12_345..]);
    let summary = world.run(&[&one, &two, &three]).await;
    assert_eq!((summary.dirty, summary.transactions), (0, 3_758));
    assert_eq!(world.outcome(), expected);
}
