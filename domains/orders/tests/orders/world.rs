//! The module at work on a store in memory, with its tables at a throwaway place.

use std::sync::Arc;
use std::time::Duration;

use database::{Engine, Statement};
use kernel::admission::Admission;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::EventSet;
use kernel::event::{EventFilter, Position, RecordedEvent};
use kernel::execution::{Cause, Environment};
use kernel::projection::Progress;
use kernel::seams::{SystemClock, new_id};
use kernel::subscription::{Delivery, LogReader, Subscription};
use kernel::sync::{LegacyReference, LegacyState, SyncError, SyncOutcome, SyncRequest};
use module::NoSettings;
use module::OpenModule;
use orders::OrdersModule;
use orders::domain::Event;
use orders::queries;
use orders::view::OrderView;
use testkit::engines::TestPlace;
use testkit::modules::{environment, open, record};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longer than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub environment: Environment,
    pub module: OpenModule,
    held: Vec<Box<dyn Subscription>>,
    shutdown: CancellationToken,
    _place: TestPlace,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    /// The module with everything of it running.
    pub async fn new(engine: Engine) -> Self {
        Self::with(engine, |_| true).await
    }

    /// The module with only those subscriptions running whose name passes.
    pub async fn with(engine: Engine, runs: impl Fn(&str) -> bool) -> Self {
        let environment = environment(Arc::new(SystemClock), Arc::default());
        Self::on(engine, environment, runs).await
    }

    /// The module with everything of it running, and a gate that the test closes.
    pub async fn admitting(engine: Engine, admission: Admission) -> Self {
        let environment = environment(Arc::new(SystemClock), Arc::default());
        Self::on(engine, environment.with_admission(admission), |_| true).await
    }

    async fn on(engine: Engine, environment: Environment, runs: impl Fn(&str) -> bool) -> Self {
        let place = TestPlace::on(engine).await;
        let mut module = open(&OrdersModule, environment.clone(), place.url(), NoSettings {}).await;
        let shutdown = CancellationToken::new();
        let (running, held): (Vec<_>, Vec<_>) = std::mem::take(&mut module.subscriptions)
            .into_iter()
            .partition(|subscription| runs(&subscription.name()));
        for subscription in running {
            tokio::spawn(subscription.run(shutdown.clone()));
        }
        Self { environment, module, held, shutdown, _place: place }
    }

    /// Starts what was held back.
    pub fn release(&mut self) {
        for subscription in self.held.drain(..) {
            tokio::spawn(subscription.run(self.shutdown.clone()));
        }
    }

    /// Records an event of any module as if that module had.
    pub async fn happened<E: EventSet>(&self, category: &'static str, id: Uuid, event: E) -> Uuid {
        record(&self.environment, category, id, event).await
    }

    pub fn progress(&self, projection: &str) -> &Progress {
        let found = self.module.projections.iter().find(|(name, _)| name == projection);
        &found.expect("no such projection").1
    }

    pub async fn known_customers_caught_up(&self) {
        let head = self.head().await;
        let progress = self.progress("orders.known-customers");
        assert!(progress.reached(head, PATIENCE).await, "the known customers stand still");
    }

    pub async fn head(&self) -> Position {
        self.environment.store.head().await.unwrap()
    }

    /// The view of an order once everything that was recorded so far shows.
    pub async fn order(&self, id: Uuid) -> Option<OrderView> {
        let head = self.head().await;
        assert!(
            self.progress("orders.orders").reached(head, PATIENCE).await,
            "the views stand still"
        );
        queries::order(&self.module.database, id).await.unwrap()
    }

    /// Waits until the log holds an event that passes, and gives it.
    pub async fn eventually(&self, wanted: impl Fn(&Event) -> bool) -> Arc<RecordedEvent> {
        let filter = EventFilter::families_of(Event::types());
        let store = Arc::clone(&self.environment.store);
        let mut reader = LogReader::new(store, 0, filter);
        let search = async {
            loop {
                let delivery = reader.next().await.unwrap();
                let Delivery::Event(recorded) = delivery else {
                    continue;
                };
                let decoded = self.environment.codec.decode(Arc::clone(&recorded)).await.unwrap();
                if wanted(&decoded.event) {
                    return recorded;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("it never happened")
    }

    /// Waits until a policy is through with everything recorded so far.
    pub async fn settled(&self, policy: &str) {
        let search = async {
            loop {
                let head = self.head().await;
                let checkpoint = self.module.database.checkpoint(policy).await.unwrap();
                if checkpoint.is_some_and(|checkpoint| checkpoint.position >= head) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the policy stands still");
    }

    /// Waits until a subscription has parked an event, and gives the reason.
    pub async fn parked(&self, subscription: &str) -> String {
        let search = async {
            loop {
                let statement = "SELECT error FROM parked_event WHERE subscription = $1";
                let error = self.module.database.query(&Statement::Same(statement));
                match error.bind(subscription).scalar_optional().await.unwrap() {
                    Some(error) => return error,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("nothing was parked")
    }

    /// Gives the module the legacy system's word on an order.
    pub async fn sync(&self, id: Uuid, state: LegacyState) -> Result<SyncOutcome, SyncError> {
        let target = self.module.sync_targets.first().unwrap();
        assert_eq!(target.command(), "orders.SyncOrder");
        let legacy = LegacyReference { source: "tryton".to_owned(), id: "sale_sale/7".to_owned() };
        let cause = Cause::request(new_id(), "import");
        target.sync(SyncRequest { id, legacy, state, cause }).await
    }
}
