//! Several replicas run one projection over one log, each on a thread of its own that can be stopped
//! where it stands: whatever happens to them, every event becomes a row once and in order.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use database::{Database, Engine, Transaction};
use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::Envelope;
use kernel::event::Position;
use kernel::execution::Environment;
use kernel::keys::MemoryKeyVault;
use kernel::projection::{Progress, Projection, ProjectionRunner};
use kernel::seams::{SystemClock, new_id};
use kernel::store::BoxError;
use kernel::subscription::Subscription as _;
use rstest::rstest;
use serde::{Deserialize, Serialize};
use testkit::engines::TestTables;
use testkit::modules::{environment, record};
use testkit::random::{Random, seed};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::tables::{INSERT, notes, open};

pub const NAME: &str = "testing.things.v1";
const TTL: Duration = Duration::from_millis(150);
/// Longer than any step here; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Made {
    pub name: String,
}

event_contract::published! {
    "testing.Made.v1": Made;
}

kernel::event_set! {
    pub enum Event { Made(Made) }
}

struct Things;

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
        let Event::Made(made) = &event.event;
        let id = event.recorded.position.cast_signed();
        transaction.query(&INSERT).bind(id).bind(&made.name).execute().await?;
        Ok(())
    }
}

/// Makes another thing. Its position in the log.
pub async fn make(environment: &Environment, name: &str) -> Position {
    record(environment, "thing", new_id(), Event::from(Made { name: name.to_owned() })).await;
    environment.store.head().await.unwrap()
}

pub fn new_environment() -> Environment {
    let mut environment = environment(Arc::new(SystemClock), Arc::<MemoryKeyVault>::default());
    environment.runtime.lease_ttl = TTL;
    environment
}

enum Command {
    /// Stops the thread until the other end speaks or is dropped.
    Pause(std::sync::mpsc::Receiver<()>),
    /// Ends it in order.
    Stop,
    /// Ends it as it is.
    Die,
}

async fn serve(
    environment: Environment,
    url: &str,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let (runner, _) = ProjectionRunner::new(Things, environment, open(url).await);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(Box::new(runner).run(shutdown.clone()));
    while let Some(command) = commands.recv().await {
        match command {
            // The only thread of this runtime: nothing of it goes on meanwhile.
            Command::Pause(gate) => drop(gate.recv()),
            Command::Stop => {
                shutdown.cancel();
                running.await.unwrap();
                return;
            }
            Command::Die => return,
        }
    }
}

/// A process, as far as its database and its tasks can tell.
struct Replica {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<()>,
    paused: Option<std::sync::mpsc::Sender<()>>,
}

impl Replica {
    fn start(environment: &Environment, place: &TestTables) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let (environment, url) = (environment.clone(), place.url().to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(serve(environment, &url, received));
        });
        Self { commands, thread, paused: None }
    }

    fn pause(&mut self) {
        let (resume, gate) = std::sync::mpsc::channel();
        self.paused = Some(resume);
        self.commands.send(Command::Pause(gate)).unwrap();
    }

    fn end(self, how: Command) {
        drop(self.paused);
        self.commands.send(how).unwrap();
        self.thread.join().unwrap();
    }
}

/// Waits until a position is stored as done.
pub async fn until_stored(database: &Database, position: Position) {
    let stored = async {
        loop {
            let checkpoint = database.checkpoint(NAME).await.unwrap();
            if checkpoint.is_some_and(|checkpoint| checkpoint.position >= position) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, stored).await.expect("nobody goes on");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_replicas_every_event_becomes_one_row(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const ROUNDS: u64 = 25;
    const EVENTS: u64 = 20;
    let (environment, place) = (new_environment(), TestTables::on(engine).await);
    let database = open(place.url()).await;
    let seed = seed();
    println!("SEED={seed}");
    let mut random = Random::new(seed);
    let mut replicas: Vec<_> = (0..3).map(|_| Replica::start(&environment, &place)).collect();
    let mut made = Vec::new();
    for round in 0..ROUNDS {
        let before = environment.store.head().await.unwrap();
        let mut making = JoinSet::new();
        for event in 0..EVENTS {
            let name = format!("{round}/{event}");
            made.push(name.clone());
            if event % 2 == 0 {
                make(&environment, &name).await;
            } else {
                // Some while the replicas are at it.
                let environment = environment.clone();
                making.spawn(async move { make(&environment, &name).await });
            }
        }
        let chosen = usize::try_from(random.below(3)).unwrap();
        match random.below(4) {
            0 => {
                let running =
                    std::mem::replace(&mut replicas[chosen], Replica::start(&environment, &place));
                running.end(Command::Die);
            }
            1 => {
                let running =
                    std::mem::replace(&mut replicas[chosen], Replica::start(&environment, &place));
                running.end(Command::Stop);
            }
            // One always runs.
            _ if replicas.iter().filter(|replica| replica.paused.is_none()).count() > 1 => {
                replicas[chosen].pause();
            }
            _ => replicas.iter_mut().for_each(|replica| replica.paused = None),
        }
        making.join_all().await;
        if engine == Engine::Sqlite {
            // One that was stopped within its transaction keeps everybody from writing: there is no
            // server that could end it.
            let stored = tokio::time::timeout(4 * TTL, until_stored(&database, before)).await;
            if stored.is_err() {
                replicas.iter_mut().for_each(|replica| replica.paused = None);
            }
        }
        until_stored(&database, before).await;
    }
    replicas.iter_mut().for_each(|replica| replica.paused = None);
    until_stored(&database, environment.store.head().await.unwrap()).await;
    for replica in replicas {
        replica.end(Command::Stop);
    }
    assert_eq!(database.parked_keys(NAME).await.unwrap(), Vec::<String>::new());
    let mut rows = notes(&database).await;
    assert_eq!(rows.len(), made.len());
    rows.sort();
    made.sort();
    assert_eq!(rows, made);
    assert_eq!(database.status(NAME).await.unwrap().unwrap().lease, None);
}

fn run(environment: &Environment, database: &Database) -> (Progress, CancellationToken) {
    let (runner, progress) = ProjectionRunner::new(Things, environment.clone(), database.clone());
    let shutdown = CancellationToken::new();
    tokio::spawn(Box::new(runner).run(shutdown.clone()));
    (progress, shutdown)
}

#[rstest]
#[tokio::test]
async fn every_replica_reads_what_was_written_once_it_says_so(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (environment, place) = (new_environment(), TestTables::on(engine).await);
    let databases = [open(place.url()).await, open(place.url()).await, open(place.url()).await];
    let replicas = databases.each_ref().map(|database| run(&environment, database));
    for number in 1..=30 {
        let position = make(&environment, "thing").await;
        for (database, (progress, _)) in databases.iter().zip(&replicas) {
            assert!(progress.reached(position, PATIENCE).await);
            assert_eq!(notes(database).await.len(), number);
        }
    }
    for (_, shutdown) in replicas {
        shutdown.cancel();
    }
}

#[rstest]
#[tokio::test]
async fn a_server_that_is_gone_for_a_while_costs_nothing_but_time(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (environment, place) = (new_environment(), TestTables::on(engine).await);
    let database = open(place.url()).await;
    let (progress, shutdown) = run(&environment, &database);
    let first = make(&environment, "first").await;
    assert!(progress.reached(first, PATIENCE).await);
    // The tables are locked away, as by a migration that takes long.
    let mut held = database.begin().await.unwrap();
    held.query(&INSERT).bind(-1_i64).bind("held").execute().await.unwrap();
    if engine == Engine::Postgres {
        let lock = database::Statement::Same("LOCK TABLE thing IN ACCESS EXCLUSIVE MODE");
        held.query(&lock).execute().await.unwrap();
    }
    let second = make(&environment, "second").await;
    assert!(!progress.reached(second, TTL * 3).await);
    held.rollback().await.unwrap();
    assert!(progress.reached(second, PATIENCE).await);
    assert_eq!(notes(&database).await, ["first", "second"]);
    assert!(database.parked_keys(NAME).await.unwrap().is_empty());
    shutdown.cancel();
}
