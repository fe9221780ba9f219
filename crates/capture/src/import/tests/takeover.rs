//! Two imports of one source at once: only the newer one writes.

use database::{Engine, Statement};
use rstest::rstest;

use super::super::session::Session;
use super::super::*;
use super::harness::*;
use super::shop::{MAPPING, Shop};

#[rstest]
#[tokio::test]
async fn an_import_stops_when_another_one_takes_over(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine, MAPPING).await;
    let file = world.write("feed.jsonl", &Shop::open().lines);
    let (first, second) = (world.import().await, world.import().await);
    let never = CancellationToken::new();
    let begun = Session::begin(&first, &NoProgress, &never).await.unwrap();
    second.run(std::slice::from_ref(&file), Options::default(), &NoProgress, &never).await.unwrap();
    let options = Options { from_start: true, ..Options::default() };
    let error = begun.run(&[file], options).await.unwrap_err();
    assert!(matches!(error, ImportError::Superseded { .. }), "{error}");
}

/// What is committed while another import takes over is either all before it or not at all.
/// SQLite has one writer anyway.
#[tokio::test]
async fn a_takeover_waits_for_the_transaction_that_is_open() {
    let world = World::on(Engine::Postgres, MAPPING).await;
    let (first, second) = (world.import().await, world.import().await);
    let never = CancellationToken::new();
    let begun = Session::begin(&first, &NoProgress, &never).await.unwrap();
    let mut state = begun.state.clone();
    state.last_mark = 41;
    let transaction = begun.open(&state).await.unwrap();

    let waiting = async {
        let waiting = Statement::Same(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        while first.database.query(&waiting).scalar::<i64>().await.unwrap() == 0 {}
        transaction.commit().await.unwrap();
    };
    let takeover = Session::begin(&second, &NoProgress, &never);
    let (taken, ()) = tokio::join!(takeover, waiting);

    assert_eq!(taken.unwrap().state.last_mark, 42, "what was committed before is seen");
    let error = begun.open(&state).await.unwrap_err();
    assert!(matches!(error, ImportError::Superseded { .. }), "{error}");
}
