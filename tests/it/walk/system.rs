//! The four modules at work on one store, with time in the test's hands.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use billing::{BillingModule, BillingSettings};
use chrono::{DateTime, TimeDelta, Utc};
use customers::CustomersModule;
use database::{Database, Engine};
use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::Codec;
use kernel::event::{EventFilter, Position, RecordedEvent};
use kernel::execution::Environment;
use kernel::keys::SecretKey;
use kernel::lease::RuntimeOptions;
use kernel::seams::Clock;
use kernel::subscription::Identity;
use module::{NoSettings, OpenModule};
use orders::OrdersModule;
use payments::provider::{Sandbox, SandboxSettings};
use payments::{BreakerSettings, PaymentsModule, PaymentsSettings};
use store_sqlx::StoreOptions;
use testkit::Mounted;
use testkit::engines::TestTables;
use testkit::modules::open;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::commands::Routes;

/// Half an hour before a new year where the firm has its seat: the second deadline passes in it, and
/// documents are numbered in two series.
const BEGINNING: &str = "2026-12-31T22:30:00Z";
/// How long a payment has.
const PAYMENT_DEADLINE: TimeDelta = TimeDelta::minutes(15);
/// How far a passing deadline moves the clock: further than any deadline that was set before.
const BEYOND_A_DEADLINE: TimeDelta = TimeDelta::minutes(20);
/// A page of the log.
const PAGE: usize = 1000;

/// A clock that stands still until the test moves it.
struct ManualClock(Mutex<DateTime<Utc>>);

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// A subscription that runs, and where its checkpoint is.
pub(super) struct Running {
    pub(super) name: String,
    pub(super) filter: EventFilter,
    pub(super) database: Database,
}

impl Running {
    fn new(identity: &Identity, database: &Database) -> Self {
        Self {
            name: identity.name.clone(),
            filter: EventFilter::families_of(identity.types.iter().copied()),
            database: database.clone(),
        }
    }
}

/// The modules at work.
pub(super) struct System {
    pub(super) environment: Environment,
    pub(super) api: Mounted,
    pub(super) routes: Routes,
    /// The payment provider, whose books are read past the product.
    pub(super) provider: Sandbox,
    pub(super) running: Vec<Running>,
    clock: Arc<ManualClock>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
    modules: Vec<OpenModule>,
    opened: store_sqlx::Opened,
    _place: TestTables,
}

impl System {
    /// Opens the modules on an empty store and starts everything that they run.
    pub(super) async fn on(engine: Engine) -> Self {
        let place = TestTables::on(engine).await;
        let clock = Arc::new(ManualClock(Mutex::new(BEGINNING.parse().unwrap())));
        let key = SecretKey::generate().unwrap();
        let options =
            StoreOptions { queue_deadline: Duration::from_secs(60), ..Default::default() };
        let opened = store_sqlx::open(place.url(), &key, clock.clone(), options).await.unwrap();
        let lookup_key = opened.vault.lookup_key().await.unwrap();
        let codec = Codec::new(Arc::clone(&opened.vault));
        let store = Arc::clone(&opened.store);
        // A busy machine must not cost a lease.
        let lease_ttl = Duration::from_secs(120);
        let environment = Environment::new(store, codec, clock.clone(), lookup_key)
            .with_runtime(RuntimeOptions { lease_ttl, ..Default::default() })
            .with_snapshots(Arc::clone(&opened.snapshots));
        let url = |name| database::module_url(place.url(), name).unwrap();
        let sandbox = payments_settings().sandbox;
        let provider = Sandbox::open(&url("sandbox"), clock.clone(), sandbox).await.unwrap();
        let mut modules = open_modules(&environment, &url, &provider).await;
        let api = Mounted::of(modules.iter().map(|module| &module.configure)).await;
        let routes = Routes::of(&api);
        routes.expect_rows_for_all();
        let (mut running, mut tasks) = (Vec::new(), JoinSet::new());
        let shutdown = CancellationToken::new();
        for module in &mut modules {
            for subscription in module.subscriptions.drain(..) {
                running.push(Running::new(subscription.identity(), &module.database));
                tasks.spawn(subscription.run(shutdown.clone()));
            }
        }
        let _place = place;
        Self {
            environment,
            api,
            routes,
            provider,
            running,
            clock,
            shutdown,
            tasks,
            modules,
            opened,
            _place,
        }
    }

    /// Every deadline that was set passes.
    pub(super) fn pass_deadlines(&self) {
        *self.clock.0.lock().unwrap() += BEYOND_A_DEADLINE;
    }

    /// The whole log.
    pub(super) async fn log(&self, after: Position) -> Vec<Arc<RecordedEvent>> {
        let (mut events, mut position) = (Vec::new(), after);
        loop {
            let store = &self.environment.store;
            let page = store.read_log(position, &EventFilter::all(), PAGE).await.unwrap();
            if page.scanned_to == position {
                return events;
            }
            position = page.scanned_to;
            events.extend(page.events);
        }
    }

    /// Why events were set aside, with the subscription that did.
    pub(super) async fn parked(&self) -> Vec<(String, String)> {
        let mut parked = Vec::new();
        for Running { name, database, .. } in &self.running {
            for event in database.parked_events(name, None, 0, PAGE).await.unwrap() {
                parked.push((name.clone(), format!("{event:?}")));
            }
        }
        parked
    }

    /// Stops everything in order.
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.join_all().await;
        drop(self.api);
        for module in self.modules {
            module.database.close().await;
        }
        self.environment.finish().await;
        drop(self.environment);
        self.opened.close().await;
    }
}

async fn open_modules(
    environment: &Environment,
    url: &impl Fn(&'static str) -> String,
    provider: &Sandbox,
) -> Vec<OpenModule> {
    let with = || environment.clone();
    let payments = PaymentsModule::through(Arc::new(provider.clone()));
    vec![
        open(&CustomersModule, with(), &url(customers::NAME), NoSettings {}).await,
        open(&OrdersModule, with(), &url(orders::NAME), NoSettings {}).await,
        open(&BillingModule, with(), &url(billing::NAME), BillingSettings::default()).await,
        open(&payments, with(), &url(payments::NAME), payments_settings()).await,
    ]
}

/// Deadlines are the test's to pass; nothing else takes long.
fn payments_settings() -> PaymentsSettings {
    PaymentsSettings {
        deadline_ms: PAYMENT_DEADLINE.num_milliseconds().cast_unsigned(),
        // A call that is never answered occupies its place for so long.
        call_timeout_ms: 500,
        first_pause_ms: 5,
        longest_pause_ms: 1000,
        concurrent_charges: 1000,
        concurrent_enquiries: 16,
        // The provider works; on a busy machine its answers may be late all the same.
        breaker: BreakerSettings { failures: u32::MAX, first_pause_ms: 1, longest_pause_ms: 1 },
        sandbox: SandboxSettings { slow_answer_after_ms: 3_600_000, ledger: None },
    }
}
