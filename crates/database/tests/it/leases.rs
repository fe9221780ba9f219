//! Leases and their fencing on both engines: a process that lost the lease changes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use database::{Database, DatabaseOptions, Engine, Statement, Transaction};
use kernel::checkpoint::{Checkpoint, CheckpointError, Registration, SubscriptionStore};
use kernel::event::Position;
use kernel::lease::Lease;
use kernel::seams::new_id;
use kernel::subscription::SubscriptionKind;
use rstest::rstest;
use testkit::engines::TestTables;
use testkit::postgres::{PostgresServer, execute};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::tables::{INSERT, notes, open, open_with, things};

const NAME: &str = "testing.things.v1";
const LONG: Duration = Duration::from_secs(300);
/// Gone by when the next statement runs.
const SHORT: Duration = Duration::from_millis(1);
/// Longer than any step here; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

fn registration(log_id: Uuid, families: &[&str]) -> Registration {
    Registration {
        subscription: NAME.to_owned(),
        kind: SubscriptionKind::Projection,
        families: families.iter().map(|family| (*family).to_owned()).collect(),
        log_id,
    }
}

/// A database in which the subscription is registered, and the log's id.
async fn registered(engine: Engine) -> (TestTables, Database, Uuid) {
    let (place, database) = things(engine).await;
    let log_id = new_id();
    database.register(&registration(log_id, &["testing.Thing"])).await.unwrap();
    (place, database, log_id)
}

fn at(log_id: Uuid, position: Position) -> Checkpoint {
    Checkpoint { log_id, position, event_id: Some(Uuid::from_u128(position.into())) }
}

async fn acquired(database: &Database, owner: &str, ttl: Duration) -> Lease {
    database.acquire(NAME, owner, ttl).await.unwrap().expect("the lease is free")
}

/// Waits until the lease can be had.
async fn eventually_acquired(database: &Database, owner: &str) -> Lease {
    let trying = async {
        loop {
            match database.acquire(NAME, owner, LONG).await {
                Ok(Some(lease)) => return lease,
                Ok(None) => tokio::task::yield_now().await,
                Err(error) => assert!(matches!(error, CheckpointError::Unavailable(_)), "{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.expect("the lease never was free")
}

async fn insert(transaction: &mut Transaction, id: i64, note: &str) {
    transaction.query(&INSERT).bind(id).bind(note).execute().await.unwrap();
}

#[track_caller]
fn lost_to(error: &CheckpointError) -> Option<&str> {
    let CheckpointError::LeaseLost { holder, .. } = error else { panic!("{error:?}") };
    holder.as_deref()
}

#[rstest]
#[tokio::test]
async fn of_many_that_want_the_lease_one_gets_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (place, database, _) = registered(engine).await;
    let mut wanting = JoinSet::new();
    for number in 0..6 {
        // Each as a process of its own.
        let database = open(place.url()).await;
        wanting.spawn(async move {
            database.acquire(NAME, &format!("replica {number}"), LONG).await.unwrap()
        });
    }
    let got: Vec<_> = wanting.join_all().await.into_iter().flatten().collect();
    let [lease] = &got[..] else { panic!("{got:?}") };
    let status = database.status(NAME).await.unwrap().unwrap();
    let shown = status.lease.unwrap();
    assert_eq!((&shown.owner, shown.token, shown.expired), (&lease.owner, lease.token, false));
    assert_eq!(lease.families, BTreeSet::from(["testing.Thing".to_owned()]));
    assert!(database.acquire(NAME, "late", LONG).await.unwrap().is_none());
    let again = acquired(&database, &lease.owner, LONG).await;
    assert_ne!(again.token, lease.token, "the owner may, and has another token");
    database.release(lease).await.unwrap();
    assert!(database.acquire(NAME, "late", LONG).await.unwrap().is_none(), "that was the old one");
    database.release(&again).await.unwrap();
    acquired(&database, "late", LONG).await;
}

#[rstest]
#[tokio::test]
async fn rows_and_checkpoint_move_together_under_the_lease(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database, log_id) = registered(engine).await;
    let lease = acquired(&database, "one", LONG).await;
    assert_eq!(lease.checkpoint, Checkpoint::beginning(log_id));
    let mut dropped = database.begin_fenced(&lease, 0, at(log_id, 3)).await.unwrap();
    insert(&mut dropped, 1, "dropped").await;
    drop(dropped);
    assert_eq!(database.checkpoint(NAME).await.unwrap().unwrap().position, 0);
    let mut kept = database.begin_fenced(&lease, 0, at(log_id, 3)).await.unwrap();
    insert(&mut kept, 1, "kept").await;
    database.commit(kept).await.unwrap();
    assert_eq!(database.checkpoint(NAME).await.unwrap(), Some(at(log_id, 3)));
    assert_eq!(notes(&database).await, ["kept"]);

    // From elsewhere than it is.
    let error = database.begin_fenced(&lease, 0, at(log_id, 4)).await.unwrap_err();
    let CheckpointError::Elsewhere { expected, found, .. } = error else { panic!("{error:?}") };
    assert_eq!((expected, found), (0, 3));
}

#[rstest]
#[tokio::test]
async fn a_lease_lasts_until_it_expires_and_no_longer(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (place, database, log_id) = registered(engine).await;
    let other = open(place.url()).await;
    let late = acquired(&database, "one", SHORT).await;
    let lease = eventually_acquired(&other, "two").await;
    assert_ne!(lease.token, late.token);

    let error = database.begin_fenced(&late, 0, at(log_id, 1)).await.unwrap_err();
    assert_eq!(lost_to(&error), Some("two"));
    assert_eq!(lost_to(&database.renew(&late).await.unwrap_err()), Some("two"));
    database.release(&late).await.unwrap();
    let status = database.status(NAME).await.unwrap().unwrap();
    assert_eq!(status.lease.unwrap().token, lease.token, "releasing what is lost does nothing");

    // Expired, but not acquired by another process: the token is still valid.
    let late = Lease { ttl: SHORT, ..lease };
    other.renew(&late).await.unwrap();
    let expired = async || {
        while !other.status(NAME).await.unwrap().unwrap().lease.unwrap().expired {}
    };
    tokio::time::timeout(PATIENCE, expired()).await.unwrap();
    let renewing = Lease { ttl: LONG, ..late };
    let moving = other.begin_fenced(&renewing, 0, at(log_id, 1)).await.unwrap();
    other.commit(moving).await.unwrap();
    let status = database.status(NAME).await.unwrap().unwrap();
    assert!(!status.lease.unwrap().expired, "every move renews it");
    assert!(database.acquire(NAME, "one", LONG).await.unwrap().is_none());
}

/// A stale owner that is in the middle of its transaction: either it commits before the other one
/// begins, or nothing of it stays.
#[rstest]
#[tokio::test]
async fn a_transaction_that_is_open_keeps_the_lease_until_it_ends(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (place, database, log_id) = registered(engine).await;
    let late = acquired(&database, "one", SHORT).await;
    let mut open_one = database.begin_fenced(&late, 0, at(log_id, 1)).await.unwrap();
    insert(&mut open_one, 1, "in time").await;
    let other = open(place.url()).await;
    if engine == Engine::Postgres {
        // On SQLite it would wait for its turn to write.
        assert!(other.acquire(NAME, "two", LONG).await.unwrap().is_none());
    }
    let acquiring = tokio::spawn(async move {
        let lease = eventually_acquired(&other, "two").await;
        (lease, other)
    });
    database.commit(open_one).await.unwrap();
    let (lease, other) = acquiring.await.unwrap();
    assert_eq!(lease.checkpoint, at(log_id, 1), "it begins where the other one ended");
    assert_eq!(notes(&other).await, ["in time"]);
}

#[tokio::test]
async fn who_was_paused_within_its_transaction_is_cut_off() {
    let place = TestTables::on(Engine::Postgres).await;
    let options = DatabaseOptions {
        idle_in_transaction_timeout: Duration::from_millis(200),
        ..<_>::default()
    };
    let paused = open_with(place.url(), options).await;
    let log_id = new_id();
    paused.register(&registration(log_id, &[])).await.unwrap();
    let late = acquired(&paused, "one", SHORT).await;
    let mut late = paused.begin_fenced(&late, 0, at(log_id, 1)).await.unwrap();
    insert(&mut late, 1, "late").await;
    // Here it is stopped. The server ends its transaction, and with it its hold on the lease.
    let other = open(place.url()).await;
    let lease = eventually_acquired(&other, "two").await;
    assert_eq!(lease.checkpoint.position, 0);
    let mut transaction = other.begin_fenced(&lease, 0, at(log_id, 2)).await.unwrap();
    insert(&mut transaction, 2, "in time").await;
    other.commit(transaction).await.unwrap();
    let error = paused.commit(late).await.unwrap_err();
    assert!(matches!(error, CheckpointError::Unavailable(_)), "{error:?}");
    assert_eq!(notes(&other).await, ["in time"]);
    assert_eq!(other.checkpoint(NAME).await.unwrap(), Some(at(log_id, 2)));
}

#[tokio::test]
async fn a_crash_of_the_server_takes_rows_and_checkpoint_together_and_no_lease() {
    // The server writes what was committed asynchronously as late as it may.
    let mut server = PostgresServer::start_with("wal_writer_delay = 10s").await;
    let options = DatabaseOptions { acquire_timeout: Duration::from_secs(1), ..<_>::default() };
    let database = open_with(&server.url(), options).await;
    let log_id = new_id();
    database.register(&registration(log_id, &[])).await.unwrap();
    let lease = acquired(&database, "one", LONG).await;
    for position in 1..=20_u32 {
        let from = Position::from(position - 1);
        let to = at(log_id, position.into());
        let mut transaction = database.begin_fenced(&lease, from, to).await.unwrap();
        insert(&mut transaction, position.into(), &format!("row {position}")).await;
        database.commit(transaction).await.unwrap();
    }
    server.stop_immediately();
    server.restart().await;
    // The connections of before are gone.
    let database = open(&server.url()).await;
    let status = database.status(NAME).await.unwrap().unwrap();
    assert_eq!(status.lease.unwrap().token, lease.token, "it was written before it was answered");
    let found = status.checkpoint.position;
    assert_eq!(notes(&database).await.len() as u64, found, "rows and checkpoint agree");
    if found < 20 {
        let error = database.begin_fenced(&lease, 20, at(log_id, 21)).await.unwrap_err();
        assert!(matches!(error, CheckpointError::Elsewhere { .. }), "{error:?}");
    }
    let going_on = database.begin_fenced(&lease, found, at(log_id, found + 1)).await.unwrap();
    database.commit(going_on).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn families_are_united_and_their_growth_has_the_owner_acquire_anew(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database, log_id) = registered(engine).await;
    let lease = acquired(&database, "one", LONG).await;
    database.register(&registration(log_id, &["testing.Thing"])).await.unwrap();
    database.renew(&lease).await.unwrap();
    database.register(&registration(log_id, &["testing.Other"])).await.unwrap();
    let error = database.begin_fenced(&lease, 0, at(log_id, 1)).await.unwrap_err();
    assert_eq!(lost_to(&error), Some("one"));
    assert!(database.acquire(NAME, "two", LONG).await.unwrap().is_none(), "it is still its own");
    let lease = acquired(&database, "one", LONG).await;
    let united = BTreeSet::from(["testing.Other".to_owned(), "testing.Thing".to_owned()]);
    assert_eq!(lease.families, united);
    // A replica that wants less takes nothing away.
    database.register(&registration(log_id, &[])).await.unwrap();
    assert_eq!(database.status(NAME).await.unwrap().unwrap().families, united);
    database.renew(&lease).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_subscription_keeps_to_the_log_it_has_begun(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database, _) = registered(engine).await;
    let log_id = new_id();
    database.register(&registration(log_id, &[])).await.unwrap();
    let lease = acquired(&database, "one", LONG).await;
    assert_eq!(lease.checkpoint.log_id, log_id, "it had not begun");
    let moving = database.begin_fenced(&lease, 0, at(log_id, 1)).await.unwrap();
    database.commit(moving).await.unwrap();
    let other = new_id();
    database.register(&registration(other, &[])).await.unwrap();
    assert_eq!(database.checkpoint(NAME).await.unwrap(), Some(at(log_id, 1)));
    assert!(database.begin_fenced(&lease, 1, at(other, 2)).await.is_err());

    database.restart(NAME, other).await.unwrap();
    assert_eq!(database.checkpoint(NAME).await.unwrap(), Some(Checkpoint::beginning(other)));
    let error = database.begin_fenced(&lease, 1, at(log_id, 2)).await.unwrap_err();
    assert_eq!(lost_to(&error), None, "its owner was fenced out");
    let error = database.restart("testing.nobody.v1", other).await.unwrap_err();
    assert!(matches!(error, CheckpointError::Unknown { .. }), "{error:?}");
}

#[rstest]
#[tokio::test]
async fn whoever_is_alone_ends_the_leases_of_those_before(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database, _) = registered(engine).await;
    let left_over = acquired(&database, "one", LONG).await;
    database.release_all().await.unwrap();
    assert_eq!(lost_to(&database.renew(&left_over).await.unwrap_err()), None);
    acquired(&database, "two", LONG).await;
}

/// A clock that was ahead has granted the lease for hours: other processes do not wait for that.
#[rstest]
#[tokio::test]
async fn a_lease_that_ends_later_than_any_can_is_nobodys(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_place, database, _) = registered(engine).await;
    acquired(&database, "of the future", kernel::lease::LONGEST * 6).await;
    let shown = database.status(NAME).await.unwrap().unwrap().lease.unwrap();
    assert!(shown.expired, "{shown:?}");
    acquired(&database, "of now", LONG).await;
    assert!(database.acquire(NAME, "another", LONG).await.unwrap().is_none());
}

/// As after a crash of the server that lost its last commits, under a process that goes on.
#[tokio::test]
async fn a_new_connection_finds_out_that_the_tables_went_back_before_anything_is_read_by_it() {
    let (place, database, log_id) = registered(Engine::Postgres).await;
    let lease = acquired(&database, "one", LONG).await;
    let believed = watch::Sender::new(0);
    database.entrust(NAME, believed.clone());
    let mut tables = database.watch_tables();
    let mut transaction = database.begin_fenced(&lease, 0, at(log_id, 5)).await.unwrap();
    insert(&mut transaction, 1, "one").await;
    database.commit(transaction).await.unwrap();
    // Nothing of what came after is wanted, so that it stands in no checkpoint.
    believed.send_replace(7);

    // Connections come and go without that.
    let reopen = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    execute(place.url(), reopen).await;
    assert_eq!(eventually_notes(&database).await, ["one"]);
    assert!(!tables.has_changed().unwrap());
    assert_eq!(*believed.borrow(), 7);

    let back = "DELETE FROM testing.thing; UPDATE testing.checkpoint SET position = 2";
    execute(place.url(), back).await;
    execute(place.url(), reopen).await;
    assert_eq!(eventually_notes(&database).await, [""; 0]);
    assert!(tables.has_changed().unwrap());
    tables.mark_unchanged();
    assert_eq!(*believed.borrow(), 2);
    // Once is enough.
    execute(place.url(), reopen).await;
    assert_eq!(eventually_notes(&database).await, [""; 0]);
    assert!(!tables.has_changed().unwrap());
}

/// What can be read, as soon as something can be. Failures before that pass by themselves.
async fn eventually_notes(database: &Database) -> Vec<String> {
    let statement = Statement::Same("SELECT note FROM thing ORDER BY id");
    let reading = async {
        loop {
            match database.query(&statement).scalars().await {
                Ok(notes) => return notes,
                Err(error) => assert!(error.is_unavailable(), "{error:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("it never could be read")
}
