//! The module at work on a log in memory, with its tables at a throwaway place.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use database::Engine;
use kernel::admission::Admission;
use kernel::event::RecordedEvent;
use kernel::execution::Environment;
use kernel::seams::SystemClock;
use kernel::sync::{LegacyState, SyncError, SyncOutcome};
use module::NoSettings;
use orders::OrdersModule;
use orders::domain::Event;
use orders::queries;
use orders::view::OrderView;
use orders_contract::OrderId;
use testkit::engines::TestTables;
use testkit::modules::{environment, open};
use testkit::running::Running;
use uuid::Uuid;

pub struct World {
    running: Running,
    _place: TestTables,
}

impl Deref for World {
    type Target = Running;
    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
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
        let place = TestTables::on(engine).await;
        let module = open(&OrdersModule, environment.clone(), place.url(), NoSettings {}).await;
        Self { running: Running::some(&environment, module, runs), _place: place }
    }

    pub async fn known_customers_caught_up(&self) {
        self.caught_up("orders.known-customers").await;
    }

    /// The view of an order once everything that was recorded so far shows.
    pub async fn order(&self, id: impl Into<OrderId>) -> Option<OrderView> {
        self.caught_up("orders.orders").await;
        queries::order(&self.module.database, id.into()).await.unwrap()
    }

    /// Waits until the log holds an event that passes, and gives it.
    pub async fn eventually(&self, wanted: impl Fn(&Event) -> bool) -> Arc<RecordedEvent> {
        self.first(wanted).await.1
    }

    /// Gives the module the legacy system's word on an order.
    pub async fn sync(
        &self,
        id: impl Into<Uuid>,
        state: LegacyState,
    ) -> Result<SyncOutcome, SyncError> {
        self.legacy_says("orders.SyncOrder", id.into(), "sale_sale/7", state).await
    }
}
