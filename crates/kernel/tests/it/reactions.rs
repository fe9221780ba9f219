//! Policies and reactors: in order per key, the checkpoint at the lowest unfinished event.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::Envelope;
use kernel::event::RecordedEvent;
use kernel::execution::{Cause, Environment};
use kernel::projection::Patience;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, ReactionRunner};
use kernel::seams::new_id;
use kernel::subscription::SubscriptionState;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::lamp::{
    Command, LampCounted, LampDecider, LampLit, TTL, happens, house, light, replica,
};
use crate::names::LampLitBrightly;
use crate::running::{ENOUGH, Running, run};
use crate::subscriptions::MemoryDatabase;

const COUNTING: &str = "house.counting";

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
    /// How often something came to the gate.
    at_gate: Arc<watch::Sender<u64>>,
    healed: Arc<AtomicBool>,
}

impl Counting {
    fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            handled: Arc::default(),
            changes: Arc::new(watch::channel(0).0),
            failures: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            at_gate: Arc::new(watch::channel(0).0),
            healed: Arc::default(),
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

    async fn gate_reached(&self) {
        self.at_gate.subscribe().wait_for(|at_gate| *at_gate > 0).await.unwrap();
    }

    fn start(&self, database: &MemoryDatabase) -> Running {
        self.start_in(&self.environment, database)
    }

    fn start_in(&self, environment: &Environment, database: &MemoryDatabase) -> Running {
        run(ReactionRunner::new(self.clone(), environment.clone(), database.clone()))
    }
}

impl Reaction for Counting {
    type Event = Trigger;

    const NAME: &'static str = COUNTING;
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(&self, event: &Envelope<Trigger>, cause: Cause) -> Result<(), ReactionError> {
        let Trigger::Lit(lit) = &event.event;
        let name = lit.by.known().cloned().unwrap_or_default();
        if name == "poison" && !self.healed.load(Ordering::SeqCst) {
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
            self.at_gate.send_modify(|at_gate| *at_gate += 1);
            self.gate.acquire().await.unwrap().forget();
        }
        let id = event.recorded.stream.id().unwrap();
        self.environment.execute::<LampDecider>(id, Command::Count, &cause, None).await?;
        self.handled.lock().unwrap().push(name);
        self.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }
}

/// Counts two lamps whenever another one is lit.
struct CountingTwo {
    environment: Environment,
    lamps: [Uuid; 2],
}

impl Reaction for CountingTwo {
    type Event = Trigger;

    const NAME: &'static str = "house.counting-two";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(&self, _: &Envelope<Trigger>, cause: Cause) -> Result<(), ReactionError> {
        for id in self.lamps {
            self.environment.execute::<LampDecider>(id, Command::Count, &cause, None).await?;
        }
        Ok(())
    }
}

kernel::event_set! {
    enum Count { Counted(LampCounted) }
}

/// Lights one lamp for each count of the others.
struct Tallying {
    environment: Environment,
    lamp: Uuid,
}

impl Reaction for Tallying {
    type Event = Count;

    const NAME: &'static str = "house.tallying";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(&self, _: &Envelope<Count>, cause: Cause) -> Result<(), ReactionError> {
        let light = Command::Light { lamp_id: self.lamp, by: "tally" };
        self.environment.execute::<LampDecider>(self.lamp, light, &cause, None).await?;
        Ok(())
    }
}

async fn counted(environment: &Environment) -> Vec<Arc<RecordedEvent>> {
    let filter = kernel::event::EventFilter::families_of(["house.LampCounted.v1"]);
    environment.store.read_log(0, &filter, 100).await.unwrap().events
}

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
async fn the_checkpoint_stays_at_the_lowest_unfinished_and_a_restart_changes_nothing_twice() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let unfinished = light(&environment, new_id(), "slow").await;
    light(&environment, new_id(), "free").await;
    let running = counting.start(&database);
    counting.until_handled(1).await;
    running.stop().await;
    let stored = database.content().position(COUNTING);
    assert!(stored < unfinished, "{stored}");

    counting.gate.add_permits(1);
    let _running = counting.start(&database);
    // "free" is handled again, and recognised.
    let mut handled = counting.until_handled(3).await;
    handled.sort();
    assert_eq!(handled, ["free", "free", "slow"]);
    assert_eq!(counted(&environment).await.len(), 2);
    let head = environment.store.head().await.unwrap();
    database.until(|content| content.position(COUNTING) == head).await;
}

#[tokio::test(start_paused = true)]
async fn a_reaction_tells_how_far_it_has_come() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let free = light(&environment, new_id(), "free").await;
    let slow = light(&environment, new_id(), "slow").await;
    let running = counting.start(&database);
    assert!(running.progress.reached(free, ENOUGH).await);
    assert_eq!(counting.handled(), ["free"]);
    counting.gate_reached().await;
    assert!(!running.progress.reached(slow, Patience::Reaction).await, "it is under way");
    counting.gate.add_permits(1);
    assert!(running.progress.reached(slow, ENOUGH).await);
    assert_eq!(counting.handled(), ["free", "slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_commands_several_aggregates_for_one_event_and_repeats_none_of_it() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let lamps = [new_id(), new_id()];
    let policy = CountingTwo { environment: environment.clone(), lamps };
    let lit = light(&environment, new_id(), "Ada").await;
    let running = run(ReactionRunner::new(policy, environment.clone(), database.clone()));
    assert!(running.progress.reached(lit, ENOUGH).await);
    let events = counted(&environment).await;
    let streams: Vec<_> = events.iter().filter_map(|event| event.stream.id()).collect();
    assert_eq!(streams, lamps, "both were commanded");
    assert_ne!(events[0].id, events[1].id);

    // The same event again: handled from the start, and recognised in both streams.
    let counted_to = environment.store.head().await.unwrap();
    assert!(running.progress.reached(counted_to, ENOUGH).await);
    database.until(|content| content.position(CountingTwo::NAME) == counted_to).await;
    running.stop().await;
    database.restart(CountingTwo::NAME, environment.store.log_id()).await.unwrap();
    let policy = CountingTwo { environment: environment.clone(), lamps };
    let running = run(ReactionRunner::new(policy, environment.clone(), database.clone()));
    assert!(running.progress.reached(counted_to, ENOUGH).await);
    assert_eq!(environment.store.head().await.unwrap(), counted_to);
    running.stop().await;

    // What reacts to both counts takes neither for a repetition of the other.
    let tally = new_id();
    let policy = Tallying { environment: environment.clone(), lamp: tally };
    let running = run(ReactionRunner::new(policy, environment.clone(), database));
    assert!(running.progress.reached(counted_to, ENOUGH).await);
    assert_eq!(environment.load::<LampDecider>(tally).await.unwrap().state.times, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_reach_is_tried_again_and_what_is_refused_is_parked() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let bad = new_id();
    let poisoned = light(&environment, bad, "poison").await;
    let behind = light(&environment, bad, "waits").await;
    light(&environment, new_id(), "flaky").await;
    let running = counting.start(&database);
    assert_eq!(counting.until_handled(1).await, ["flaky"]);
    let head = environment.store.head().await.unwrap();
    let content = database.until(|content| content.position(COUNTING) == head).await;
    let parked = content.parked(COUNTING);
    let [first, second] = &parked[..] else { panic!("{parked:?}") };
    assert_eq!((first.position, second.position), (poisoned, behind));
    assert_eq!((&*first.error, first.attempts, second.attempts), ("never works", 1, 0));

    // Events that come later wait too, also after a restart.
    let later = light(&environment, bad, "waits as well").await;
    let content = database.until(|content| content.parked(COUNTING).len() == 3).await;
    assert_eq!(content.parked(COUNTING)[2].position, later);
    assert_eq!(counting.handled(), ["flaky"]);
    running.stop().await;
    let last = light(&environment, bad, "waits after the restart").await;
    let _running = counting.start(&database);
    let content = database.until(|content| content.parked(COUNTING).len() == 4).await;
    assert_eq!(content.parked(COUNTING)[3].position, last);
    assert_eq!(counting.handled(), ["flaky"]);
}

#[tokio::test(start_paused = true)]
async fn parked_events_are_handled_in_order_when_somebody_asks() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let bad = new_id();
    let poisoned = light(&environment, bad, "poison").await;
    light(&environment, bad, "first").await;
    light(&environment, bad, "slow").await;
    light(&environment, bad, "third").await;
    let _running = counting.start(&database);
    database.until(|content| content.parked(COUNTING).len() == 4).await;

    // It fails again, and says so.
    assert!(database.request_replay(COUNTING, poisoned).await.unwrap());
    database.until(|content| content.parked(COUNTING)[0].attempts == 2).await;
    assert!(counting.handled().is_empty());

    counting.healed.store(true, Ordering::SeqCst);
    assert!(database.request_replay(COUNTING, poisoned).await.unwrap());
    assert_eq!(counting.until_handled(2).await, ["poison", "first"]);
    // What comes while a replay is under way waits its turn.
    let while_replaying = light(&environment, bad, "fourth").await;
    database
        .until(|content| {
            content.parked(COUNTING).last().is_some_and(|last| last.position == while_replaying)
        })
        .await;
    counting.gate.add_permits(1);
    let handled = counting.until_handled(5).await;
    assert_eq!(handled, ["poison", "first", "slow", "third", "fourth"]);
    database.until(|content| content.parked(COUNTING).is_empty()).await;
    // The key is free again.
    light(&environment, bad, "fifth").await;
    assert_eq!(counting.until_handled(6).await.last().unwrap(), "fifth");
    assert!(database.content().parked(COUNTING).is_empty());
}

#[tokio::test(start_paused = true)]
async fn discarding_a_parked_event_lets_those_behind_it_go_on() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let bad = new_id();
    let poisoned = light(&environment, bad, "poison").await;
    light(&environment, bad, "first").await;
    light(&environment, bad, "second").await;
    let _running = counting.start(&database);
    database.until(|content| content.parked(COUNTING).len() == 3).await;
    assert!(database.discard(COUNTING, poisoned).await.unwrap());
    assert_eq!(counting.until_handled(2).await, ["first", "second"]);
    database.until(|content| content.parked(COUNTING).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn beginning_again_from_the_start_changes_nothing() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let lamp = new_id();
    light(&environment, lamp, "Ada").await;
    light(&environment, lamp, "Grace").await;
    let _running = counting.start(&database);
    counting.until_handled(2).await;
    database.until(|content| content.position(COUNTING) == 4).await;
    database.restart(COUNTING, environment.store.log_id()).await.unwrap();
    assert_eq!(counting.until_handled(4).await, ["Ada", "Grace", "Ada", "Grace"]);
    assert_eq!(counted(&environment).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_one_reacts_and_the_other_takes_over() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (one, two) = (Counting::new(&environment), Counting::new(&environment));
    let mut first = one.start_in(&replica(&environment, "one"), &database);
    first.until(|state| *state == SubscriptionState::Running).await;
    let mut second = two.start_in(&replica(&environment, "two"), &database);
    second.until(|state| matches!(state, SubscriptionState::Standby { .. })).await;
    light(&environment, new_id(), "Ada").await;
    assert_eq!(one.until_handled(1).await, ["Ada"]);
    database.until(|content| content.position(COUNTING) == 2).await;
    first.vanish().await;
    light(&environment, new_id(), "Grace").await;
    assert_eq!(two.until_handled(1).await, ["Grace"]);
    assert_eq!(one.handled(), ["Ada"]);
}

#[tokio::test(start_paused = true)]
async fn who_was_paused_past_its_lease_stops_and_its_late_reactions_are_recognised() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (one, two) = (Counting::new(&environment), Counting::new(&environment));
    let mut first = one.start_in(&replica(&environment, "one"), &database);
    first.until(|state| *state == SubscriptionState::Running).await;
    let mut second = two.start_in(&replica(&environment, "two"), &database);
    second.until(|state| matches!(state, SubscriptionState::Standby { .. })).await;
    light(&environment, new_id(), "slow").await;
    one.gate_reached().await;
    first.pause();
    two.gate.add_permits(1);
    assert_eq!(two.until_handled(1).await, ["slow"]);
    // The late one gets through just before it hears that it lost the lease.
    one.gate.add_permits(1);
    assert_eq!(one.until_handled(1).await, ["slow"]);
    first.resume();
    first.until(|state| matches!(state, SubscriptionState::Standby { .. })).await;
    assert_eq!(counted(&environment).await.len(), 1);
    light(&environment, new_id(), "Ada").await;
    assert_eq!(two.until_handled(2).await, ["slow", "Ada"]);
    assert_eq!(one.handled().len(), 1);
    let head = environment.store.head().await.unwrap();
    let content = database.until(|content| content.position(COUNTING) == head).await;
    assert!(content.owner(COUNTING).unwrap().starts_with("two"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_what_is_under_way() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let mut running = counting.start(&database);
    running.until(|state| *state == SubscriptionState::Running).await;
    light(&environment, new_id(), "slow").await;
    counting.gate_reached().await;
    // Somebody else has it from now on.
    database.change(|content| content.take_over(COUNTING));
    running.until(|state| matches!(state, SubscriptionState::Standby { .. })).await;
    counting.gate.add_permits(1);
    light(&environment, new_id(), "Ada").await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(counting.handled().is_empty(), "{:?}", counting.handled());
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_for_less_than_the_lease_ends_nothing() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let mut running = counting.start(&database);
    running.until(|state| *state == SubscriptionState::Running).await;
    light(&environment, new_id(), "slow").await;
    counting.gate_reached().await;
    database.set_away(true);
    tokio::time::sleep(TTL / 2).await;
    assert_eq!(*running.state.borrow(), SubscriptionState::Running);
    database.set_away(false);
    counting.gate.add_permits(1);
    assert_eq!(counting.until_handled(1).await, ["slow"]);

    // For longer, somebody else may have it by now.
    light(&environment, new_id(), "slow").await;
    counting.at_gate.subscribe().wait_for(|at_gate| *at_gate == 2).await.unwrap();
    database.set_away(true);
    running.until(|state| matches!(state, SubscriptionState::Interrupted(_))).await;
    database.set_away(false);
    running.until(|state| *state == SubscriptionState::Running).await;
    counting.at_gate.subscribe().wait_for(|at_gate| *at_gate == 3).await.unwrap();
    counting.gate.add_permits(1);
    assert_eq!(counting.until_handled(2).await, ["slow", "slow"]);
}

/// What the next release reads besides.
struct NextRelease(Counting);

kernel::event_set! {
    enum TriggerOfNextRelease { Lit(LampLitBrightly) }
}

impl Reaction for NextRelease {
    type Event = TriggerOfNextRelease;

    const NAME: &'static str = COUNTING;
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(
        &self,
        event: &Envelope<TriggerOfNextRelease>,
        _: Cause,
    ) -> Result<(), ReactionError> {
        let TriggerOfNextRelease::Lit(lit) = &event.event;
        self.0.handled.lock().unwrap().push(lit.name.clone());
        self.0.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_older_release_cannot_read_waits_for_a_newer_one() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let old = Counting::new(&environment);
    light(&environment, new_id(), "Ada").await;
    let grace = json!({"name": "Grace"});
    let unknown = happens(&environment, new_id(), "house.LampLit.v2", grace).await;
    let mut older = old.start(&database);
    older.until(|state| matches!(state, SubscriptionState::Incapable { .. })).await;
    let content = database.content();
    assert!(content.position(COUNTING) < unknown && content.owner(COUNTING).is_none());
    assert!(content.parked(COUNTING).is_empty());

    let new = Counting::new(&environment);
    let newer =
        run(ReactionRunner::new(NextRelease(new.clone()), environment.clone(), database.clone()));
    while !new.handled().contains(&"Grace".to_owned()) {
        new.until_handled(new.handled().len() + 1).await;
    }
    older.until(|state| matches!(state, SubscriptionState::Standby { .. })).await;
    newer.stop().await;
    older.until(|state| *state == SubscriptionState::Running).await;
    light(&environment, new_id(), "Mary").await;
    while !old.handled().contains(&"Mary".to_owned()) {
        old.until_handled(old.handled().len() + 1).await;
    }
    assert!(!old.handled().contains(&"Grace".to_owned()));
}

/// A stream that has to be loaded for the reaction is of a newer release, too.
#[tokio::test(start_paused = true)]
async fn a_reaction_that_meets_a_newer_event_in_its_own_stream_gives_the_lease_up() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let counting = Counting::new(&environment);
    let lamp = new_id();
    let trigger = light(&environment, lamp, "Ada").await;
    happens(&environment, lamp, "house.LampCounted.v2", json!({})).await;
    let mut running = counting.start(&database);
    let state = running.until(|state| matches!(state, SubscriptionState::Incapable { .. })).await;
    let event_type = "house.LampLit.v1".to_owned();
    assert_eq!(state, SubscriptionState::Incapable { event_type, position: trigger });
    assert!(database.content().parked(COUNTING).is_empty());
}
