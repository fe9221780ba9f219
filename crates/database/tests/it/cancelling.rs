//! A cancelled operation leaves nothing behind, wherever it waits: no transaction, no lock, no
//! connection that affects the next statement.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use database::{Database, DatabaseOptions, Engine, Scratch, Statement, Transaction};
use futures::future::join;
use kernel::checkpoint::{
    Checkpoint, CheckpointError, ParkedEvent, Registration, SubscriptionStore,
};
use kernel::lease::Lease;
use kernel::seams::{Clock as _, SystemClock, new_id};
use kernel::subscription::SubscriptionKind;
use rstest::rstest;
use testkit::cancelling::{Moment, Sessions, at_every_await, cut_off};
use testkit::engines::TestTables;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::tables::{INSERT, notes, open_with};

const NAME: &str = "testing.policy";
const OTHER: &str = "testing.other";
const LONG: Duration = Duration::from_secs(300);
/// Longer than any step here; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
const NOTE: Statement = Statement::Same("SELECT note FROM thing WHERE id = $1");
/// Takes every lock that an operation may have left on a row.
const TOUCH_ALL: [Statement; 3] = [
    Statement::Same("UPDATE thing SET note = note"),
    Statement::Same("UPDATE checkpoint SET last_error = last_error"),
    Statement::Same("UPDATE parked_event SET error = error"),
];

const PROCESS: Statement = Statement::Same("SELECT pg_backend_pid()");
/// Whoever reads or writes waits for it.
const LOCK_ALL: Statement = Statement::Same(
    "LOCK TABLE thing, checkpoint, parked_event, module_charge IN ACCESS EXCLUSIVE MODE",
);

/// A database whose connections can be looked at.
struct World {
    /// Has one connection that writes and one that reads: the next statement gets the one that the
    /// operation had.
    database: Database,
    /// As another process has it.
    other: Database,
    sessions: Option<Mutex<Sessions>>,
    log_id: Uuid,
    next_id: AtomicI64,
    _place: TestTables,
}

impl World {
    async fn on(engine: Engine) -> Self {
        let place = TestTables::on(engine).await;
        // No connection is closed because of its age.
        let options = DatabaseOptions {
            writers: 1,
            readers: 1,
            session_lifetime: LONG,
            idle_timeout: LONG,
            ..DatabaseOptions::default()
        };
        let database = open_with(place.url(), options.clone()).await;
        let other = open_with(place.url(), options).await;
        let sessions = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => {
                Some(Mutex::new(Sessions::of(place.url(), "bascule-testing").await))
            }
        };
        let (log_id, next_id) = (new_id(), AtomicI64::new(1));
        let world = Self { database, other, sessions, log_id, next_id, _place: place };
        for name in [NAME, OTHER] {
            world.register(name, "testing.Thing").await;
        }
        world
    }

    fn id(&self) -> i64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    async fn register(&self, name: &str, family: &str) {
        let registration = Registration {
            subscription: name.to_owned(),
            kind: SubscriptionKind::Policy,
            families: BTreeSet::from([family.to_owned()]),
            log_id: self.log_id,
        };
        self.database.register(&registration).await.unwrap();
    }

    async fn lease(&self) -> Lease {
        self.database.acquire(NAME, "one", LONG).await.unwrap().unwrap()
    }

    async fn here(&self) -> Checkpoint {
        self.database.checkpoint(NAME).await.unwrap().unwrap()
    }

    fn parked(&self) -> ParkedEvent {
        ParkedEvent {
            position: self.id().cast_unsigned(),
            event_id: new_id(),
            key: "key".to_owned(),
            error: "broken".to_owned(),
            attempts: 1,
            parked_at: SystemClock.now(),
            replay_requested: false,
        }
    }

    /// Cuts an operation off while others have what it needs, as it begins to wait and as it gets its turn;
    /// then wherever it waits. How often that is depends on how fast its answers come.
    async fn cut_off(&self, what: &str, operation: impl AsyncFn()) {
        self.look(what).await;
        let before = self.processes().await;
        for moment in [Moment::Waiting, Moment::Woken] {
            let held = self.hold_everything().await;
            // In this order: the operation waits before anything is given back.
            let (completed, ()) = join(cut_off(operation(), 1, moment), async {
                for transaction in held {
                    transaction.rollback().await.unwrap();
                }
            })
            .await;
            assert!(completed.is_none(), "{what} was not cut off");
            self.look(what).await;
        }
        for moment in [Moment::Waiting, Moment::Woken] {
            at_every_await(moment, &operation, async || self.look(what).await).await;
        }
        assert_eq!(self.processes().await, before, "{what} cost a connection");
    }

    /// Has what every operation needs first: the connections on SQLite, on PostgreSQL, where more are
    /// opened for those who read, the one that writes and the tables.
    async fn hold_everything(&self) -> Vec<Transaction> {
        let mut writing = self.database.begin().await.unwrap();
        if self.sessions.is_some() {
            writing.query(&LOCK_ALL).execute().await.unwrap();
            return vec![writing];
        }
        vec![writing, self.database.snapshot().await.unwrap()]
    }

    /// What is written next lasts, and nothing is held.
    async fn look(&self, after: &str) {
        let id = self.id();
        let looking = async {
            let insert = self.database.write(&INSERT).bind(id).bind(after);
            insert.execute().await.unwrap();
            let note: String = self.other.query(&NOTE).bind(id).scalar().await.unwrap();
            assert_eq!(note, after);
            for touch in &TOUCH_ALL {
                self.other.write(touch).execute().await.unwrap();
            }
            let read: String = self.database.query(&NOTE).bind(id).scalar().await.unwrap();
            assert_eq!(read, after, "what reads is not stuck in the past");
        };
        let looked = tokio::time::timeout(PATIENCE, looking).await;
        assert!(looked.is_ok(), "{after} holds what others need");
        if let Some(sessions) = &self.sessions {
            sessions.lock().await.until_none_is_in_a_transaction().await;
        }
    }

    /// The processes of PostgreSQL that serve its connections. Those of connections that somebody else is
    /// closing end when they end.
    async fn processes(&self) -> Vec<i32> {
        if self.sessions.is_none() {
            return Vec::new();
        }
        let reading = self.database.query(&PROCESS).scalar().await.unwrap();
        let writing = self.database.write(&PROCESS).scalar().await.unwrap();
        vec![reading, writing]
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_or_transaction_that_is_cut_off_leaves_nothing_open(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    let database = &world.database;
    let insert = async || {
        let mut transaction = database.begin().await.unwrap();
        let insert = transaction.query(&INSERT).bind(world.id()).bind("inserted");
        insert.execute().await.unwrap();
        transaction
    };
    world.cut_off("begin", async || drop(database.begin().await.unwrap())).await;
    world.cut_off("begin_derived", async || drop(database.begin_derived().await.unwrap())).await;
    world.cut_off("a commit", async || insert().await.commit().await.unwrap()).await;
    world.cut_off("a rollback", async || insert().await.rollback().await.unwrap()).await;
    world
        .cut_off("a statement that writes", async || {
            database.write(&INSERT).bind(world.id()).bind("written").execute().await.unwrap();
        })
        .await;
    world.cut_off("a statement that reads", async || drop(notes(database).await)).await;
    world
        .cut_off("reading in a snapshot", async || {
            let mut snapshot = database.snapshot().await.unwrap();
            notes(&mut snapshot).await;
            snapshot.commit().await.unwrap();
        })
        .await;
    world.cut_off("preparing", async || database.prepare(&NOTE).await.unwrap()).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_or_checkpoint_that_is_cut_off_leaves_nothing_open(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    let database = &world.database;
    world
        .cut_off("registering", async || {
            world.register(NAME, &format!("testing.Thing{}", world.id())).await;
        })
        .await;
    world.cut_off("acquiring", async || drop(world.lease().await)).await;
    world
        .cut_off("releasing", async || {
            let lease = world.lease().await;
            database.release(&lease).await.unwrap();
            let status = database.status(NAME).await.unwrap().unwrap();
            assert_eq!(status.lease, None, "the release was lost");
        })
        .await;
    world.cut_off("releasing all", async || database.release_all().await.unwrap()).await;
    let lease = world.lease().await;
    world.cut_off("renewing", async || database.renew(&lease).await.unwrap()).await;
    world
        .cut_off("moving the checkpoint", async || {
            let here = world.here().await;
            let to = Checkpoint { position: here.position + 1, ..here };
            let fenced = database.begin_fenced(&lease, here.position, to).await.unwrap();
            database.commit(fenced).await.unwrap();
        })
        .await;
    world
        .cut_off("being fenced out", async || {
            let here = world.here().await;
            let late = database.begin_fenced(&lease, here.position + 7, here).await;
            assert!(matches!(late.unwrap_err(), CheckpointError::Elsewhere { .. }));
        })
        .await;
    world.cut_off("an error", async || database.record_error(NAME, "late").await.unwrap()).await;
    world
        .cut_off("statuses", async || assert_eq!(database.statuses().await.unwrap().len(), 2))
        .await;
    world
        .cut_off("beginning anew", async || database.restart(OTHER, world.log_id).await.unwrap())
        .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parking_that_is_cut_off_leaves_nothing_open(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    let database = &world.database;
    let lease = world.lease().await;
    world
        .cut_off("parking", async || {
            let here = world.here().await;
            let mut fenced = database.begin_fenced(&lease, 0, here).await.unwrap();
            let event = world.parked();
            database.park(&mut fenced, NAME, &event).await.unwrap();
            database.park_again(&mut fenced, NAME, &event).await.unwrap();
            database.commit(fenced).await.unwrap();
        })
        .await;
    let parked = database.parked_events(NAME, None, 0, 100).await.unwrap();
    let first = parked.first().unwrap().position;
    world
        .cut_off("asking for a replay", async || {
            assert!(database.request_replay(NAME, first).await.unwrap());
        })
        .await;
    world
        .cut_off("replaying", async || {
            let here = world.here().await;
            assert_eq!(database.keys_to_replay(NAME).await.unwrap(), ["key"]);
            let mut fenced = database.begin_fenced(&lease, 0, here).await.unwrap();
            database.unpark(&mut fenced, NAME, first).await.unwrap();
            drop(fenced);
        })
        .await;
    world
        .cut_off("discarding", async || {
            database.discard(NAME, first).await.unwrap();
            assert!(!database.discard(NAME, first).await.unwrap(), "it is gone");
        })
        .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_over_that_is_cut_off_leaves_nothing_open(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    let database = &world.database;
    world
        .cut_off("a hand-over", async || {
            let mut handed = database.hand_over("another").await.unwrap();
            // As the other one hands it back.
            handed.epoch += 1;
            assert!(database.take_over(&handed).await.unwrap());
        })
        .await;
    world
        .cut_off("a route", async || {
            let epoch = database.placement().await.unwrap().epoch;
            database.set_route(Some("http://elsewhere"), epoch).await.unwrap();
        })
        .await;
    world
        .cut_off("waiting for a hand-over", async || {
            drop(database.await_hand_over("another").await)
        })
        .await;
    let scratch: Scratch = database.beside("scratch").await.unwrap();
    world
        .cut_off("replacing rows", async || {
            let mut transaction = scratch.begin_replacing().await.unwrap();
            scratch.replace_rows(&mut transaction, "thing").await.unwrap();
            transaction.rollback().await.unwrap();
        })
        .await;
    scratch.remove().await.unwrap();
}
