use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kernel::codec::Envelope;
use kernel::event::RecordedEvent;
use kernel::execution::{Cause, Environment};
use kernel::reaction::{Reaction, ReactionError, ReactionKind, ReactionRunner};
use kernel::seams::new_id;
use kernel::subscription::Subscription;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lamp::{Command, LampDecider, LampLit, house};
use crate::subscriptions::MemoryDatabase;

kernel::event_set! {
    enum Trigger { Lit(LampLit) }
}

/// Counts lamps when they are lit; what it does depends on the name.
#[derive(Clone)]
struct Counting {
    environment: Environment,
    handled: Arc<Mutex<Vec<String>>>,
    changes: Arc<watch::Sender<u64>>,
    failures: Arc<Mutex<HashMap<String, u32>>>,
    gate: Arc<Semaphore>,
}

impl Counting {
    fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            handled: Arc::default(),
            changes: Arc::new(watch::channel(0).0),
            failures: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }

    async fn until_handled(&self, count: usize) -> Vec<String> {
        let mut changes = self.changes.subscribe();
        while self.handled().len() < count {
            changes.changed().await.unwrap();
        }
        self.handled()
    }

    fn start(&self, database: &MemoryDatabase) -> (CancellationToken, JoinHandle<()>) {
        let runner = ReactionRunner::new(self.clone(), self.environment.clone(), database.clone());
        let shutdown = CancellationToken::new();
        (shutdown.clone(), tokio::spawn(Box::new(runner).run(shutdown)))
    }
}

#[async_trait]
impl Reaction for Counting {
    type Event = Trigger;

    fn name(&self) -> &'static str {
        "house.counting"
    }

    fn kind(&self) -> ReactionKind {
        ReactionKind::Policy
    }

    async fn react(&self, event: &Envelope<Trigger>, cause: Cause) -> Result<(), ReactionError> {
        let Trigger::Lit(lit) = &event.event;
        let name = lit.by.known().cloned().unwrap_or_default();
        if name == "poison" {
            return Err(ReactionError::Permanent("never works".into()));
        }
        if name == "flaky" {
            let mut failures = self.failures.lock().unwrap();
            let failed = failures.entry(name.clone()).or_default();
            *failed += 1;
            if *failed <= 2 {
                return Err(ReactionError::Transient("not yet".into()));
            }
        }
        if name == "slow" {
            self.gate.acquire().await.unwrap().forget();
        }
        let id = event.recorded.stream.id().unwrap();
        self.environment.execute::<LampDecider>(id, Command::Count, &cause, None).await?;
        self.handled.lock().unwrap().push(name);
        self.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }
}

async fn light(environment: &Environment, id: Uuid, by: &'static str) -> u64 {
    let cause = Cause::request(new_id(), "test");
    let command = Command::Light { lamp_id: id, by };
    environment.execute::<LampDecider>(id, command, &cause, None).await.unwrap().position
}

async fn counted(environment: &Environment) -> Vec<Arc<RecordedEvent>> {
    let filter = kernel::event::EventFilter::families_of(["house.LampCounted.v1"]);
    environment.store.read_log(0, &filter, 100).await.unwrap().events
}

#[tokio::test]
async fn events_of_one_key_are_handled_in_order_and_other_keys_do_not_wait() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let (one, other) = (new_id(), new_id());
    light(&environment, one, "slow").await;
    light(&environment, one, "after slow").await;
    light(&environment, other, "free").await;
    let _running = counting.start(&database);
    assert_eq!(counting.until_handled(1).await, ["free"]);
    counting.gate.add_permits(1);
    assert_eq!(counting.until_handled(3).await, ["free", "slow", "after slow"]);
}

#[tokio::test]
async fn the_checkpoint_stays_at_the_lowest_unfinished_and_a_restart_changes_nothing_twice() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let unfinished = light(&environment, new_id(), "slow").await;
    light(&environment, new_id(), "free").await;
    let (shutdown, task) = counting.start(&database);
    counting.until_handled(1).await;
    shutdown.cancel();
    task.await.unwrap();
    let stored = database.content().checkpoints.get("house.counting").map_or(0, |at| at.position);
    assert!(stored < unfinished, "{stored}");

    counting.gate.add_permits(1);
    let _running = counting.start(&database);
    // "free" is handled again, and recognised.
    let mut handled = counting.until_handled(3).await;
    handled.sort();
    assert_eq!(handled, ["free", "free", "slow"]);
    assert_eq!(counted(&environment).await.len(), 2);
    let head = environment.store.head().await.unwrap();
    database.until(|content| content.checkpoints["house.counting"].position == head).await;
}

#[tokio::test]
async fn what_is_out_of_reach_is_tried_again_and_what_is_refused_is_parked() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let bad = new_id();
    let poisoned = light(&environment, bad, "poison").await;
    let behind = light(&environment, bad, "waits").await;
    light(&environment, new_id(), "flaky").await;
    let _running = counting.start(&database);
    assert_eq!(counting.until_handled(1).await, ["flaky"]);
    let head = environment.store.head().await.unwrap();
    let content = database
        .until(|content| {
            content.checkpoints.get("house.counting").is_some_and(|at| at.position == head)
        })
        .await;
    assert_eq!(content.parked.keys().copied().collect::<Vec<_>>(), [poisoned, behind]);
    assert_eq!(content.parked[&poisoned].error, "never works");

    // Events that come later wait too, also after a restart.
    let later = light(&environment, bad, "waits as well").await;
    let content = database.until(|content| content.parked.len() == 3).await;
    assert!(content.parked.contains_key(&later));
    assert_eq!(counting.handled(), ["flaky"]);
}
