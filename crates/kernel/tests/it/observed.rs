//! What the metrics tell of subscriptions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use kernel::codec::Codec;
use kernel::execution::Environment;
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::memory::MemoryStore;
use kernel::seams::{Clock, new_id};
use kernel::subscription::SubscriptionState;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use tokio::time::Instant;

use crate::lamp::{count, light, replica};
use crate::running::{ENOUGH, names};
use crate::subscriptions::MemoryDatabase;

/// The last value of every gauge and counter, by name; of outages by name and label.
#[derive(Debug, Clone, Default)]
struct Values(Arc<Mutex<BTreeMap<String, f64>>>);

struct Value {
    values: Values,
    name: String,
}

impl Values {
    fn of(&self, name: &str) -> f64 {
        *self.0.lock().unwrap().get(name).unwrap_or(&f64::NAN)
    }

    fn value(&self, key: &Key) -> Arc<Value> {
        let of = key.labels().find(|label| label.key() == "outage");
        let of = of.map_or_else(String::new, |label| format!(":{}", label.value()));
        Arc::new(Value { values: self.clone(), name: format!("{}{of}", key.name()) })
    }
}

impl Value {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut values = self.values.0.lock().unwrap();
        let value = values.entry(self.name.clone()).or_default();
        *value = change(*value);
    }
}

impl CounterFn for Value {
    fn increment(&self, by: u64) {
        self.change(|value| value + by as f64);
    }
    fn absolute(&self, to: u64) {
        self.change(|_| to as f64);
    }
}

impl GaugeFn for Value {
    fn increment(&self, by: f64) {
        self.change(|value| value + by);
    }
    fn decrement(&self, by: f64) {
        self.change(|value| value - by);
    }
    fn set(&self, to: f64) {
        self.change(|_| to);
    }
}

impl Recorder for Values {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// A clock that goes with the time of the test.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + self.0.elapsed()
    }
}

fn environment() -> Environment {
    let clock = Arc::new(TestClock(Instant::now()));
    let codec = Codec::new(Arc::new(MemoryKeyVault::default()));
    let store = Arc::new(MemoryStore::new(clock.clone()));
    Environment::new(store, codec, clock, SecretKey::generate().unwrap())
}

/// Longer than between two measurements.
const LATER: Duration = Duration::from_millis(2500);

/// One test, because a process has one recorder.
#[tokio::test(start_paused = true)]
async fn lag_owner_and_interruptions_are_measured() {
    let values = Values::default();
    metrics::set_global_recorder(values.clone()).unwrap();
    let (environment, database) = (environment(), MemoryDatabase::new());
    let (progress, mut one) = names(&replica(&environment, "one"), &database);
    one.until(|state| *state == SubscriptionState::Running).await;
    let position = light(&environment, new_id(), "Ada").await;
    assert!(progress.reached(position, ENOUGH).await);
    tokio::time::sleep(LATER).await;
    assert_eq!(values.of("subscription_lag_events"), 0.0);
    assert_eq!(values.of("subscription_lag_seconds"), 0.0);
    assert_eq!(values.of("subscription_owner"), 1.0);
    assert_eq!(values.of("subscription_parked_events"), 0.0);

    // The database does not answer: the lag grows all the same.
    database.set_away(true);
    count(&environment, new_id()).await;
    light(&environment, new_id(), "Grace").await;
    one.until(|state| matches!(state, SubscriptionState::Interrupted(_))).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(values.of("subscription_lag_events"), 2.0);
    let seconds = values.of("subscription_lag_seconds");
    assert!((98.0..=104.0).contains(&seconds), "{seconds}");
    assert_eq!(values.of("subscription_owner"), 0.0);
    let interruptions = values.of("subscription_interruptions_total");
    assert!(interruptions > 5.0, "{interruptions}");
    // Alarms refer to this name.
    let occurrences = values.of("outage_occurrences_total:subscriptions_interrupted");
    assert!(occurrences > 5.0, "{occurrences}");
    database.set_away(false);
    one.until(|state| *state == SubscriptionState::Running).await;
    tokio::time::sleep(LATER).await;
    assert_eq!(values.of("subscription_lag_seconds"), 0.0);
    assert_eq!(values.of("subscription_owner"), 1.0);

    // What nobody wants is no lag in time.
    one.pause();
    tokio::time::sleep(LATER).await;
    count(&environment, new_id()).await;
    one.resume();
    tokio::time::sleep(LATER).await;
    assert_eq!(values.of("subscription_lag_seconds"), 0.0);

    light(&environment, new_id(), "poison").await;
    database.until(|content| !content.parked("house.names.v1").is_empty()).await;
    tokio::time::sleep(LATER).await;
    assert_eq!(values.of("subscription_parked_events"), 1.0);
    assert_eq!(values.of("parked_events_total"), 1.0);
}
