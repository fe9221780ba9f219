//! An event store, a clock and a place for tables, with which the module is started, stopped and started again.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use actix_web::test::TestRequest;
use billing_contract::{
    CollectionRequested, DenialReason, InvoiceCredited, InvoiceId, InvoiceIssued, InvoiceVoided,
    RefundDenied, RefundDue,
};
use chrono::{DateTime, Utc};
use database::Engine;
use event_contract::{Published, Sample as _};
use kernel::checkpoint::SubscriptionStore as _;
use kernel::credentials::ConnectionUrl;
use kernel::event::{RecordedEvent, StreamName};
use kernel::execution::Environment;
use kernel::seams::{Clock, SystemClock, new_id};
use kernel::sync::SyncTarget;
use payments::PaymentsModule;
use payments::provider::{PaymentProvider, Sandbox, SandboxCharge, SandboxSettings};
use payments::{BreakerSettings, PaymentsSettings, payment_of};
use payments_contract::{PaymentId, PaymentRequested, RefundId, RefundProposed};
use serde_json::Value;
use testkit::engines::TestTables;
use testkit::modules::{environment, open, record};
use testkit::running::PATIENCE;
use testkit::{Answer, Client};
use uuid::Uuid;

use crate::scripted::Scripted;

kernel::event_set! {
    /// The events of billing.
    pub(crate) enum Billing {
        Issued(InvoiceIssued),
        CollectionRequested(CollectionRequested),
        Credited(InvoiceCredited),
        RefundDue(RefundDue),
        RefundDenied(RefundDenied),
        Voided(InvoiceVoided),
    }
}

/// The system clock plus an offset that the test sets.
struct MovedClock(Mutex<chrono::TimeDelta>);

impl Clock for MovedClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + *self.0.lock().unwrap()
    }
}

pub(crate) struct World {
    place: TestTables,
    clock: Arc<MovedClock>,
    pub(crate) environment: Environment,
}

/// Nothing takes long, but a payment has time.
pub(crate) fn settings() -> PaymentsSettings {
    PaymentsSettings {
        deadline_ms: 600_000,
        call_timeout_ms: 100,
        first_pause_ms: 2,
        longest_pause_ms: 10,
        concurrent_charges: 8,
        concurrent_enquiries: 8,
        breaker: BreakerSettings { failures: 50, first_pause_ms: 10, longest_pause_ms: 20 },
        sandbox: SandboxSettings { slow_answer_after_ms: 60_000, ledger: None },
    }
}

impl World {
    pub(crate) async fn new(engine: Engine) -> Self {
        let clock = Arc::new(MovedClock(Mutex::default()));
        let environment = environment(clock.clone(), Arc::default());
        Self { place: TestTables::on(engine).await, clock, environment }
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, seconds: i64) {
        *self.clock.0.lock().unwrap() += chrono::TimeDelta::seconds(seconds);
    }

    pub(crate) fn url(&self, name: &str) -> String {
        database::module_url(self.place.url(), name).unwrap()
    }

    /// Starts the module on the sandbox.
    pub(crate) async fn start(&self, settings: PaymentsSettings) -> Running {
        let (database, ledger) = (self.url(payments::NAME), self.url("sandbox"));
        let mut settings = settings;
        settings.sandbox.ledger = Some(ConnectionUrl::new(ledger));
        let module = PaymentsModule::on_sandbox();
        let module = open(&module, self.environment.clone(), &database, settings).await;
        Running(testkit::running::Running::all(&self.environment, module))
    }

    /// Starts the module on a provider of the test.
    pub(crate) async fn start_with(&self, provider: Arc<dyn PaymentProvider>) -> Running {
        self.start_as(provider, settings()).await
    }

    /// Starts the module on a provider of the test, with other settings than usual.
    pub(crate) async fn start_as(
        &self,
        provider: Arc<dyn PaymentProvider>,
        settings: PaymentsSettings,
    ) -> Running {
        let (environment, database) = (self.environment.clone(), self.url(payments::NAME));
        let module = PaymentsModule::through(provider);
        let module = open(&module, environment, &database, settings).await;
        Running(testkit::running::Running::all(&self.environment, module))
    }

    /// Forgets the module's own database, checkpoints included.
    pub(crate) async fn forget_read_models(&self) {
        let url = self.url(payments::NAME);
        match Engine::of(&url).unwrap() {
            Engine::Postgres => {
                testkit::postgres::execute(&url, "DROP SCHEMA payments CASCADE").await
            }
            Engine::Sqlite => {
                let file = database::sqlite_path(&url).unwrap();
                for suffix in ["", "-wal", "-shm"] {
                    drop(std::fs::remove_file(format!("{}{suffix}", file.display())));
                }
            }
        }
    }

    /// Returns the sandbox's ledger, as another process would read it.
    pub(crate) async fn charges(&self) -> Vec<SandboxCharge> {
        let clock = self.environment.clock.clone();
        let url = self.url("sandbox");
        let sandbox = Sandbox::open(&url, clock, SandboxSettings::default()).await.unwrap();
        sandbox.charges().await.unwrap()
    }

    /// Publishes an invoice over 119.76 EUR. Returns the id of its payment.
    pub(crate) async fn issue(&self, method: &str) -> PaymentId {
        let invoice_id = InvoiceId::from(new_id());
        let issued = InvoiceIssued {
            invoice_id,
            payment_method: method.to_owned(),
            total: "119.76".parse().unwrap(),
            ..InvoiceIssued::sample()
        };
        self.publish(invoice_id, issued.into()).await;
        payment_of(invoice_id)
    }

    /// Returns the invoice of a payment.
    pub(crate) async fn invoice_of(&self, payment: PaymentId) -> InvoiceId {
        let requested = self.data::<PaymentRequested>(payment).await;
        serde_json::from_value(requested["invoice_id"].clone()).unwrap()
    }

    /// Publishes the voiding of an invoice.
    pub(crate) async fn void(&self, invoice_id: InvoiceId) {
        let voided = InvoiceVoided { invoice_id, ..InvoiceVoided::sample() };
        self.publish(invoice_id, voided.into()).await;
    }

    /// Publishes the credit of the last proposed refund. Returns the refund's id.
    pub(crate) async fn credit(&self, payment: PaymentId, amount: &str) -> RefundId {
        let (invoice_id, refund_id) = self.proposed(payment).await;
        let due = RefundDue {
            invoice_id,
            payment_id: payment.as_uuid(),
            refund_id: refund_id.as_uuid(),
            amount: amount.parse().unwrap(),
            ..RefundDue::sample()
        };
        self.publish(invoice_id, due.into()).await;
        refund_id
    }

    /// Publishes the denial of the last proposed refund.
    pub(crate) async fn deny(&self, payment: PaymentId, reason: DenialReason) {
        let (invoice_id, refund_id) = self.proposed(payment).await;
        let denied = RefundDenied {
            invoice_id,
            payment_id: payment.as_uuid(),
            refund_id: refund_id.as_uuid(),
            reason,
        };
        self.publish(invoice_id, denied.into()).await;
    }

    /// The invoice and the id of the refund that was proposed last.
    async fn proposed(&self, payment: PaymentId) -> (InvoiceId, RefundId) {
        let proposed = self.last::<RefundProposed>(payment).await;
        let id = |member: &str| proposed[member].as_str().unwrap().parse::<Uuid>().unwrap();
        (id("invoice_id").into(), id("refund_id").into())
    }

    async fn last<E: Published>(&self, payment: PaymentId) -> Value {
        let events = self.events(payment).await;
        let event = events.iter().rfind(|event| event.event_type == E::TYPE).unwrap();
        self.environment.codec.readable_data(event).await.unwrap()
    }

    /// Publishes an event of an invoice.
    pub(crate) async fn publish(&self, invoice_id: InvoiceId, event: Billing) {
        record(&self.environment, "invoice", invoice_id.as_uuid(), event).await;
    }

    /// Everything that happened to a payment.
    pub(crate) async fn events(&self, payment: PaymentId) -> Vec<Arc<RecordedEvent>> {
        let stream = StreamName::of("payment", payment);
        self.environment.store.read_stream(&stream, 0, 100).await.unwrap()
    }

    /// The names of what happened to a payment, without module and version.
    pub(crate) async fn story(&self, payment: PaymentId) -> Vec<String> {
        let name = |event: &Arc<RecordedEvent>| {
            event.event_type.split('.').nth(1).unwrap_or_default().to_owned()
        };
        self.events(payment).await.iter().map(name).collect()
    }

    /// Returns the data of the one event of this type of a payment, decrypted.
    pub(crate) async fn data<E: Published>(&self, payment: PaymentId) -> Value {
        let events = self.events(payment).await;
        let event = events.iter().find(|event| event.event_type == E::TYPE).unwrap();
        self.environment.codec.readable_data(event).await.unwrap()
    }

    /// Waits until an event of this type has happened to a payment.
    #[track_caller]
    pub(crate) fn until<E: Published>(&self, payment: PaymentId) -> impl Future<Output = ()> {
        let mut head = self.environment.store.watch_head();
        let caller = std::panic::Location::caller();
        async move {
            let seen = async {
                loop {
                    head.borrow_and_update();
                    let events = self.events(payment).await;
                    if events.iter().any(|event| event.event_type == E::TYPE) {
                        return;
                    }
                    head.changed().await.unwrap();
                }
            };
            if tokio::time::timeout(PATIENCE, seen).await.is_err() {
                panic!("no {} at {caller}: {:?}", E::TYPE, self.story(payment).await);
            }
        }
    }

    /// The keys of every subscription that have parked events.
    pub(crate) async fn parked(&self) -> Vec<String> {
        let (environment, url) = (self.environment.clone(), self.url(payments::NAME));
        let module = PaymentsModule::through(Scripted::new([]));
        let database = open(&module, environment, &url, settings()).await.database;
        let mut keys = Vec::new();
        for name in ["payments.collection", "payments.provider-calls", "payments.payments.v1"] {
            keys.extend(database.parked_keys(name).await.unwrap());
        }
        keys
    }

    /// How far a subscription has come.
    pub(crate) async fn checkpoint(&self, running: &Running, subscription: &str) -> u64 {
        let checkpoint = running.module.database.checkpoint(subscription).await.unwrap();
        checkpoint.map_or(0, |checkpoint| checkpoint.position)
    }

    /// Waits until something is so that nothing announces.
    #[track_caller]
    pub(crate) fn eventually(
        &self,
        what: &'static str,
        mut is_so: impl AsyncFnMut() -> bool,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let so = async {
                while !is_so().await {
                    tokio::task::yield_now().await;
                }
            };
            let outcome = tokio::time::timeout(PATIENCE, so).await;
            assert!(outcome.is_ok(), "not so at {caller}: {what}");
        }
    }
}

/// The module at work.
pub(crate) struct Running(testkit::running::Running);

impl Deref for Running {
    type Target = testkit::running::Running;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Running {
    /// Stops it in whatever it is doing.
    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }

    /// Stops it as a kill would: nothing is saved any more.
    pub(crate) async fn kill(self) {
        self.0.kill().await;
    }

    pub(crate) fn sync_target(&self) -> Arc<dyn SyncTarget> {
        Arc::clone(&self.module.sync_targets[0])
    }

    /// The answer to a request.
    pub(crate) async fn call(&self, request: TestRequest) -> Answer {
        Client::of(&self.module).send(request).await
    }

    /// The payment as it is shown once everything recorded so far is visible.
    pub(crate) async fn view(&self, world: &World, payment: PaymentId) -> Value {
        let answer = self.get(world, &format!("/{payment}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub(crate) async fn get(&self, world: &World, path: &str) -> Answer {
        let head = world.environment.store.head().await.unwrap();
        let request = TestRequest::get().uri(&format!("/api/v1/payments{path}"));
        self.call(request.insert_header(("Bascule-Min-Position", head.to_string()))).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<Value>) -> Answer {
        let request = TestRequest::post().uri(&format!("/api/v1/payments{path}"));
        let request = match body {
            Some(body) => request.set_json(body),
            None => request,
        };
        self.call(request).await
    }
}
