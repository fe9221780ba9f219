//! The module at work on a log in memory, with its tables at a throwaway place.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use billing::domain::Event;
use billing::handlers::invoice_of;
use billing::queries::{self, InvoiceFilter};
use billing::view::InvoiceView;
use billing::{BillingModule, BillingSettings};
use chrono::{DateTime, Utc};
use customers_contract::{Address, CustomerKind, CustomerRegistered};
use database::Engine;
use kernel::codec::Codec;
use kernel::event::{EventFilter, RecordedEvent};
use kernel::execution::Environment;
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::seams::{Clock, SharedClock, SystemClock, new_id};
use kernel::store::EventStore;
use kernel::sync::{LegacyState, SyncError, SyncOutcome};
use orders_contract::{
    CancellationReason, LineQuantity, OrderCancelled, OrderLine, OrderPlaced, OrderReturned,
    PaymentDeferred,
};
use payments_contract::{
    PaymentCancelled, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded,
    RefundProposed, RefundScope,
};
use testkit::engines::TestTables;
use testkit::modules::{environment, open};
use testkit::running::Running;
use uuid::Uuid;
use web_api::{List, Paging};

kernel::event_set! {
    /// What other modules say.
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
    pub async fn happened(&self, category: &'static str, id: Uuid, event: impl Into<Foreign>) {
        self.running.happened(category, id, event.into()).await;
    }

    /// A customer registers.
    pub async fn customer(&self) -> Uuid {
        let customer_id = new_id();
        let registered = CustomerRegistered {
            customer_id: customer_id.into(),
            kind: CustomerKind::Company,
            name: "Ada Martin".to_owned().into(),
            email: "ada@exemple.fr".to_owned().into(),
            phone: None,
            address: address("Paris").into(),
            vat_number: Some("FR32123456789".to_owned().into()),
        };
        self.happened("customer", customer_id, registered).await;
        customer_id
    }

    /// A customer orders: the order's id.
    pub async fn order(&self, customer_id: Uuid) -> Uuid {
        let placed = order_of(customer_id);
        let order_id = placed.order_id;
        self.happened("order", order_id, placed).await;
        order_id
    }

    /// A new customer orders, and the invoice is there: its id and the order's.
    pub async fn invoiced(&self) -> (Uuid, Uuid) {
        let order_id = self.order(self.customer().await).await;
        let invoice_id = invoice_of(order_id);
        self.eventually(
            |event| matches!(event, Event::Issued(issued) if issued.invoice_id == invoice_id),
        )
        .await;
        (invoice_id, order_id)
    }

    pub async fn cancelled(&self, order_id: Uuid, reason: CancellationReason) {
        let cancelled = OrderCancelled { order_id, customer_id: new_id(), reason };
        self.happened("order", order_id, cancelled).await;
    }

    /// The order was confirmed before it was paid.
    pub async fn deferred(&self, order_id: Uuid) {
        self.happened("order", order_id, PaymentDeferred { order_id }).await;
    }

    /// Something of the order's first line came back.
    pub async fn returned(&self, order_id: Uuid, number: u32, quantity: &str, complete: bool) {
        let lines = vec![LineQuantity { line: 1, quantity: quantity.parse().unwrap() }];
        let (customer_id, reason) = (new_id(), "broken".to_owned().into());
        let returned = OrderReturned { order_id, customer_id, number, lines, complete, reason };
        self.happened("order", order_id, returned).await;
    }

    /// Somebody wants money back: the refund's id.
    pub async fn refund_proposed(&self, invoice_id: Uuid, scope: RefundScope) -> Uuid {
        let (payment_id, refund_id) = (payment_of(invoice_id), new_id());
        let proposed = RefundProposed {
            payment_id,
            refund_id,
            invoice_id,
            customer_id: new_id(),
            scope,
            reason: "broken".to_owned().into(),
        };
        self.happened("payment", payment_id, proposed).await;
        refund_id
    }

    /// A refund was paid out.
    pub async fn paid_out(&self, invoice_id: Uuid, refund_id: Uuid, amount: &str) {
        let refunded = PaymentRefunded {
            payment_id: payment_of(invoice_id),
            refund_id,
            invoice_id,
            amount: amount.parse().unwrap(),
            currency: "EUR".to_owned(),
            provider_reference: "sandbox-3".to_owned(),
        };
        self.happened("payment", refunded.payment_id, refunded).await;
    }

    pub async fn payment_cancelled(&self, invoice_id: Uuid) {
        let payment_id = payment_of(invoice_id);
        self.happened("payment", payment_id, PaymentCancelled { payment_id, invoice_id }).await;
    }

    pub async fn captured(&self, invoice_id: Uuid, amount: &str) {
        let captured = PaymentCaptured {
            payment_id: payment_of(invoice_id),
            invoice_id,
            amount: amount.parse().unwrap(),
            currency: "EUR".to_owned(),
            provider_reference: "sandbox-1".to_owned(),
        };
        self.happened("payment", captured.payment_id, captured).await;
    }

    pub async fn refunded(&self, invoice_id: Uuid, amount: &str) {
        let refunded = PaymentRefunded {
            payment_id: payment_of(invoice_id),
            refund_id: new_id(),
            invoice_id,
            amount: amount.parse().unwrap(),
            currency: "EUR".to_owned(),
            provider_reference: "sandbox-2".to_owned(),
        };
        self.happened("payment", refunded.payment_id, refunded).await;
    }

    pub async fn declined(&self, invoice_id: Uuid) {
        let payment_id = payment_of(invoice_id);
        let reason = "no funds".to_owned().into();
        let customer_id = new_id();
        let declined = PaymentDeclined { payment_id, invoice_id, customer_id, reason };
        self.happened("payment", payment_id, declined).await;
    }

    pub async fn expired(&self, invoice_id: Uuid) {
        let payment_id = payment_of(invoice_id);
        self.happened("payment", payment_id, PaymentExpired { payment_id, invoice_id }).await;
    }

    /// Waits until the views show everything recorded so far.
    pub async fn views_caught_up(&self) {
        self.caught_up("billing.invoices").await;
    }

    /// The view of a document once everything that was recorded so far shows.
    pub async fn view(&self, id: Uuid) -> InvoiceView {
        self.views_caught_up().await;
        let view = queries::invoice(&self.module.database, id).await.unwrap();
        view.expect("there is no such document")
    }

    /// The ids of the documents that pass a filter, newest first.
    pub async fn list(&self, filter: InvoiceFilter) -> Vec<Uuid> {
        self.views_caught_up().await;
        let database = &self.module.database;
        let list = List::recorded(Paging::of(None, None));
        let rows = queries::invoices(database, &filter, &list).await.unwrap();
        rows.into_iter().map(|(_, view)| view.id).collect()
    }

    /// Waits until the log holds an event that passes, and gives it.
    pub async fn eventually(&self, wanted: impl Fn(&Event) -> bool) -> (Event, Arc<RecordedEvent>) {
        self.first(wanted).await
    }

    /// How many events of a type the log has.
    pub async fn count(&self, event_type: &'static str) -> usize {
        let filter = EventFilter::families_of([event_type]);
        self.environment.store.read_log(0, &filter, 1000).await.unwrap().events.len()
    }

    /// Gives the module the legacy system's word on a document.
    pub async fn sync(&self, id: Uuid, state: LegacyState) -> Result<SyncOutcome, SyncError> {
        self.legacy_says("billing.SyncInvoice", id, "7", state).await
    }
}

pub fn address(city: &str) -> Address {
    Address {
        line1: "1 rue de la Paix".to_owned(),
        line2: None,
        postal_code: Some("75002".to_owned()),
        city: Some(city.to_owned()),
        country: Some("FR".to_owned()),
    }
}

/// An order over 119.76 EUR.
pub fn order_of(customer_id: Uuid) -> OrderPlaced {
    OrderPlaced {
        order_id: new_id(),
        customer_id,
        currency: "EUR".to_owned(),
        payment_method: "sandbox:ok".to_owned(),
        lines: vec![OrderLine {
            sku: "CH-1".to_owned(),
            description: "Chaise".to_owned(),
            quantity: "2".parse().unwrap(),
            unit_price: "49.90".parse().unwrap(),
            vat_rate: "20".parse().unwrap(),
        }],
        total_net: "99.80".parse().unwrap(),
        total_vat: "19.96".parse().unwrap(),
        total: "119.76".parse().unwrap(),
    }
}

pub fn payment_of(invoice_id: Uuid) -> Uuid {
    Uuid::new_v5(&invoice_id, b"payment")
}
