//! Read models verified, rebuilt and pruned on both engines while a replica is at work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use database::read_model::{
    DifferenceKind, ReadModel, ReadModelError, Retired, Verification, prune_scratches,
};
use database::{Database, Engine, Statement, Transaction};
use kernel::checkpoint::{Registration, SubscriptionStore as _};
use kernel::codec::Envelope;
use kernel::execution::Environment;
use kernel::projection::{Projection, ProjectionRunner};
use kernel::store::BoxError;
use kernel::subscription::{Subscription as _, SubscriptionKind};
use rstest::rstest;
use testkit::engines::TestTables;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::replicas::{Event, NAME, PATIENCE, make, new_environment, until_stored};
use crate::tables::{INSERT, notes, open, things};

/// An event that it cannot handle until it is told how.
const BAD: &str = "bad";

/// A projection whose defects can be mended and whose work can be held up.
#[derive(Clone)]
struct Things {
    knows_the_bad: Arc<AtomicBool>,
    gate: Arc<Semaphore>,
}

impl Things {
    fn new() -> Self {
        Self { knows_the_bad: Arc::default(), gate: Arc::new(Semaphore::new(1)) }
    }
}

impl Projection for Things {
    type Store = Database;
    type Event = Event;

    const NAME: &'static str = "testing.things";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &["thing"];

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<Event>,
    ) -> Result<(), BoxError> {
        let _open = self.gate.acquire().await?;
        let Event::Made(made) = &event.event;
        if made.name == BAD && !self.knows_the_bad.load(Ordering::Relaxed) {
            return Err("it is bad".into());
        }
        let id = event.recorded.position.cast_signed();
        transaction.query(&INSERT).bind(id).bind(&made.name).execute().await?;
        Ok(())
    }
}

/// A read model, everything it is made of, and a replica that runs it.
struct World {
    things: Things,
    read_model: ReadModel,
    database: Database,
    environment: Environment,
    replica: Option<(CancellationToken, JoinHandle<()>)>,
    _place: TestTables,
}

impl World {
    async fn on(engine: Engine) -> Self {
        let (place, database) = things(engine).await;
        let (environment, things) = (new_environment(), Things::new());
        let read_model = ReadModel::new(things.clone(), &environment, &database);
        let mut world =
            Self { things, read_model, database, environment, replica: None, _place: place };
        world.start().await;
        world
    }

    async fn start(&mut self) {
        let database = open(self._place.url()).await;
        let (runner, _) =
            ProjectionRunner::new(self.things.clone(), self.environment.clone(), database);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(Box::new(runner).run(shutdown.clone()));
        self.replica = Some((shutdown, running));
    }

    async fn stop(&mut self) {
        if let Some((shutdown, running)) = self.replica.take() {
            shutdown.cancel();
            running.await.unwrap();
        }
    }

    /// Makes things and waits until they are shown.
    async fn make(&self, names: &[&str]) {
        let mut last = 0;
        for name in names {
            last = make(&self.environment, name).await;
        }
        until_stored(&self.database, last).await;
    }

    async fn verify(&self) -> Result<Verification, ReadModelError> {
        self.read_model.verify(&mut |_, _| (), &CancellationToken::new()).await
    }

    async fn rebuild(&self) {
        self.read_model.rebuild(&mut |_, _| (), &CancellationToken::new()).await.unwrap();
    }

    async fn scratches(&self) -> Vec<String> {
        self.database.places_beside("scratch_").await.unwrap()
    }
}

async fn execute(database: &Database, statement: Statement) {
    database.write(&statement).execute().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_never_go_back_while_they_are_replaced(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const COUNT: Statement = Statement::Same("SELECT count(*) FROM thing");
    let world = World::on(engine).await;
    world.make(&["first"]).await;
    let over = Arc::new(AtomicBool::new(false));
    let making = tokio::spawn({
        let (environment, over) = (world.environment.clone(), Arc::clone(&over));
        let database = world.database.clone();
        async move {
            let mut last = 0;
            while !over.load(Ordering::Relaxed) {
                for _ in 0..5 {
                    last = make(&environment, "another").await;
                }
                // No faster than they are shown, or a fresh fold never comes to an end.
                until_stored(&database, last).await;
            }
            last
        }
    });
    let watching = tokio::spawn({
        let (database, over) = (world.database.clone(), Arc::clone(&over));
        async move {
            let mut seen = 0_i64;
            while !over.load(Ordering::Relaxed) {
                let now = database.query(&COUNT).scalar().await.unwrap();
                assert!(now >= seen, "{now} rows after {seen}");
                seen = now;
            }
        }
    });
    for _ in 0..2 {
        // Two at once do not meet.
        tokio::join!(world.rebuild(), world.rebuild());
        let verified = world.verify().await.unwrap();
        assert!(verified.is_right(), "{verified:?}");
    }
    over.store(true, Ordering::Relaxed);
    watching.await.unwrap();
    let last = making.await.unwrap();
    until_stored(&world.database, last).await;
    let rows: i64 = world.database.query(&COUNT).scalar().await.unwrap();
    assert_eq!(rows.cast_unsigned(), last, "every event is a row");
    assert!(world.scratches().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn verification_tells_rows_that_are_missing_superfluous_or_different(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    world.make(&["one", "two", "three"]).await;
    let verified = world.verify().await.unwrap();
    assert!(verified.is_right(), "{verified:?}");
    assert_eq!((verified.position, verified.rows), (3, 3));
    execute(&world.database, Statement::Same("DELETE FROM thing WHERE id = 1")).await;
    execute(&world.database, Statement::Same("UPDATE thing SET note = 'x' WHERE id = 2")).await;
    execute(&world.database, Statement::Same("INSERT INTO thing (id) VALUES (7)")).await;
    let verified = world.verify().await.unwrap();
    let mut kinds: Vec<_> = verified.differences.iter().map(|one| (&*one.key, one.kind)).collect();
    kinds.sort_unstable_by_key(|(key, _)| *key);
    let kinds: Vec<_> = kinds.into_iter().map(|(_, kind)| kind).collect();
    let (missing, different) = (DifferenceKind::Missing, DifferenceKind::Different);
    assert_eq!(kinds, [missing, different, DifferenceKind::Superfluous]);
    assert_eq!((verified.rows, verified.different), (4, 3));
    world.rebuild().await;
    assert_eq!(notes(&world.database).await, ["one", "two", "three"]);
}

#[rstest]
#[tokio::test]
async fn a_rebuild_takes_its_own_parked_events_with_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    world.make(&["one", BAD, "three"]).await;
    let parked = async || world.database.status(NAME).await.unwrap().unwrap().parked;
    assert_eq!(parked().await, 1);
    world.rebuild().await;
    assert_eq!(parked().await, 1, "it is as bad as before");
    world.things.knows_the_bad.store(true, Ordering::Relaxed);
    let verified = world.verify().await.unwrap();
    assert_eq!(verified.differences[0].kind, DifferenceKind::Missing);
    world.rebuild().await;
    assert_eq!(parked().await, 0);
    assert_eq!(notes(&world.database).await, ["one", BAD, "three"]);
}

#[rstest]
#[tokio::test]
async fn a_cancelled_run_leaves_nothing_behind(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::on(engine).await;
    world.make(&["one", "two"]).await;
    world.stop().await;
    make(&world.environment, "three").await;
    for work in ["build", "verify", "rebuild"] {
        let cancel = CancellationToken::new();
        let mut report = |_, _| cancel.cancel();
        // Held up, so that it is cancelled in the midst of it.
        let held = world.things.gate.acquire().await.unwrap();
        let working = async {
            match work {
                "build" => world.read_model.build(&mut report, &cancel).await.map(drop),
                "verify" => world.read_model.verify(&mut report, &cancel).await.map(drop),
                _ => world.read_model.rebuild(&mut report, &cancel).await.map(drop),
            }
        };
        let cancelling = async {
            tokio::task::yield_now().await;
            cancel.cancel();
        };
        let (ended, ()) = tokio::join!(tokio::time::timeout(PATIENCE, working), cancelling);
        drop(held);
        let error = ended.unwrap().unwrap_err();
        assert!(error.is_cancelled(), "{work}: {error:?}");
        assert!(world.scratches().await.is_empty(), "{work}");
        let status = world.database.status(NAME).await.unwrap().unwrap();
        assert_eq!((status.lease, status.checkpoint.position), (None, 2), "{work}");
    }
    assert_eq!(notes(&world.database).await, ["one", "two"]);
    world.read_model.build(&mut |_, _| (), &CancellationToken::new()).await.unwrap();
    assert_eq!(notes(&world.database).await, ["one", "two", "three"]);
}

#[rstest]
#[tokio::test]
async fn building_waits_for_whoever_builds_already_and_takes_over_from_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::on(engine).await;
    world.make(&["one"]).await;
    let held = Arc::clone(&world.things.gate).acquire_owned().await.unwrap();
    make(&world.environment, "two").await;
    let (read_model, cancel) = (world.read_model.clone(), CancellationToken::new());
    let building = tokio::spawn(async move { read_model.build(&mut |_, _| (), &cancel).await });
    drop(held);
    let built = tokio::time::timeout(PATIENCE, building).await.unwrap();
    assert_eq!(built.unwrap().unwrap(), 2);
    world.stop().await;
    make(&world.environment, "three").await;
    let cancel = CancellationToken::new();
    assert_eq!(world.read_model.build(&mut |_, _| (), &cancel).await.unwrap(), 3);
    assert_eq!(notes(&world.database).await, ["one", "two", "three"]);
}

#[rstest]
#[tokio::test]
async fn a_retired_version_is_pruned_when_no_replica_runs_it_any_more(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const OLD: &str = "testing.things.v0";
    const RETIRED: &[Retired] = &[Retired { version: 0, tables: &["old_thing", "never_made"] }];
    let world = World::on(engine).await;
    world.make(&["one"]).await;
    execute(&world.database, Statement::Same("CREATE TABLE old_thing (id bigint)")).await;
    let registration = Registration {
        subscription: OLD.to_owned(),
        kind: SubscriptionKind::Projection,
        families: BTreeSet::new(),
        log_id: world.environment.store.log_id(),
    };
    world.database.register(&registration).await.unwrap();
    let lease = world.database.acquire(OLD, "an old replica", Duration::from_secs(300)).await;
    let read_model = world.read_model.clone().with_retired(RETIRED);

    let pruned = read_model.prune().await.unwrap();
    assert_eq!((&*pruned.kept[0].name, &*pruned.kept[0].owner), (OLD, "an old replica"));
    assert!(pruned.tables.is_empty() && pruned.subscriptions.is_empty());
    world.database.release(&lease.unwrap().unwrap()).await.unwrap();
    let pruned = read_model.prune().await.unwrap();
    assert_eq!(
        (&pruned.subscriptions, &pruned.tables),
        (&vec![OLD.to_owned()], &vec!["old_thing".to_owned()],)
    );
    assert_eq!(world.database.status(OLD).await.unwrap(), None);
    let pruned = read_model.prune().await.unwrap();
    assert_eq!(pruned, database::read_model::Pruned::default());
    assert_eq!(notes(&world.database).await, ["one"], "what is served stays");
}

#[rstest]
#[tokio::test]
async fn scratches_are_pruned_unless_somebody_works_there(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::on(engine).await;
    world.make(&["one"]).await;
    world.stop().await;
    drop(world.database.beside("scratch_0123456789ab").await.unwrap());
    let held = Arc::clone(&world.things.gate).acquire_owned().await.unwrap();
    let (read_model, cancel) = (world.read_model.clone(), CancellationToken::new());
    let verifying = tokio::spawn(async move { read_model.verify(&mut |_, _| (), &cancel).await });
    let begun = async {
        while world.scratches().await.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.unwrap();
    // Of an older one the sign counts.
    let signed = world.database.beside("scratch_0123456789ac").await.unwrap();
    let log_id = world.environment.store.log_id();
    let registration = Registration {
        subscription: "scratch".to_owned(),
        kind: SubscriptionKind::Projection,
        families: BTreeSet::new(),
        log_id,
    };
    signed.register(&registration).await.unwrap();
    signed.acquire("scratch", "a verification", PATIENCE).await.unwrap().unwrap();
    signed.close().await;
    let pruned = prune_scratches(&world.database).await.unwrap();
    assert_eq!(pruned.scratches, ["scratch_0123456789ab"]);
    let kept: Vec<&str> = pruned.kept.iter().map(|kept| kept.owner.as_str()).collect();
    assert_eq!(kept, ["a verification", "a fold that has just begun"]);
    drop(held);
    assert!(verifying.await.unwrap().unwrap().is_right());
    assert_eq!(world.scratches().await, ["scratch_0123456789ac"]);
}
