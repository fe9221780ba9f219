//! Handing a module over from one database to another, on both engines and between them.

use std::collections::BTreeSet;
use std::time::Duration;

use database::{Database, Engine, HandOver, HandOverError, Placement, is_in_charge};
use kernel::checkpoint::{
    Checkpoint, CheckpointError, ParkedEvent, Registration, SubscriptionStore,
};
use kernel::lease::Lease;
use kernel::seams::{Clock as _, SystemClock, new_id};
use kernel::subscription::SubscriptionKind;
use rstest::rstest;
use testkit::engines::TestTables;
use uuid::Uuid;

use crate::tables::things;

const POLICY: &str = "testing.policy";
const PROJECTION: &str = "testing.things.v1";
const LONG: Duration = Duration::from_secs(300);

async fn register(database: &Database, name: &str, kind: SubscriptionKind, log_id: Uuid) {
    let families = BTreeSet::from([format!("testing.For{kind:?}")]);
    let subscription = name.to_owned();
    database.register(&Registration { subscription, kind, families, log_id }).await.unwrap();
}

/// A database with a policy and a projection.
async fn home(engine: Engine, log_id: Uuid) -> (TestTables, Database) {
    let (place, database) = things(engine).await;
    register(&database, POLICY, SubscriptionKind::Policy, log_id).await;
    register(&database, PROJECTION, SubscriptionKind::Projection, log_id).await;
    (place, database)
}

fn at(log_id: Uuid, position: u64) -> Checkpoint {
    Checkpoint { log_id, position, event_id: Some(Uuid::from_u128(position.into())) }
}

async fn acquire(database: &Database, name: &str) -> Option<Lease> {
    database.acquire(name, "one", LONG).await.unwrap()
}

/// Moves the policy's checkpoint.
async fn advance(database: &Database, lease: &Lease, from: u64, to: u64) {
    let to = at(lease.checkpoint.log_id, to);
    let moved = database.begin_fenced(lease, from, to).await.unwrap();
    database.commit(moved).await.unwrap();
}

fn parked(position: u64) -> ParkedEvent {
    // To the microsecond, as databases keep it.
    let now = SystemClock.now().timestamp_micros();
    ParkedEvent {
        position,
        event_id: new_id(),
        key: "key".to_owned(),
        error: "broken".to_owned(),
        attempts: 3,
        parked_at: chrono::DateTime::from_timestamp_micros(now).unwrap(),
        replay_requested: true,
    }
}

#[rstest]
#[tokio::test]
async fn a_module_goes_to_another_database_and_comes_back(
    #[values((Engine::Sqlite, Engine::Postgres), (Engine::Postgres, Engine::Sqlite))] engines: (
        Engine,
        Engine,
    ),
) {
    let log_id = new_id();
    let (_one, old) = home(engines.0, log_id).await;
    let (_two, new) = home(engines.1, log_id).await;
    new.await_hand_over("the old one").await.unwrap();
    assert!(acquire(&new, POLICY).await.is_none(), "it was not handed over yet");
    assert!(acquire(&new, PROJECTION).await.is_some(), "projections are everybody's own");

    let lease = acquire(&old, POLICY).await.unwrap();
    let event = parked(5);
    let mut moved = old.begin_fenced(&lease, 0, at(log_id, 7)).await.unwrap();
    old.park(&mut moved, POLICY, &event).await.unwrap();
    old.commit(moved).await.unwrap();

    let handed = old.hand_over("the new one").await.unwrap();
    assert_eq!(handed.epoch, 1);
    let [policy] = &handed.subscriptions[..] else { panic!("{handed:?}") };
    assert_eq!((policy.subscription.as_str(), policy.checkpoint), (POLICY, at(log_id, 7)));
    assert_eq!(policy.parked, std::slice::from_ref(&event));

    // The previous holder of the lease is fenced out, and no other process can acquire it.
    let error = old.begin_fenced(&lease, 7, at(log_id, 8)).await.unwrap_err();
    assert!(matches!(error, CheckpointError::LeaseLost { .. }), "{error}");
    assert!(acquire(&old, POLICY).await.is_none());
    old.release_all().await.unwrap();
    assert!(acquire(&old, POLICY).await.is_none());
    let shown = old.status(POLICY).await.unwrap().unwrap().lease.unwrap();
    assert_eq!((shown.owner.as_str(), shown.handed_over), ("the new one", true));
    assert!(acquire(&old, PROJECTION).await.is_some());

    assert_eq!(old.hand_over("the new one").await.unwrap(), handed, "again is the same");
    let error = old.hand_over("a third one").await.unwrap_err();
    assert!(matches!(error, HandOverError::Elsewhere { to } if to == "the new one"));

    assert!(new.take_over(&handed).await.unwrap());
    let lease = acquire(&new, POLICY).await.unwrap();
    assert_eq!(lease.checkpoint, at(log_id, 7));
    assert_eq!(new.parked_events(POLICY, None, 0, 9).await.unwrap(), [event]);
    advance(&new, &lease, 7, 9).await;
    assert!(!new.take_over(&handed).await.unwrap(), "taking it again must not set it back");
    assert_eq!(new.checkpoint(POLICY).await.unwrap(), Some(at(log_id, 9)));

    let back = new.hand_over("the old one").await.unwrap();
    assert_eq!((back.epoch, back.subscriptions[0].checkpoint), (2, at(log_id, 9)));
    let error = new.take_over(&handed).await.unwrap_err();
    assert!(matches!(error, HandOverError::OutOfDate { epoch: 1, current: 2 }), "{error}");
    assert!(old.take_over(&back).await.unwrap());
    assert_eq!(acquire(&old, POLICY).await.unwrap().checkpoint, at(log_id, 9));
    assert_eq!(
        old.placement().await.unwrap(),
        Placement { epoch: 2, elsewhere: None, route: None }
    );
}

#[rstest]
#[tokio::test]
async fn what_is_registered_while_the_module_is_away_is_away_too(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let log_id = new_id();
    let (_place, database) = home(engine, log_id).await;
    database.hand_over("another").await.unwrap();
    register(&database, "testing.later", SubscriptionKind::Reactor, log_id).await;
    register(&database, "testing.other.v1", SubscriptionKind::Projection, log_id).await;
    assert!(acquire(&database, "testing.later").await.is_none());
    assert!(acquire(&database, "testing.other.v1").await.is_some());
}

#[rstest]
#[tokio::test]
async fn waiting_for_a_hand_over_changes_nothing_after_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database) = home(engine, new_id()).await;
    database.await_hand_over("another").await.unwrap();
    let nothing = HandOver { epoch: 1, subscriptions: Vec::new() };
    assert!(database.take_over(&nothing).await.unwrap());
    database.await_hand_over("another").await.unwrap();
    assert!(acquire(&database, POLICY).await.is_some());
}

#[rstest]
#[tokio::test]
async fn a_route_is_kept_apart_from_the_placement(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database) = home(engine, new_id()).await;
    database.set_route(Some("http://payments:8080"), 0).await.unwrap();
    database.hand_over("another").await.unwrap();
    let placement = database.placement().await.unwrap();
    let route = Some("http://payments:8080".to_owned());
    assert_eq!(placement, Placement { epoch: 1, elsewhere: Some("another".to_owned()), route });
    let error = database.set_route(Some("http://late:8080"), 0).await.unwrap_err();
    assert!(matches!(error, HandOverError::OutOfDate { epoch: 0, current: 1 }), "{error}");
    database.set_route(None, 1).await.unwrap();
    assert_eq!(database.placement().await.unwrap().route, None);
}

/// A service is started on the system's own tables.
#[rstest]
#[tokio::test]
async fn a_database_whose_policies_have_run_does_not_wait(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let log_id = new_id();
    let (place, database) = home(engine, log_id).await;
    assert!(!is_in_charge(place.url(), "testing").await.unwrap());
    let lease = acquire(&database, POLICY).await.unwrap();
    advance(&database, &lease, 0, 7).await;
    let error = database.await_hand_over("another").await.unwrap_err();
    assert!(matches!(&error, HandOverError::InUse { position: 7, .. }), "{error}");
    assert_eq!(database.placement().await.unwrap(), Placement::default());
    advance(&database, &lease, 7, 8).await;
    assert!(is_in_charge(place.url(), "testing").await.unwrap());
    database.hand_over("another").await.unwrap();
    assert!(!is_in_charge(place.url(), "testing").await.unwrap());
}
