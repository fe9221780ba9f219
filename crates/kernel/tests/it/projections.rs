use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use kernel::codec::Envelope;
use kernel::execution::{Cause, Environment};
use kernel::projection::{Progress, Projection, ProjectionRunner};
use kernel::seams::new_id;
use kernel::store::BoxError;
use kernel::subscription::{Subscription, SubscriptionState};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lamp::{Command, LampDecider, LampEvent, house, house_on, restored};
use crate::subscriptions::{Content, DISK_FULL, MemoryDatabase};

#[derive(Default)]
struct Names {
    /// How often the disk is full before it is not.
    full: AtomicU32,
}

#[async_trait]
impl Projection for Names {
    type Store = MemoryDatabase;
    type Event = LampEvent;

    fn name(&self) -> &'static str {
        "house.names"
    }

    fn version(&self) -> u32 {
        1
    }

    async fn project(
        &self,
        transaction: &mut Content,
        event: &Envelope<LampEvent>,
    ) -> Result<(), BoxError> {
        let LampEvent::Lit(lit) = &event.event else { return Ok(()) };
        let name = lit.by.known().cloned().unwrap_or_default();
        let full = self.full.try_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if full.is_ok() {
            return Err(DISK_FULL.into());
        }
        if name == "poison" {
            return Err("cannot be projected".into());
        }
        transaction.rows.push(name);
        Ok(())
    }
}

const ENOUGH: Duration = Duration::from_secs(30);

fn start(
    environment: &Environment,
    database: &MemoryDatabase,
) -> (Progress, CancellationToken, JoinHandle<()>) {
    let (runner, progress) =
        ProjectionRunner::new(Names::default(), environment.clone(), database.clone());
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(Box::new(runner).run(shutdown.clone()));
    (progress, shutdown, task)
}

async fn light(environment: &Environment, id: Uuid, by: &'static str) -> u64 {
    let cause = Cause::request(new_id(), "test");
    let command = Command::Light { lamp_id: id, by };
    environment.execute::<LampDecider>(id, command, &cause, None).await.unwrap().position
}

#[tokio::test]
async fn rows_and_checkpoint_move_together_and_go_on_after_a_restart() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let position = light(&environment, new_id(), "Ada").await;
    let (progress, shutdown, task) = start(&environment, &database);
    assert!(progress.reached(position, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada"]);
    shutdown.cancel();
    task.await.unwrap();

    let position = light(&environment, new_id(), "Grace").await;
    let (progress, shutdown, task) = start(&environment, &database);
    assert!(progress.reached(position, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada", "Grace"]);
    assert_eq!(database.content().checkpoints["house.names.v1"].position, position);
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_poisoned_event_is_parked_its_stream_waits_and_the_others_go_on() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (bad, good) = (new_id(), new_id());
    light(&environment, good, "Ada").await;
    let poisoned = light(&environment, bad, "poison").await;
    let behind = light(&environment, bad, "waits").await;
    let last = light(&environment, good, "Grace").await;
    let (progress, ..) = start(&environment, &database);
    assert!(progress.reached(last, ENOUGH).await);
    let content = database.content();
    assert_eq!(content.rows, ["Ada", "Grace"]);
    assert_eq!(content.parked.keys().copied().collect::<Vec<_>>(), [poisoned, behind]);
    assert_eq!(content.parked[&poisoned].error, "cannot be projected");
    assert_eq!((content.parked[&poisoned].attempts, content.parked[&behind].attempts), (5, 0));
}

#[tokio::test]
async fn a_checkpoint_of_another_log_stops_the_subscription() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let position = light(&environment, new_id(), "Ada").await;
    let (progress, shutdown, task) = start(&environment, &database);
    assert!(progress.reached(position, ENOUGH).await);
    shutdown.cancel();
    task.await.unwrap();

    let other = house().environment;
    light(&other, new_id(), "Eve").await;
    let (_, _, task) = start(&other, &database);
    // It ends by itself.
    task.await.unwrap();
    assert_eq!(database.content().rows, ["Ada"]);
}

#[tokio::test]
async fn an_idle_projection_moves_on_though_nothing_concerns_it() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let id = new_id();
    let cause = Cause::request(new_id(), "test");
    let counted =
        environment.execute::<LampDecider>(id, Command::Count, &cause, None).await.unwrap();
    let (progress, ..) = start(&environment, &database);
    assert!(progress.reached(counted.position, ENOUGH).await);
    assert!(!progress.reached(counted.position + 1, Duration::from_millis(1)).await);
}

#[tokio::test]
async fn a_store_restored_to_an_earlier_state_stops_the_subscription_though_it_has_grown_since() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let lamp = new_id();
    light(&environment, lamp, "Ada").await;
    let position = light(&environment, new_id(), "Grace").await;
    let (progress, shutdown, task) = start(&environment, &database);
    assert!(progress.reached(position, ENOUGH).await);
    shutdown.cancel();
    task.await.unwrap();

    // The backup had the first event only; since then others were written over the second.
    let environment = house_on(Arc::new(restored(&environment, 1).await)).environment;
    for _ in 0..3 {
        light(&environment, new_id(), "Eve").await;
    }
    let (runner, _) =
        ProjectionRunner::new(Names::default(), environment.clone(), database.clone());
    let state = runner.state();
    // It ends by itself.
    Box::new(runner).run(CancellationToken::new()).await;
    let SubscriptionState::Stopped(why) = state.borrow().clone() else { panic!("{state:?}") };
    assert!(why.contains("remove this module's database"), "{why}");
    assert_eq!(database.content().rows, ["Ada", "Grace"]);
}

#[tokio::test]
async fn a_full_disk_parks_nothing_however_long_it_lasts() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let position = light(&environment, new_id(), "Ada").await;
    let names = Names { full: AtomicU32::new(12) };
    let (runner, progress) = ProjectionRunner::new(names, environment.clone(), database.clone());
    let mut state = runner.state();
    tokio::spawn(Box::new(runner).run(CancellationToken::new()));
    let interrupted = state
        .wait_for(|state| matches!(state, SubscriptionState::Interrupted(_)))
        .await
        .unwrap()
        .clone();
    assert!(format!("{interrupted:?}").contains(DISK_FULL), "{interrupted:?}");
    assert!(progress.reached(position, ENOUGH).await);
    state.wait_for(|state| *state == SubscriptionState::Running).await.unwrap();
    assert_eq!(database.content().rows, ["Ada"]);
    assert!(database.content().parked.is_empty());
}
