//! The running module, on a log in memory and with temporary tables.

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
use orders::queries::orders as order_rows;
use orders::view::OrderView;
use orders_contract::OrderId;
use testkit::engines::TestTables;
use testkit::modules::{environment, open};
use testkit::running::Running;
use uuid::Uuid;

pub struct World {
    running: Running,
    _tables: TestTables,
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
    /// Starts the module with all of its subscriptions.
    pub async fn new(engine: Engine) -> Self {
        Self::with(engine, |_| true).await
    }

    /// Starts the module with only the subscriptions whose name passes.
    pub async fn with(engine: Engine, runs: impl Fn(&str) -> bool) -> Self {
        let environment = environment(Arc::new(SystemClock), Arc::default());
        Self::on(engine, environment, runs).await
    }

    /// Starts the module with all of its subscriptions and this admission control.
    pub async fn admitting(engine: Engine, admission: Admission) -> Self {
        let environment = environment(Arc::new(SystemClock), Arc::default());
        Self::on(engine, environment.with_admission(admission), |_| true).await
    }

    async fn on(engine: Engine, environment: Environment, runs: impl Fn(&str) -> bool) -> Self {
        let tables = TestTables::on(engine).await;
        let module = open(&OrdersModule, environment.clone(), tables.url(), NoSettings {}).await;
        Self { running: Running::some(&environment, module, runs), _tables: tables }
    }

    pub async fn known_customers_caught_up(&self) {
        self.caught_up("orders.known-customers").await;
    }

    /// Returns the view of an order, once the read model has caught up with the log.
    pub async fn order(&self, id: impl Into<OrderId>) -> Option<OrderView> {
        self.caught_up("orders.orders").await;
        order_rows::find(&self.module.database, id.into()).await.unwrap()
    }

    /// Waits until the log has an event that passes. Returns the event.
    pub async fn eventually(&self, wanted: impl Fn(&Event) -> bool) -> Arc<RecordedEvent> {
        self.first(wanted).await.1
    }

    /// Reports the state of an order in the legacy system.
    pub async fn sync(
        &self,
        id: impl Into<Uuid>,
        state: LegacyState,
    ) -> Result<SyncOutcome, SyncError> {
        self.legacy_says("orders.SyncOrder", id.into(), "sale_sale/7", state).await
    }
}
