//! The module at work on a log in memory, with its tables at a throwaway place.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use billing::domain::Event;
use billing::handlers::invoice_of;
use billing::queries::invoices::{self, InvoiceFilter};
use billing::view::InvoiceView;
use billing::{BillingModule, BillingSettings};
use billing_contract::InvoiceId;
use chrono::{DateTime, Utc};
use customers_contract::{CustomerId, CustomerRegistered};
use database::Engine;
use event_contract::Sample as _;
use kernel::codec::Codec;
use kernel::event::{EventFilter, RecordedEvent};
use kernel::execution::Environment;
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::seams::{Clock, SharedClock, SystemClock, new_id};
use kernel::store::EventStore;
use kernel::sync::{LegacyState, SyncError, SyncOutcome};
use orders_contract::{
    CancellationReason, LineQuantity, OrderCancelled, OrderId, OrderPlaced, OrderReturned,
    PaymentDeferred,
};
use payments_contract::{
    PaymentCancelled, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentId, PaymentRefunded,
    RefundId, RefundProposed, RefundScope,
};
use testkit::engines::TestTables;
use testkit::modules::{environment, open};
use testkit::running::Running;
use uuid::Uuid;
use web_api::{List, Paging};

kernel::event_set! {
    /// The events of other modules.
    pub enum Foreign {
        Registered(CustomerRegistered),
        Placed(OrderPlaced),
        Deferred(PaymentDeferred),
        Returned(OrderReturned),
        Cancelled(OrderCancelled),
        PaymentCancelled(PaymentCancelled),
        RefundProposed(RefundProposed),
        Captured(PaymentCaptured),
        Declined(PaymentDeclined),
        Expired(PaymentExpired),
        Refunded(PaymentRefunded),
        AddressChanged(customers_contract::CustomerAddressChanged),
        ContactChanged(customers_contract::CustomerContactChanged),
        CustomerImported(customers_contract::CustomerImported),
        CustomerRevised(customers_contract::CustomerRevised),
        CustomerErased(customers_contract::CustomerErased),
    }
}

/// A clock that the test sets.
pub struct SetClock(Mutex<DateTime<Utc>>);

impl SetClock {
    pub fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(text.parse().unwrap())))
    }

    pub fn set(&self, text: &str) {
        *self.0.lock().unwrap() = text.parse().unwrap();
    }
}

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

pub fn environment_on(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> Environment {
    let codec = Codec::new(Arc::new(MemoryKeyVault::default()));
    Environment::new(store, codec, clock, SecretKey::generate().unwrap())
}

/// The module's policies.
pub const POLICIES: &[&str] = &["billing.invoicing", "billing.settlement"];

pub struct World {
    running: Running,
    pub place: TestTables,
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
        Self::on(engine, Arc::new(SystemClock), runs).await
    }

    /// The module with everything of it running, by a certain clock.
    pub async fn at(engine: Engine, clock: SharedClock) -> Self {
        Self::on(engine, clock, |_| true).await
    }

    async fn on(engine: Engine, clock: SharedClock, runs: impl Fn(&str) -> bool) -> Self {
        let environment = environment(clock, Arc::default());
        let place = TestTables::on(engine).await;
        let settings = BillingSettings::default();
        let module = open(&BillingModule, environment.clone(), place.url(), settings).await;
        Self { running: Running::some(&environment, module, runs), place }
    }

    /// Records an event of another module as if that module had.
    pub async fn happened(
        &self,
        category: &'static str,
        id: impl Into<Uuid>,
        event: impl Into<Foreign>,
    ) {
        self.running.happened(category, id.into(), event.into()).await;
    }

    /// Registers a customer.
    pub async fn customer(&self) -> CustomerId {
        let customer_id = CustomerId::from(new_id());
        let registered = CustomerRegistered { customer_id, ..CustomerRegistered::sample() };
        self.happened("customer", customer_id, registered).await;
        customer_id
    }

    /// Places an order. Returns its id.
    pub async fn order(&self, customer_id: CustomerId) -> OrderId {
        let placed = order_of(customer_id);
        let order_id = placed.order_id;
        self.happened("order", order_id, placed).await;
        order_id
    }

    /// Places the order of a new customer and waits for its invoice. Returns the ids of both.
    pub async fn invoiced(&self) -> (InvoiceId, OrderId) {
        let order_id = self.order(self.customer().await).await;
        let invoice_id = invoice_of(order_id);
        self.eventually(
            |event| matches!(event, Event::Issued(issued) if issued.invoice_id == invoice_id),
        )
        .await;
        (invoice_id, order_id)
    }

    pub async fn cancelled(&self, order_id: OrderId, reason: CancellationReason) {
        let cancelled = OrderCancelled { order_id, reason, ..OrderCancelled::sample() };
        self.happened("order", order_id, cancelled).await;
    }

    /// Confirms an order before it is paid.
    pub async fn deferred(&self, order_id: OrderId) {
        self.happened("order", order_id, PaymentDeferred { order_id }).await;
    }

    /// Records a return of the order's first line.
    pub async fn returned(&self, order_id: OrderId, number: u32, quantity: &str, complete: bool) {
        let lines = vec![LineQuantity { line: 1, quantity: quantity.parse().unwrap() }];
        let returned =
            OrderReturned { order_id, number, lines, complete, ..OrderReturned::sample() };
        self.happened("order", order_id, returned).await;
    }

    /// Proposes a refund. Returns its id.
    pub async fn refund_proposed(&self, invoice_id: InvoiceId, scope: RefundScope) -> RefundId {
        let (payment_id, refund_id) = (payment_of(invoice_id), RefundId::from(new_id()));
        let proposed = RefundProposed {
            payment_id,
            refund_id,
            invoice_id: invoice_id.as_uuid(),
            scope,
            ..RefundProposed::sample()
        };
        self.happened("payment", payment_id, proposed).await;
        refund_id
    }

    /// Pays out a refund.
    pub async fn paid_out(&self, invoice_id: InvoiceId, refund_id: RefundId, amount: &str) {
        let refunded = PaymentRefunded {
            payment_id: payment_of(invoice_id),
            refund_id,
            invoice_id: invoice_id.as_uuid(),
            amount: amount.parse().unwrap(),
            ..PaymentRefunded::sample()
        };
        self.happened("payment", refunded.payment_id, refunded).await;
    }

    pub async fn payment_cancelled(&self, invoice_id: InvoiceId) {
        let payment_id = payment_of(invoice_id);
        let cancelled = PaymentCancelled { payment_id, invoice_id: invoice_id.as_uuid() };
        self.happened("payment", payment_id, cancelled).await;
    }

    pub async fn captured(&self, invoice_id: InvoiceId, amount: &str) {
        let captured = PaymentCaptured {
            payment_id: payment_of(invoice_id),
            invoice_id: invoice_id.as_uuid(),
            amount: amount.parse().unwrap(),
            ..PaymentCaptured::sample()
        };
        self.happened("payment", captured.payment_id, captured).await;
    }

    /// Pays out a refund that payments makes on its own.
    pub async fn refunded(&self, invoice_id: InvoiceId, amount: &str) {
        self.paid_out(invoice_id, new_id().into(), amount).await;
    }

    pub async fn declined(&self, invoice_id: InvoiceId) {
        let declined = PaymentDeclined {
            payment_id: payment_of(invoice_id),
            invoice_id: invoice_id.as_uuid(),
            ..PaymentDeclined::sample()
        };
        self.happened("payment", declined.payment_id, declined).await;
    }

    pub async fn expired(&self, invoice_id: InvoiceId) {
        let payment_id = payment_of(invoice_id);
        let expired = PaymentExpired { payment_id, invoice_id: invoice_id.as_uuid() };
        self.happened("payment", payment_id, expired).await;
    }

    /// Waits until the views show everything recorded so far.
    pub async fn views_caught_up(&self) {
        self.caught_up("billing.invoices").await;
    }

    /// Returns the view of a document after all events recorded so far.
    pub async fn view(&self, id: InvoiceId) -> InvoiceView {
        self.views_caught_up().await;
        let view = invoices::find(&self.module.database, id).await.unwrap();
        view.expect("there is no such document")
    }

    /// Returns the ids of the documents that match a filter, newest first.
    pub async fn list(&self, filter: InvoiceFilter) -> Vec<InvoiceId> {
        self.views_caught_up().await;
        let database = &self.module.database;
        let list = List::recorded(Paging::of(None, None));
        let rows = invoices::list(database, &filter, &list).await.unwrap();
        rows.into_iter().map(|(_, view)| view.id).collect()
    }

    /// Waits for an event that matches, and returns it.
    pub async fn eventually(&self, wanted: impl Fn(&Event) -> bool) -> (Event, Arc<RecordedEvent>) {
        self.first(wanted).await
    }

    /// Returns the number of events of a type.
    pub async fn count(&self, event_type: &'static str) -> usize {
        let filter = EventFilter::families_of([event_type]);
        self.environment.store.read_log(0, &filter, 1000).await.unwrap().events.len()
    }

    /// Sends a report of the legacy system on a document.
    pub async fn sync(&self, id: InvoiceId, state: LegacyState) -> Result<SyncOutcome, SyncError> {
        self.legacy_says("billing.SyncInvoice", id.as_uuid(), "7", state).await
    }
}

/// An order over 119.76 EUR: the first line of the sample.
pub fn order_of(customer_id: CustomerId) -> OrderPlaced {
    let sample = OrderPlaced::sample();
    OrderPlaced {
        order_id: new_id().into(),
        customer_id: customer_id.as_uuid(),
        lines: sample.lines[..1].to_vec(),
        total_net: "99.80".parse().unwrap(),
        total_vat: "19.96".parse().unwrap(),
        total: "119.76".parse().unwrap(),
        ..sample
    }
}

pub fn payment_of(invoice_id: InvoiceId) -> PaymentId {
    Uuid::new_v5(&invoice_id.as_uuid(), b"payment").into()
}
