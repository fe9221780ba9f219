//! Of several replicas exactly one runs a subscription, and a late one changes nothing.

use std::collections::BTreeSet;

use kernel::checkpoint::{Checkpoint, CheckpointError, Registration, SubscriptionStore as _};
use kernel::seams::new_id;
use kernel::subscription::{SubscriptionKind, SubscriptionState};
use tokio::time::Instant;

use crate::lamp::{TTL, house, light, replica};
use crate::running::{ENOUGH, names};
use crate::subscriptions::MemoryDatabase;

const NAMES: &str = "house.names.v1";

fn stands_by(state: &SubscriptionState) -> bool {
    matches!(state, SubscriptionState::Standby { .. })
}

fn runs(state: &SubscriptionState) -> bool {
    *state == SubscriptionState::Running
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_exactly_one_works() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (_, mut one) = names(&replica(&environment, "one"), &database);
    one.until(runs).await;
    let (_, mut two) = names(&replica(&environment, "two"), &database);
    let SubscriptionState::Standby { owner } = two.until(stands_by).await else { panic!() };
    assert!(owner.starts_with("one"), "{owner}");
    // Long enough for many renewals.
    for _ in 0..20 {
        light(&environment, new_id(), "Ada").await;
        tokio::time::sleep(TTL / 2).await;
        assert!(runs(&one.state.borrow()) && stands_by(&two.state.borrow()));
    }
    assert_eq!(database.content().rows.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn many_that_start_at_once_come_to_one() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let mut replicas: Vec<_> = (0..5).map(|_| names(&environment, &database).1).collect();
    for replica in &mut replicas {
        replica.until(|state| runs(state) || stands_by(state)).await;
    }
    let working = replicas.iter().filter(|replica| runs(&replica.state.borrow())).count();
    assert_eq!(working, 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_vanishes_is_replaced_when_its_lease_has_expired() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (_, mut one) = names(&replica(&environment, "one"), &database);
    one.until(runs).await;
    let (progress, mut two) = names(&replica(&environment, "two"), &database);
    two.until(stands_by).await;
    one.vanish().await;
    let position = light(&environment, new_id(), "Ada").await;
    let begun = Instant::now();
    assert!(progress.reached(position, ENOUGH).await);
    let took = begun.elapsed();
    assert!(took > TTL / 2 && took < TTL + TTL / 4, "{took:?}");
    assert!(database.content().owner(NAMES).unwrap().starts_with("two"));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stops_hands_over_at_once() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (_, mut one) = names(&replica(&environment, "one"), &database);
    one.until(runs).await;
    let (progress, mut two) = names(&replica(&environment, "two"), &database);
    two.until(stands_by).await;
    one.stop().await;
    let begun = Instant::now();
    two.until(runs).await;
    assert!(begun.elapsed() <= TTL / 10, "{:?}", begun.elapsed());
    let position = light(&environment, new_id(), "Ada").await;
    assert!(progress.reached(position, ENOUGH).await);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_is_tried_again() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (_, mut one) = names(&replica(&environment, "one"), &database);
    one.until(runs).await;
    database.set_away(true);
    let stopping = tokio::spawn(one.stop());
    database.until_refused().await;
    assert!(!stopping.is_finished() && database.content().owner(NAMES).is_some());
    database.set_away(false);
    stopping.await.unwrap();
    assert_eq!(database.content().owner(NAMES), None);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stops_in_the_midst_of_a_commit_keeps_what_it_did() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (_, mut one) = names(&replica(&environment, "one"), &database);
    one.until(runs).await;
    database.set_commits_take(TTL / 4);
    let position = light(&environment, new_id(), "Ada").await;
    database.until_committing().await;
    assert_eq!(database.content().position(NAMES), 0);
    one.stop().await;
    let content = database.content();
    assert_eq!((content.position(NAMES), content.owner(NAMES)), (position, None));
    assert_eq!(content.rows, ["Ada"]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_paused_past_its_lease_changes_nothing_when_it_goes_on() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (first, mut one) = names(&replica(&environment, "one"), &database);
    let position = light(&environment, new_id(), "Ada").await;
    assert!(first.reached(position, ENOUGH).await);
    let (second, mut two) = names(&replica(&environment, "two"), &database);
    two.until(stands_by).await;
    one.pause();
    two.until(runs).await;
    let position = light(&environment, new_id(), "Grace").await;
    assert!(second.reached(position, ENOUGH).await);
    one.resume();
    let SubscriptionState::Standby { owner } = one.until(stands_by).await else { panic!() };
    assert!(owner.starts_with("two"), "{owner}");
    let position = light(&environment, new_id(), "Mary").await;
    assert!(first.reached(position, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada", "Grace", "Mary"]);
}

/// The same with the transaction open already.
#[tokio::test(start_paused = true)]
async fn a_transaction_of_a_lost_lease_cannot_be_committed() {
    let database = MemoryDatabase::new();
    let log_id = new_id();
    let registration = Registration {
        subscription: NAMES.to_owned(),
        kind: SubscriptionKind::Projection,
        families: BTreeSet::from(["house.LampLit".to_owned()]),
        log_id,
    };
    database.register(&registration).await.unwrap();
    let one = database.acquire(NAMES, "one", TTL).await.unwrap().unwrap();
    let to = Checkpoint { position: 7, ..Checkpoint::beginning(log_id) };
    let mut late = database.begin_fenced(&one, 0, to).await.unwrap();
    late.rows.push("late".to_owned());
    tokio::time::advance(TTL).await;
    let two = database.acquire(NAMES, "two", TTL).await.unwrap().unwrap();
    assert_ne!(one.token, two.token);
    let error = database.commit(late).await.unwrap_err();
    let CheckpointError::LeaseLost { holder, .. } = error else { panic!("{error}") };
    assert_eq!(holder.as_deref(), Some("two"));
    assert_eq!((database.content().rows.len(), database.content().position(NAMES)), (0, 0));
    assert!(database.renew(&one).await.is_err());
    database.release(&one).await.unwrap();
    assert_eq!(database.content().owner(NAMES).as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn an_owner_whose_database_lost_its_last_commits_begins_again_from_what_is_stored() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (progress, mut one) = names(&environment, &database);
    let first = light(&environment, new_id(), "Ada").await;
    assert!(progress.reached(first, ENOUGH).await);
    let before = database.content();
    let second = light(&environment, new_id(), "Grace").await;
    assert!(progress.reached(second, ENOUGH).await);
    // Nothing happens any more, and yet it notices.
    database.change(|content| *content = before);
    database.until(|content| content.rows == ["Ada", "Grace"]).await;
    assert_eq!(database.content().position(NAMES), second);
    one.until(runs).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_model_that_is_replaced_fences_its_owner_out() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let position = light(&environment, new_id(), "Ada").await;
    let (progress, _one) = names(&environment, &database);
    assert!(progress.reached(position, ENOUGH).await);
    let lease = database.content().owner(NAMES);
    let mut rebuilt = database.begin();
    let to = Checkpoint {
        log_id: environment.store.log_id(),
        position,
        event_id: environment.store.event_id_at(position).await.unwrap(),
    };
    database.reset(&mut rebuilt, NAMES, to, &[]).await.unwrap();
    database.commit(rebuilt).await.unwrap();
    assert!(lease.is_some() && database.content().owner(NAMES).is_none());
    let position = light(&environment, new_id(), "Grace").await;
    assert!(progress.reached(position, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada", "Grace"]);
}
