//! The module at work on a store in memory, with its database in a throwaway folder.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use billing::BillingModule;
use billing::BillingSettings;
use billing::domain::Event;
use billing::handlers::invoice_of;
use billing::queries::{self, InvoiceFilter};
use billing::view::InvoiceView;
use chrono::{DateTime, Utc};
use customers_contract::{Address, CustomerKind, CustomerRegistered};
use database::Statement;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::{Codec, EventSet};
use kernel::event::{EventFilter, RecordedEvent};
use kernel::execution::{Cause, Environment};
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::projection::Progress;
use kernel::seams::{Clock, SharedClock, SystemClock, new_id};
use kernel::store::EventStore;
use kernel::subscription::{Delivery, LogReader, Subscription};
use kernel::sync::{LegacyReference, LegacyState, SyncError, SyncOutcome, SyncRequest};
use module::OpenModule;
use orders_contract::{
    CancellationReason, LineQuantity, OrderCancelled, OrderLine, OrderPlaced, OrderReturned,
    PaymentDeferred,
};
use payments_contract::{
    PaymentCancelled, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded,
    RefundProposed, RefundScope,
};
use testkit::modules::{environment, open, record};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use web_api::{List, Paging};

/// Longer than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

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

pub struct World {
    pub environment: Environment,
    pub module: OpenModule,
    held: Vec<Box<dyn Subscription>>,
    shutdown: CancellationToken,
    folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    /// The module with everything of it running.
    pub async fn new() -> Self {
        Self::with(|_| true).await
    }

    /// The module with only those subscriptions running whose name passes.
    pub async fn with(runs: impl Fn(&str) -> bool) -> Self {
        Self::at(Arc::new(SystemClock), runs).await
    }

    /// The same by a certain clock.
    pub async fn at(clock: SharedClock, runs: impl Fn(&str) -> bool) -> Self {
        let environment = environment(clock, Arc::default());
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("billing.db").display());
        let settings = BillingSettings::default();
        let mut module = open(&BillingModule, environment.clone(), &url, settings).await;
        let shutdown = CancellationToken::new();
        let (running, held): (Vec<_>, Vec<_>) = std::mem::take(&mut module.subscriptions)
            .into_iter()
            .partition(|subscription| runs(&subscription.name()));
        for subscription in running {
            tokio::spawn(subscription.run(shutdown.clone()));
        }
        Self { environment, module, held, shutdown, folder }
    }

    /// Starts what was held back.
    pub fn release(&mut self) {
        for subscription in self.held.drain(..) {
            tokio::spawn(subscription.run(self.shutdown.clone()));
        }
    }

    /// Records an event of another module as if that module had.
    pub async fn happened(&self, category: &'static str, id: Uuid, event: impl Into<Foreign>) {
        record(&self.environment, category, id, event.into()).await;
    }

    /// A customer registers.
    pub async fn customer(&self) -> Uuid {
        let customer_id = new_id();
        let registered = CustomerRegistered {
            customer_id,
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

    pub fn progress(&self, projection: &str) -> &Progress {
        let mut projections = self.module.projections.iter();
        &projections.find(|(name, _)| name == projection).expect("no such projection").1
    }

    /// Waits until the views show everything recorded so far.
    pub async fn views_caught_up(&self) {
        let head = self.environment.store.head().await.unwrap();
        let progress = self.progress("billing.invoices");
        assert!(progress.reached(head, PATIENCE).await, "the views stand still");
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
        let filter = EventFilter::families_of(Event::types());
        let store = Arc::clone(&self.environment.store);
        let mut reader = LogReader::new(store, 0, filter);
        let search = async {
            loop {
                let Delivery::Event(recorded) = reader.next().await.unwrap() else {
                    continue;
                };
                let codec = &self.environment.codec;
                let decoded = codec.decode::<Event>(Arc::clone(&recorded)).await.unwrap();
                if wanted(&decoded.event) {
                    return (decoded.event, recorded);
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("it never happened")
    }

    /// Whether a text stands anywhere in the module's files, the write-ahead log included.
    pub fn files_hold(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut files = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    /// Waits until both policies are through with everything recorded so far, and with what they
    /// themselves have added.
    pub async fn settled(&self) {
        let search = async {
            loop {
                let mut done = true;
                for policy in ["billing.invoicing", "billing.settlement"] {
                    let checkpoint = self.module.database.checkpoint(policy).await.unwrap();
                    let position = checkpoint.map_or(0, |checkpoint| checkpoint.position);
                    done &= position >= self.environment.store.head().await.unwrap();
                }
                if done {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the policies stand still");
    }

    /// Why the policy has parked events: nothing when it has none.
    pub async fn all_parked(&self) -> Vec<String> {
        let errors = Statement::Same("SELECT error FROM parked_event");
        self.module.database.query(&errors).scalars().await.unwrap()
    }

    /// Waits until a policy has parked an event, and gives the reason.
    pub async fn parked(&self) -> String {
        let search = async {
            loop {
                match self.all_parked().await.pop() {
                    Some(error) => return error,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("nothing was parked")
    }

    /// How many events of a type the log has.
    pub async fn count(&self, event_type: &'static str) -> usize {
        let filter = EventFilter::families_of([event_type]);
        self.environment.store.read_log(0, &filter, 1000).await.unwrap().events.len()
    }

    /// Gives the module the legacy system's word on a document.
    pub async fn sync(&self, id: Uuid, state: LegacyState) -> Result<SyncOutcome, SyncError> {
        let target = self.module.sync_targets.first().unwrap();
        assert_eq!(target.command(), "billing.SyncInvoice");
        let legacy = LegacyReference { source: "tryton".to_owned(), id: "7".to_owned() };
        let cause = Cause::request(new_id(), "import");
        target.sync(SyncRequest { id, legacy, state, cause }).await
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
