//! Parked events are tried again when somebody asks, in order per key; discarding one lets those
//! behind it go on.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use kernel::checkpoint::SubscriptionStore as _;
use kernel::execution::Environment;
use kernel::projection::Progress;
use kernel::seams::new_id;
use uuid::Uuid;

use crate::lamp::{house, light};
use crate::names::Names;
use crate::running::{ENOUGH, Running, project};
use crate::subscriptions::MemoryDatabase;

const NAMES: &str = "house.names.v1";

/// A read model with a poisoned event, and two that wait behind it.
struct Poisoned {
    environment: Environment,
    database: MemoryDatabase,
    progress: Progress,
    _running: Running,
    /// How often the event still fails.
    fails: Arc<AtomicU32>,
    lamp: Uuid,
    poisoned: u64,
}

impl Poisoned {
    async fn new() -> Self {
        let (environment, database) = (house().environment, MemoryDatabase::new());
        let lamp = new_id();
        let poisoned = light(&environment, lamp, "poison").await;
        light(&environment, lamp, "first").await;
        let last = light(&environment, lamp, "second").await;
        let fails = Arc::new(AtomicU32::new(u32::MAX));
        let names = Names::<1> { poisoned: Some(Arc::clone(&fails)), ..Names::default() };
        let (progress, running) = project(names, &environment, &database);
        assert!(progress.reached(last, ENOUGH).await);
        assert_eq!(database.content().parked(NAMES).len(), 3);
        let _running = running;
        Self { environment, database, progress, _running, fails, lamp, poisoned }
    }

    async fn until_free(&self) -> Vec<String> {
        self.database.until(|content| content.parked(NAMES).is_empty()).await.rows
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_handles_the_event_and_those_behind_it_in_order() {
    let house = Poisoned::new().await;
    house.fails.store(0, Relaxed);
    assert!(house.database.request_replay(NAMES, house.poisoned).await.unwrap());
    assert_eq!(house.until_free().await, ["poison", "first", "second"]);
    // The key is free: what comes is handled at once.
    let position = light(&house.environment, house.lamp, "third").await;
    assert!(house.progress.reached(position, ENOUGH).await);
    house.database.until(|content| content.rows.len() == 4).await;
    assert!(house.database.content().parked(NAMES).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_fails_leaves_everything_parked_and_says_so() {
    let house = Poisoned::new().await;
    let before = house.database.content().parked(NAMES);
    assert!(house.database.request_replay(NAMES, house.poisoned).await.unwrap());
    let content = house.database.until(|content| content.parked(NAMES)[0].attempts > 5).await;
    let parked = content.parked(NAMES);
    assert_eq!((parked[0].attempts, parked.len()), (6, 3));
    assert!(!parked[0].replay_requested);
    assert_eq!(parked[0].parked_at, before[0].parked_at);
    assert!(content.rows.is_empty());
    // Nobody asked again.
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(house.database.content().parked(NAMES)[0].attempts, 6);
}

#[tokio::test(start_paused = true)]
async fn asking_for_a_waiting_event_begins_with_the_first_of_its_key() {
    let house = Poisoned::new().await;
    house.fails.store(0, Relaxed);
    let waiting = house.database.content().parked(NAMES)[2].position;
    assert!(house.database.request_replay(NAMES, waiting).await.unwrap());
    assert_eq!(house.until_free().await, ["poison", "first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn discarding_an_event_lets_those_behind_it_go_on() {
    let house = Poisoned::new().await;
    assert!(house.database.discard(NAMES, house.poisoned).await.unwrap());
    assert!(!house.database.discard(NAMES, house.poisoned).await.unwrap());
    assert_eq!(house.until_free().await, ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn discarding_the_only_event_frees_its_key() {
    let house = Poisoned::new().await;
    for event in house.database.content().parked(NAMES) {
        assert!(house.database.discard(NAMES, event.position).await.unwrap());
    }
    // Not parked any more, so the next look frees the key; what comes before that is tried then.
    let position = light(&house.environment, house.lamp, "third").await;
    assert!(house.progress.reached(position, ENOUGH).await);
    assert_eq!(house.until_free().await, ["third"]);
}
