//! A replica without the lease answers queries all the same: it knows exactly how far the read
//! model is.

use std::time::Duration;

use kernel::seams::new_id;
use kernel::subscription::SubscriptionState;
use tokio::time::Instant;

use crate::lamp::{count, house, light, replica};
use crate::running::{ENOUGH, names};
use crate::subscriptions::MemoryDatabase;

fn stands_by(state: &SubscriptionState) -> bool {
    matches!(state, SubscriptionState::Standby { .. })
}

#[tokio::test(start_paused = true)]
async fn a_standby_sees_what_the_owner_did_and_not_before() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (_, mut owner) = names(&environment, &database);
    owner.until(|state| *state == SubscriptionState::Running).await;
    let (progress, mut standby) = names(&environment, &database);
    standby.until(stands_by).await;
    owner.pause();
    let first = light(&environment, new_id(), "Ada").await;
    let between = count(&environment, new_id()).await;
    let last = light(&environment, new_id(), "Grace").await;
    assert!(!progress.reached(first, Duration::from_secs(2)).await);
    assert_eq!(progress.position(), first - 1);
    let begun = Instant::now();
    owner.resume();
    assert!(progress.reached(last, ENOUGH).await);
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert_eq!(database.content().rows, ["Ada", "Grace"]);
    assert!(first < between && between < last);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_concern_a_read_model_is_reached_without_its_owner() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (_, mut owner) = names(&environment, &database);
    owner.until(|state| *state == SubscriptionState::Running).await;
    let (progress, mut standby) = names(&environment, &database);
    standby.until(stands_by).await;
    owner.pause();
    let lit = light(&environment, new_id(), "Ada").await;
    let counted = count(&environment, new_id()).await;
    assert!(!progress.reached(counted, Duration::from_secs(1)).await);
    owner.resume();
    assert!(progress.reached(counted, ENOUGH).await);
    owner.pause();
    // The stored checkpoint need not move for this.
    let stored = database.content().position("house.names.v1");
    let counted = count(&environment, new_id()).await;
    assert!(progress.reached(counted, Duration::from_millis(50)).await);
    assert!(stored >= lit && stored < counted, "{stored}");
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_starts_late_begins_at_the_stored_checkpoint() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (progress, mut owner) = names(&environment, &database);
    let mut last = 0;
    for _ in 0..30 {
        last = light(&environment, new_id(), "Ada").await;
    }
    assert!(progress.reached(last, ENOUGH).await);
    owner.until(|state| *state == SubscriptionState::Running).await;
    let (progress, mut standby) = names(&replica(&environment, "late"), &database);
    standby.until(stands_by).await;
    assert_eq!(progress.position(), last);
}

#[tokio::test(start_paused = true)]
async fn a_read_model_that_goes_back_is_told_as_it_is() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (_, mut owner) = names(&environment, &database);
    owner.until(|state| *state == SubscriptionState::Running).await;
    let before = database.content();
    let (progress, mut standby) = names(&environment, &database);
    standby.until(stands_by).await;
    let position = light(&environment, new_id(), "Ada").await;
    assert!(progress.reached(position, ENOUGH).await);
    owner.pause();
    database.change(|content| *content = before);
    let went_back = async {
        while progress.position() >= position {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), went_back).await.unwrap();
    owner.resume();
    assert!(progress.reached(position, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada"]);
}
