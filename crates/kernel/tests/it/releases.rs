//! While two releases run side by side, the newer one handles what the older cannot read; nothing
//! is skipped and nothing is parked.

use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::Envelope;
use kernel::projection::{Projection, ProjectionRunner};
use kernel::seams::new_id;
use kernel::store::BoxError;
use kernel::subscription::SubscriptionState;
use serde_json::json;

use crate::lamp::{happens, house, light, replica};
use crate::names::{Lit, Names, NamesOfNextRelease};
use crate::running::{ENOUGH, names, project, run};
use crate::subscriptions::{MemoryDatabase, Transaction};

const NAMES: &str = "house.names.v1";

#[tokio::test(start_paused = true)]
async fn an_event_of_a_newer_release_waits_for_a_replica_that_reads_it() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    light(&environment, new_id(), "Ada").await;
    let (lamp, grace) = (new_id(), json!({"name": "Grace"}));
    let unknown = happens(&environment, lamp, "house.LampLit.v2", grace).await;
    let last = light(&environment, new_id(), "Mary").await;
    let (old, mut older) = names(&replica(&environment, "older"), &database);
    let incapable = older.until(|state| matches!(state, SubscriptionState::Incapable { .. })).await;
    let event_type = "house.LampLit.v2".to_owned();
    assert_eq!(incapable, SubscriptionState::Incapable { event_type, position: unknown });
    let content = database.content();
    assert_eq!((&content.rows[..], content.position(NAMES)), (&["Ada".to_owned()][..], 1));
    assert!(content.parked(NAMES).is_empty() && content.owner(NAMES).is_none());
    assert_eq!(old.position(), unknown - 1);

    let (new, newer) = project(NamesOfNextRelease, &replica(&environment, "newer"), &database);
    assert!(new.reached(last, ENOUGH).await);
    // The older one tells exactly how far the newer one is, and takes over again from there.
    assert!(old.reached(last, ENOUGH).await);
    older.until(|state| matches!(state, SubscriptionState::Standby { .. })).await;
    newer.stop().await;
    older.until(|state| *state == SubscriptionState::Running).await;
    let position = light(&environment, new_id(), "Eve").await;
    assert!(old.reached(position, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada", "Grace", "Mary", "Eve"]);
}

#[tokio::test(start_paused = true)]
async fn a_family_that_a_newer_release_wants_is_not_skipped_by_an_older_one() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (old, mut older) = names(&replica(&environment, "older"), &database);
    let position = light(&environment, new_id(), "Ada").await;
    assert!(old.reached(position, ENOUGH).await);
    // The newer release is registered, and the older one still has the lease.
    let (new, mut newer) = project(NamesOfNextRelease, &replica(&environment, "newer"), &database);
    newer.until(|state| matches!(state, SubscriptionState::Standby { .. })).await;
    let families = database.status(NAMES).await.unwrap().unwrap().families;
    assert!(families.contains("house.CandleLit") && families.contains("house.LampLit"));
    let candle = json!({"name": "Grace"});
    let candle = happens(&environment, new_id(), "house.CandleLit.v1", candle).await;
    assert!(new.reached(candle, ENOUGH).await);
    assert!(old.reached(candle, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada", "Grace (candle)"]);
    assert!(database.content().owner(NAMES).unwrap().starts_with("newer"));
    older.until(|state| matches!(state, SubscriptionState::Standby { .. })).await;
}

/// A release that does not care for candles any more.
struct WithoutCandles;

impl Projection for WithoutCandles {
    type Store = MemoryDatabase;
    type Event = Lit;

    const NAME: &'static str = "house.names";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[];

    const RETIRED_FAMILIES: &'static [&'static str] = &["house.CandleLit"];

    async fn project(
        &self,
        transaction: &mut Transaction,
        event: &Envelope<Lit>,
    ) -> Result<(), BoxError> {
        Names::<1>::default().project(transaction, event).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_retired_family_is_passed_over() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    let (new, newer) = project(NamesOfNextRelease, &environment, &database);
    let position = light(&environment, new_id(), "Ada").await;
    assert!(new.reached(position, ENOUGH).await);
    newer.stop().await;
    happens(&environment, new_id(), "house.CandleLit.v1", json!({"name": "Grace"})).await;
    let last = light(&environment, new_id(), "Mary").await;
    let (runner, progress) =
        ProjectionRunner::new(WithoutCandles, environment.clone(), database.clone());
    let _running = run(runner);
    assert!(progress.reached(last, ENOUGH).await);
    assert_eq!(database.content().rows, ["Ada", "Mary"]);
}

#[tokio::test(start_paused = true)]
async fn an_older_release_goes_as_far_as_it_can_again_when_the_checkpoint_is_set_back() {
    let (environment, database) = (house().environment, MemoryDatabase::new());
    light(&environment, new_id(), "Ada").await;
    happens(&environment, new_id(), "house.LampLit.v2", json!({"name": "Grace"})).await;
    let (_, mut running) = names(&environment, &database);
    running.until(|state| matches!(state, SubscriptionState::Incapable { .. })).await;
    database.change(|content| content.rows.clear());
    database.restart(NAMES, environment.store.log_id()).await.unwrap();
    let content = database.until(|content| content.rows == ["Ada"]).await;
    assert_eq!(content.position(NAMES), 1);
}
