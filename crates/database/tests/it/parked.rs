//! Parked events and the status of a subscription, on both engines.

use std::collections::BTreeSet;
use std::time::Duration;

use database::{Database, Engine};
use kernel::checkpoint::{
    Checkpoint, ParkedEvent, Registration, SubscriptionStatus, SubscriptionStore,
};
use kernel::lease::Lease;
use kernel::seams::{Clock as _, SystemClock, new_id};
use kernel::subscription::SubscriptionKind;
use rstest::rstest;
use testkit::engines::TestTables;

use crate::tables::things;

const NAME: &str = "testing.policy";

async fn leased(engine: Engine) -> (TestTables, Database, Lease) {
    let (place, database) = things(engine).await;
    let registration = Registration {
        subscription: NAME.to_owned(),
        kind: SubscriptionKind::Policy,
        families: BTreeSet::new(),
        log_id: new_id(),
    };
    database.register(&registration).await.unwrap();
    let ttl = Duration::from_secs(300);
    let lease = database.acquire(NAME, "one", ttl).await.unwrap().unwrap();
    (place, database, lease)
}

fn event(position: u64, key: &str, attempts: u32) -> ParkedEvent {
    ParkedEvent {
        position,
        event_id: new_id(),
        key: key.to_owned(),
        error: format!("error {position}"),
        attempts,
        parked_at: SystemClock.now(),
        replay_requested: false,
    }
}

/// Parks events as the owner does. The checkpoint stays where it is.
async fn park(database: &Database, lease: &Lease, events: &[&ParkedEvent]) {
    let here = lease.checkpoint;
    let mut transaction = database.begin_fenced(lease, 0, here).await.unwrap();
    for event in events {
        database.park(&mut transaction, NAME, event).await.unwrap();
    }
    database.commit(transaction).await.unwrap();
}

async fn all(database: &Database) -> Vec<ParkedEvent> {
    database.parked_events(NAME, None, 0, 100).await.unwrap()
}

async fn to_replay(database: &Database) -> Vec<String> {
    database.keys_to_replay(NAME).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn what_is_parked_comes_back_as_it_was_and_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database, lease) = leased(engine).await;
    let (one, two, other) = (event(3, "a", 5), event(5, "a", 0), event(4, "b", 1));
    park(&database, &lease, &[&one, &two, &other]).await;
    park(&database, &lease, &[&event(3, "a", 0)]).await;
    assert_eq!(all(&database).await, [one.clone(), other.clone(), two.clone()]);
    let of_key = database.parked_events(NAME, Some("a"), 0, 1).await.unwrap();
    assert_eq!(of_key, [one]);
    let after = database.parked_events(NAME, Some("a"), 3, 9).await.unwrap();
    assert_eq!(after, [two]);
    let mut keys = database.parked_keys(NAME).await.unwrap();
    keys.sort();
    assert_eq!(keys, ["a", "b"]);
    assert!(database.parked_keys("testing.other").await.unwrap().is_empty());
}

#[rstest]
#[tokio::test]
async fn a_key_is_tried_again_when_somebody_asks_or_its_first_event_is_gone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database, lease) = leased(engine).await;
    let failed = event(3, "a", 5);
    park(&database, &lease, &[&failed, &event(5, "a", 0), &event(4, "b", 1)]).await;
    assert!(to_replay(&database).await.is_empty());
    assert!(database.request_replay(NAME, 5).await.unwrap());
    assert!(!database.request_replay(NAME, 6).await.unwrap());
    assert_eq!(to_replay(&database).await, ["a"]);

    // It failed again: no other event of this key is waiting.
    let failed = ParkedEvent { attempts: 6, error: "worse".to_owned(), ..failed };
    let mut transaction = database.begin_fenced(&lease, 0, lease.checkpoint).await.unwrap();
    database.park_again(&mut transaction, NAME, &failed).await.unwrap();
    database.commit(transaction).await.unwrap();
    assert!(to_replay(&database).await.is_empty());
    assert_eq!(all(&database).await[0], failed);
    assert_eq!(all(&database).await[2].error, "error 5");

    assert!(database.discard(NAME, 3).await.unwrap());
    assert!(!database.discard(NAME, 3).await.unwrap());
    assert_eq!(to_replay(&database).await, ["a"], "what it waited for is gone");
    let mut transaction = database.begin_fenced(&lease, 0, lease.checkpoint).await.unwrap();
    database.unpark(&mut transaction, NAME, 5).await.unwrap();
    database.commit(transaction).await.unwrap();
    assert_eq!(database.parked_keys(NAME).await.unwrap(), ["b"]);
}

#[rstest]
#[tokio::test]
async fn what_is_rebuilt_brings_its_parked_events_along(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database, lease) = leased(engine).await;
    park(&database, &lease, &[&event(3, "a", 5)]).await;
    let to = Checkpoint { position: 9, event_id: Some(new_id()), ..lease.checkpoint };
    let rebuilt = event(7, "c", 5);
    let mut transaction = database.begin().await.unwrap();
    let parked = [rebuilt.clone()];
    database.reset(&mut transaction, NAME, to, &parked).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(all(&database).await, [rebuilt]);
    assert_eq!(database.checkpoint(NAME).await.unwrap(), Some(to));
    assert!(database.begin_fenced(&lease, 0, to).await.is_err(), "its owner was fenced out");
}

#[rstest]
#[tokio::test]
async fn a_status_tells_everything(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (_place, database, lease) = leased(engine).await;
    park(&database, &lease, &[&event(3, "a", 5), &event(5, "a", 0)]).await;
    database.record_error(NAME, "the disk is full").await.unwrap();
    let before = SystemClock.now() - chrono::Duration::hours(1);
    let statuses = database.statuses().await.unwrap();
    let [status] = &statuses[..] else { panic!("{statuses:?}") };
    assert_eq!(database.status(NAME).await.unwrap().as_ref(), Some(status));
    let SubscriptionStatus { subscription, kind, checkpoint, parked, .. } = status;
    assert_eq!((&**subscription, *kind), (NAME, SubscriptionKind::Policy));
    assert_eq!((*checkpoint, *parked), (lease.checkpoint, 2));
    let (error, at) = status.last_error.as_ref().unwrap();
    assert_eq!(error, "the disk is full");
    let shown = status.lease.as_ref().unwrap();
    assert_eq!((&shown.owner, shown.token, shown.expired), (&lease.owner, lease.token, false));
    for time in [*at, status.updated_at, shown.expires_at] {
        assert!(time > before, "{time}");
    }
    database.release(&lease).await.unwrap();
    assert_eq!(database.status(NAME).await.unwrap().unwrap().lease, None);
    assert!(database.status("testing.other").await.unwrap().is_none());
}
