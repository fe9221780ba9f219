//! The log goes back under a process that goes on: a failover lost its end. Nothing that was
//! remembered of it counts any more, and subscriptions stop until they are reset.

use std::sync::Arc;
use std::time::Duration;

use kernel::checkpoint::SubscriptionStore as _;
use kernel::event::{EventFilter, StreamName};
use kernel::execution::{Cause, Environment, ExecuteError};
use kernel::memory::MemoryStore;
use kernel::seams::{SystemClock, new_id};
use kernel::store::{EventStore as _, ReadError};
use kernel::subscription::{LogReader, SubscriptionState};
use serde_json::Value;
use uuid::Uuid;

use crate::lamp::{Command, House, LampDecider, WornOut, count, house_on, light};
use crate::running::{ENOUGH, names};
use crate::subscriptions::MemoryDatabase;

const NAMES: &str = "house.names.v1";

fn house() -> (Arc<MemoryStore>, House) {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    (Arc::clone(&store), house_on(store))
}

fn is_stopped(state: &SubscriptionState) -> bool {
    matches!(state, SubscriptionState::Stopped(_))
}

/// The data of the last event of a lamp.
async fn last(environment: &Environment, lamp: Uuid) -> Value {
    let stream = StreamName::of("lamp", lamp);
    let last = environment.store.read_last(&stream).await.unwrap().unwrap();
    serde_json::from_slice(&last.data).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_subscription_stops_though_its_checkpoint_went_back_with_the_log_until_it_is_reset() {
    let (store, House { environment, .. }) = house();
    let database = MemoryDatabase::new();
    let kept = light(&environment, new_id(), "Ada").await;
    let (progress, mut running) = names(&environment, &database);
    assert!(progress.reached(kept, ENOUGH).await);
    let before = database.content();
    let lost = light(&environment, new_id(), "Grace").await;
    assert!(progress.reached(lost, ENOUGH).await);
    // Both are in the same cluster.
    database.change(|content| *content = before);
    store.go_back_to(kept);
    let stopped = running.until(is_stopped).await;
    let SubscriptionState::Stopped(why) = stopped else { panic!("{stopped:?}") };
    assert!(why.contains("bascule projections rebuild house.names.v1"), "{why}");
    assert!(!progress.reached(kept, Duration::from_secs(60)).await, "what is shown is not known");
    // The log grows to where it was.
    assert_eq!(light(&environment, new_id(), "Eve").await, lost);
    assert!(!progress.reached(lost, Duration::from_secs(60)).await);
    assert!(database.status(NAMES).await.unwrap().unwrap().stopped);
    // Another replica, which remembers nothing, does not run it either.
    let (_, mut other) = names(&environment, &database);
    other.until(is_stopped).await;
    database.change(|content| content.rows.clear());
    database.restart(NAMES, store.log_id()).await.unwrap();
    assert!(progress.reached(lost, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada", "Eve"]);
}

#[tokio::test(start_paused = true)]
async fn who_learns_of_it_after_it_was_mended_goes_on() {
    let (store, House { environment, .. }) = house();
    let database = MemoryDatabase::new();
    let kept = light(&environment, new_id(), "Ada").await;
    let (progress, running) = names(&environment, &database);
    let lost = light(&environment, new_id(), "Grace").await;
    assert!(progress.reached(lost, ENOUGH).await);
    running.pause();
    store.go_back_to(kept);
    database.change(|content| content.rows.clear());
    database.restart(NAMES, store.log_id()).await.unwrap();
    let mut state = running.state.clone();
    let never = tokio::spawn(async move { state.wait_for(is_stopped).await.map(drop) });
    running.resume();
    let position = light(&environment, new_id(), "Eve").await;
    let reached = async {
        while database.content().rows != ["Ada", "Eve"] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(progress.reached(position, ENOUGH).await);
    };
    tokio::time::timeout(ENOUGH, reached).await.unwrap();
    assert!(!never.is_finished(), "it stopped what was mended");
}

#[tokio::test]
async fn a_command_is_decided_on_what_the_log_has_left() {
    let (store, House { environment, .. }) = house();
    let lamp = new_id();
    let kept = light(&environment, lamp, "Ada").await;
    light(&environment, lamp, "Grace").await;
    store.go_back_to(kept);
    // As many events as were lost: the revision alone does not tell.
    light(&environment, lamp, "Eve").await;
    count(&environment, lamp).await;
    assert_eq!(last(&environment, lamp).await["times"], 2);
    store.go_back_to(kept);
    count(&environment, lamp).await;
    assert_eq!(last(&environment, lamp).await["times"], 1);
}

#[tokio::test]
async fn what_was_decided_before_is_decided_again() {
    let (store, House { environment, .. }) = house();
    let lamp = new_id();
    let kept = light(&environment, lamp, "Ada").await;
    light(&environment, lamp, "Grace").await;
    let cause = Cause::request(new_id(), "test");
    let mut attempts = 0;
    let counted = environment.in_unit(&cause, |work| {
        attempts += 1;
        let (store, attempt) = (Arc::clone(&store), attempts);
        Box::pin(async move {
            let loaded = work.load::<LampDecider>(lamp).await?;
            work.decide(&loaded, &Command::Count, None).await?;
            if attempt == 1 {
                store.go_back_to(kept);
            }
            Ok::<_, ExecuteError<WornOut>>(())
        })
    });
    counted.await.unwrap();
    assert_eq!(attempts, 2);
    assert_eq!(last(&environment, lamp).await["times"], 1);
}

#[tokio::test]
async fn a_key_that_was_made_since_seals_nothing_more() {
    let (store, House { environment, vault }) = house();
    let lamp = new_id();
    light(&environment, lamp, "Ada").await;
    assert!(last(&environment, lamp).await["by"].to_string().contains("sealed"));
    // The vault goes back with the log it is kept beside: it does not have the key any more.
    kernel::keys::KeyVault::destroy(&*vault, &[lamp], &[]).await.unwrap();
    store.go_back_to(0);
    light(&environment, lamp, "Ada").await;
    assert!(!last(&environment, lamp).await["by"].to_string().contains("sealed"));
}

#[tokio::test]
async fn a_reader_ends_where_the_log_went_back() {
    let (store, House { environment, .. }) = house();
    for _ in 0..3 {
        light(&environment, new_id(), "Ada").await;
    }
    let mut reader = LogReader::new(store.clone(), 0, EventFilter::all());
    let page = reader.page(10).await.unwrap();
    assert_eq!(page.scanned_id, page.events.last().map(|last| last.id));
    let waiting = reader.wait();
    store.go_back_to(1);
    waiting.await;
    for _ in 0..2 {
        let ended = reader.page(10).await;
        assert!(matches!(ended, Err(ReadError::WentBack)), "{ended:?}");
    }
}
