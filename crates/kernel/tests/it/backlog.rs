//! What waits for its turn, and what waits for something else.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use kernel::backlog::Backlog;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::{Codec, Envelope};
use kernel::execution::{Cause, Environment};
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::memory::MemoryStore;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, ReactionRunner};
use kernel::seams::{Clock, new_id};
use kernel::subscription::{Subscription as _, SubscriptionState};
use tokio::sync::{Semaphore, watch};

use crate::lamp::{LampLit, light, replica};
use crate::running::{ENOUGH, Running, run};
use crate::subscriptions::MemoryDatabase;

/// How many events a policy handles at once.
const WINDOW: usize = 64;
const SWITCHING: &str = "house.switching";

kernel::event_set! {
    enum Trigger { Lit(LampLit) }
}

/// A clock that the test sets.
struct SetClock(Mutex<DateTime<Utc>>);

impl SetClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap())))
    }

    fn advance(&self, seconds: i64) -> DateTime<Utc> {
        let mut now = self.0.lock().unwrap();
        *now += TimeDelta::seconds(seconds);
        *now
    }
}

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

fn environment(clock: &Arc<SetClock>) -> Environment {
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let codec = Codec::new(Arc::new(MemoryKeyVault::default()));
    Environment::new(store, codec, clock.clone(), SecretKey::generate().unwrap())
}

/// What it does depends on the name: "slow" waits for the gate, "away" fails until it opens, "poison"
/// never works.
#[derive(Clone)]
struct Switching {
    gate: Arc<Semaphore>,
    /// Number of attempts.
    attempts: Arc<watch::Sender<usize>>,
}

impl Default for Switching {
    fn default() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), attempts: Arc::default() }
    }
}

impl Switching {
    fn start(&self, environment: &Environment, database: &MemoryDatabase) -> (Backlog, Running) {
        let runner = ReactionRunner::new(self.clone(), environment.clone(), database.clone());
        (runner.backlog().expect("it is a policy"), run(runner))
    }
}

impl Reaction for Switching {
    type Event = Trigger;

    const NAME: &'static str = SWITCHING;
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(&self, event: &Envelope<Trigger>, _: Cause) -> Result<(), ReactionError> {
        let Trigger::Lit(lit) = &event.event;
        self.attempts.send_modify(|attempts| *attempts += 1);
        match lit.by.known().map(String::as_str) {
            Some("slow") => drop(self.gate.acquire().await.unwrap()),
            Some("away") if self.gate.available_permits() == 0 => {
                return Err(ReactionError::Transient("out of reach".into()));
            }
            Some("poison") => return Err(ReactionError::Permanent("never works".into())),
            _ => {}
        }
        Ok(())
    }
}

async fn light_many(environment: &Environment, count: usize, by: &'static str) {
    for _ in 0..count {
        light(environment, new_id(), by).await;
    }
}

async fn until(backlog: &Backlog, waiting_since: Option<DateTime<Utc>>) {
    let looking = async {
        while backlog.waiting_since() != waiting_since {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let reached = tokio::time::timeout(ENOUGH, looking).await;
    assert!(reached.is_ok(), "{:?} is not {waiting_since:?}", backlog.waiting_since());
}

async fn running(running: &mut Running) {
    running.until(|state| *state == SubscriptionState::Running).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_behind_as_many_as_are_handled_at_once_waits_for_its_turn() {
    let clock = SetClock::new();
    let (environment, database) = (environment(&clock), MemoryDatabase::new());
    let policy = Switching::default();
    let (backlog, mut at_work) = policy.start(&environment, &database);
    running(&mut at_work).await;
    light_many(&environment, WINDOW, "slow").await;
    // However long these take: they have their turn.
    clock.advance(60);
    assert_eq!(backlog.waiting_since(), None);
    let first = clock.advance(1);
    light_many(&environment, 1, "free").await;
    clock.advance(1);
    light_many(&environment, 300, "free").await;
    until(&backlog, Some(first)).await;
    policy.gate.add_permits(1);
    until(&backlog, None).await;
    let head = environment.store.head().await.unwrap();
    database.until(|content| content.position(SWITCHING) == head).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_others_that_are_tried_again_does_not_wait_for_its_turn() {
    let clock = SetClock::new();
    let (environment, database) = (environment(&clock), MemoryDatabase::new());
    let policy = Switching::default();
    let (backlog, mut at_work) = policy.start(&environment, &database);
    running(&mut at_work).await;
    light_many(&environment, WINDOW + 10, "away").await;
    clock.advance(60);
    // Each of those in the window is tried again and again.
    policy.attempts.subscribe().wait_for(|attempts| *attempts > 4 * WINDOW).await.unwrap();
    until(&backlog, None).await;
    policy.gate.add_permits(1);
    let head = environment.store.head().await.unwrap();
    database.until(|content| content.position(SWITCHING) == head).await;
    assert_eq!(backlog.waiting_since(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_or_waits_behind_it_does_not_wait_for_its_turn() {
    let clock = SetClock::new();
    let (environment, database) = (environment(&clock), MemoryDatabase::new());
    let (backlog, _at_work) = Switching::default().start(&environment, &database);
    let lamp = new_id();
    light(&environment, lamp, "poison").await;
    for _ in 0..2 * WINDOW {
        light(&environment, lamp, "free").await;
    }
    database.until(|content| content.parked(SWITCHING).len() == 2 * WINDOW + 1).await;
    clock.advance(60);
    until(&backlog, None).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_left_over_is_given_time_from_when_it_is_taken_up() {
    let clock = SetClock::new();
    let (environment, database) = (environment(&clock), MemoryDatabase::new());
    light_many(&environment, WINDOW + 1, "slow").await;
    let begun = clock.advance(3600);
    let (backlog, _at_work) = Switching::default().start(&environment, &database);
    until(&backlog, Some(begun)).await;
}

#[tokio::test(start_paused = true)]
async fn a_standby_knows_what_waits_at_the_owner_and_forgets_it_with_the_owner() {
    let clock = SetClock::new();
    let (environment, database) = (environment(&clock), MemoryDatabase::new());
    let policy = Switching::default();
    let (_, mut owner) = policy.start(&replica(&environment, "one"), &database);
    running(&mut owner).await;
    let (backlog, mut standby) =
        Switching::default().start(&replica(&environment, "two"), &database);
    standby.until(|state| matches!(state, SubscriptionState::Standby { .. })).await;
    light_many(&environment, WINDOW + 1, "slow").await;
    let waiting_since = clock.now();
    clock.advance(2);
    until(&backlog, Some(waiting_since)).await;
    let told = database.status(SWITCHING).await.unwrap().unwrap().waiting_since;
    assert_eq!(told, Some(waiting_since));
    policy.gate.add_permits(1);
    until(&backlog, None).await;
    // It goes on by itself once the owner is gone, and has nothing left to do.
    owner.vanish().await;
    running(&mut standby).await;
    let told = |status: Option<_>| {
        status.map(|one: kernel::checkpoint::SubscriptionStatus| one.waiting_since)
    };
    assert_eq!(told(database.status(SWITCHING).await.unwrap()), Some(None));
}
