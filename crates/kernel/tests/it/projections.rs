//! Rows and checkpoint move together, in batches; what fails is parked; another log stops it.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use kernel::projection::{FoldError, ProjectionRunner};
use kernel::seams::new_id;
use kernel::subscription::SubscriptionState;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lamp::{count, house, house_on, light, replica, restored};
use crate::names::Names;
use crate::running::{ENOUGH, names, project};
use crate::subscriptions::{DISK_FULL, MemoryDatabase};

const NAMES: &str = "house.names.v1";

#[tokio::test(start_paused = true)]
async fn rows_and_checkpoint_move_together_and_go_on_after_a_restart() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let position = light(&environment, new_id(), "Ada").await;
    let (progress, running) = names(&environment, &database);
    assert!(progress.reached(position, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada"]);
    running.stop().await;

    let position = light(&environment, new_id(), "Grace").await;
    let (progress, running) = names(&environment, &database);
    assert!(progress.reached(position, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada", "Grace"]);
    assert_eq!(database.content().position(NAMES), position);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_log_is_caught_up_in_a_few_transactions() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let lamps: [_; 10] = std::array::from_fn(|_| new_id());
    for round in 0..500 {
        light(&environment, lamps[round % lamps.len()], "Ada").await;
    }
    for _ in 0..5 {
        light(&environment, lamps[0], "Grace").await;
    }
    let last = light(&environment, lamps[1], "Mary").await;
    let (progress, _running) = names(&environment, &database);
    assert!(progress.reached(last, ENOUGH).await);
    let content = database.content();
    assert_eq!(content.rows.len(), 506);
    assert!(content.saves[NAMES] <= 4, "{:?}", content.saves);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_event_is_parked_its_stream_waits_and_the_others_go_on() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (bad, good) = (new_id(), new_id());
    light(&environment, good, "Ada").await;
    let poisoned = light(&environment, bad, "poison").await;
    let behind = light(&environment, bad, "waits").await;
    let last = light(&environment, good, "Grace").await;
    let (progress, _running) = names(&environment, &database);
    assert!(progress.reached(last, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada", "Grace"]);
    let parked = database.content().parked(NAMES);
    let [first, second] = &parked[..] else { panic!("{parked:?}") };
    assert_eq!((first.position, second.position), (poisoned, behind));
    assert_eq!(first.error, "cannot be projected");
    assert_eq!((first.attempts, second.attempts), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn an_idle_projection_moves_on_though_nothing_concerns_it() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let id = new_id();
    let counted = count(&environment, id).await;
    let (progress, _running) = names(&environment, &database);
    assert!(progress.reached(counted, ENOUGH).await);
    assert!(!progress.reached(counted + 1, Duration::from_millis(1)).await);
    assert_eq!(database.content().position(NAMES), 0, "it is not written at once");
    database.until(|content| content.position(NAMES) == counted).await;

    // However often nothing happens, it is written once a second.
    let (begun, before) = (Instant::now(), database.content().saves[NAMES]);
    for _ in 0..100 {
        let counted = count(&environment, id).await;
        assert!(progress.reached(counted, ENOUGH).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let saves = database.content().saves[NAMES] - before;
    assert!(u64::from(saves) <= begun.elapsed().as_secs() + 1, "{saves} in {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn stopping_saves_what_did_not_concern_it() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counted = count(&environment, new_id()).await;
    let (progress, running) = names(&environment, &database);
    assert!(progress.reached(counted, ENOUGH).await);
    running.stop().await;
    assert_eq!(database.content().position(NAMES), counted);
    assert_eq!(database.content().owner(NAMES), None, "the lease is released");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_another_log_stops_it_until_it_is_mended() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let position = light(&environment, new_id(), "Ada").await;
    let (progress, running) = names(&environment, &database);
    assert!(progress.reached(position, ENOUGH).await);
    running.stop().await;

    let other = house().environment;
    let position = light(&other, new_id(), "Eve").await;
    let (progress, mut running) = names(&other, &database);
    running.until(|state| matches!(state, SubscriptionState::Stopped(_))).await;
    assert_eq!(database.content().rows, ["Ada"]);
    assert_eq!(database.content().owner(NAMES), None);

    // What `bascule projections rebuild` comes to. The running server notices by itself.
    database.change(|content| content.rows.clear());
    kernel::checkpoint::SubscriptionStore::restart(&database, NAMES, other.store.log_id())
        .await
        .unwrap();
    assert!(progress.reached(position, ENOUGH).await);
    assert_eq!(database.content().rows, ["Eve"]);
    running.until(|state| *state == SubscriptionState::Running).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_restored_to_an_earlier_state_stops_it_though_the_log_has_grown_since() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    light(&environment, new_id(), "Ada").await;
    let position = light(&environment, new_id(), "Grace").await;
    let (progress, running) = names(&environment, &database);
    assert!(progress.reached(position, ENOUGH).await);
    running.stop().await;

    // The backup had the first event only; since then others were written over the second.
    let environment = house_on(Arc::new(restored(&environment, 1).await)).environment;
    for _ in 0..3 {
        light(&environment, new_id(), "Eve").await;
    }
    let (_, mut running) = names(&environment, &database);
    let stopped = running.until(|state| matches!(state, SubscriptionState::Stopped(_))).await;
    let SubscriptionState::Stopped(why) = stopped else { panic!("{stopped:?}") };
    assert!(why.contains("bascule projections rebuild house.names.v1"), "{why}");
    assert_eq!(database.content().rows, ["Ada", "Grace"]);
    let recorded = database.until(|content| content.last_error(NAMES).is_some()).await;
    assert_eq!(recorded.last_error(NAMES).unwrap(), why);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_parks_nothing_however_long_it_lasts() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let position = light(&environment, new_id(), "Ada").await;
    let full = Names::<1> { full: AtomicU32::new(12), ..Names::default() };
    let (progress, mut running) = project(full, &environment, &database);
    let interrupted =
        running.until(|state| matches!(state, SubscriptionState::Interrupted(_))).await;
    assert!(format!("{interrupted:?}").contains(DISK_FULL), "{interrupted:?}");
    assert!(progress.reached(position, ENOUGH).await);
    running.until(|state| *state == SubscriptionState::Running).await;
    assert_eq!(database.content().rows, ["Ada"]);
    assert!(database.content().parked(NAMES).is_empty());
    assert!(database.content().last_error(NAMES).unwrap().contains(DISK_FULL));
}

#[tokio::test(start_paused = true)]
async fn two_versions_of_a_projection_run_side_by_side() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    light(&environment, new_id(), "Ada").await;
    let first = Names::<1> { says_version: true, ..Names::default() };
    let (first, _first) = project(first, &environment, &database);
    let position = light(&environment, new_id(), "Grace").await;
    assert!(first.reached(position, ENOUGH).await);
    let second = Names::<2> { says_version: true, ..Names::default() };
    let (second, _second) = project(second, &replica(&environment, "new"), &database);
    assert!(second.reached(position, ENOUGH).await);
    let mut rows = database.content().rows;
    rows.sort();
    assert_eq!(rows, ["Ada v1", "Ada v2", "Grace v1", "Grace v2"]);
    assert_eq!(database.content().position("house.names.v2"), position);
}

#[tokio::test(start_paused = true)]
async fn a_fold_ends_exactly_where_it_is_told_to_and_goes_on_from_there() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    for name in ["Ada", "Grace", "Mary"] {
        light(&environment, new_id(), name).await;
    }
    let runner =
        || ProjectionRunner::new(Names::<1>::default(), environment.clone(), database.clone()).0;
    let mut reported = Vec::new();
    runner()
        .fold_to(2, &mut |position| reported.push(position), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!((reported.last(), database.content().position(NAMES)), (Some(&2), 2));
    assert_eq!(database.content().rows, ["Ada", "Grace"]);
    assert_eq!(database.content().owner(NAMES), None);
    runner().fold_to(3, &mut |_| (), &CancellationToken::new()).await.unwrap();
    assert_eq!(database.content().rows, ["Ada", "Grace", "Mary"]);

    // It ends at a position that does not concern it, too.
    let counted = count(&environment, new_id()).await;
    light(&environment, new_id(), "Eve").await;
    runner().fold_to(counted, &mut |_| (), &CancellationToken::new()).await.unwrap();
    assert_eq!(database.content().position(NAMES), counted);
    assert_eq!(database.content().rows.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_folds_is_left_to_it() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let position = light(&environment, new_id(), "Ada").await;
    let (progress, _running) = names(&replica(&environment, "server"), &database);
    assert!(progress.reached(position, ENOUGH).await);
    let (mut runner, _) =
        ProjectionRunner::new(Names::<1>::default(), environment, database.clone());
    let error = runner.fold_to(position, &mut |_| (), &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&error, FoldError::Leased { owner, .. } if owner.starts_with("server")));
}
