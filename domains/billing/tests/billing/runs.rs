//! Runs: pending documents are numbered together, and a failure of one does not affect the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use billing::domain::Refusal;
use billing::handlers::{Billing, Error, invoice_of};
use billing_contract::VoidReason;
use database::Engine;
use kernel::decorator::Decorator;
use kernel::event::EventFilter;
use kernel::execution::{Environment, Executed};
use kernel::memory::MemoryStore;
use kernel::seams::new_id;
use kernel::store::{AppendError, AppendRequest, Appended, EventStore};
use orders_contract::OrderPlaced;
use proptest::prelude::*;
use rstest::rstest;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::numbering::{
    NOON, Tables, assert_without_a_hole, cause_of, documents, issue, process, void,
};
use crate::world::{SetClock, environment_on, order_of};

/// A store whose appends wait at a gate while it is closed.
struct Gated {
    inner: MemoryStore,
    is_closed: AtomicBool,
    gate: Semaphore,
    arrived: Semaphore,
    appends: AtomicUsize,
}

impl Decorator for Gated {
    fn inner(&self) -> &dyn EventStore {
        &self.inner
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        if self.is_closed.load(Ordering::SeqCst) {
            self.arrived.add_permits(1);
            self.gate.acquire().await.unwrap().forget();
        }
        self.inner.append_many(requests).await
    }
}

/// Billing whose next append can be held, so that documents pile up behind it.
struct Desk {
    store: Arc<Gated>,
    environment: Environment,
    billing: Billing,
    tables: Arc<Tables>,
}

impl Desk {
    async fn new(engine: Engine) -> Self {
        Self::at(Arc::new(Tables::on(engine).await)).await
    }

    /// A desk with a log of its own.
    async fn at(tables: Arc<Tables>) -> Self {
        let clock = SetClock::at(NOON);
        let store = Arc::new(Gated {
            inner: MemoryStore::new(clock.clone()),
            is_closed: AtomicBool::new(false),
            gate: Semaphore::new(0),
            arrived: Semaphore::new(0),
            appends: AtomicUsize::new(0),
        });
        let environment = environment_on(store.clone(), clock);
        let billing = process(&environment, &tables).await;
        Self { store, environment, billing, tables }
    }

    /// Another process on the same log.
    async fn other(&self) -> Billing {
        process(&self.environment, &self.tables).await
    }

    /// Holds the append of a first order's invoice. The task that is at it.
    async fn close(&self) -> JoinHandle<()> {
        self.store.is_closed.store(true, Ordering::SeqCst);
        let billing = self.billing.clone();
        let first = tokio::spawn(async move { issue(&billing, &order_of(new_id().into())).await });
        self.store.arrived.acquire().await.unwrap().forget();
        first
    }

    fn open(&self) {
        self.store.is_closed.store(false, Ordering::SeqCst);
        self.store.gate.add_permits(1);
    }

    fn take_appends(&self) -> usize {
        self.store.appends.swap(0, Ordering::SeqCst)
    }
}

/// A command for billing.
#[derive(Clone)]
enum Asked {
    Issue(OrderPlaced),
    Void(OrderPlaced, VoidReason),
}

impl Asked {
    async fn of(self, billing: Billing) -> Result<Executed, Error> {
        match self {
            Self::Issue(order) => billing.issue(&order, None, &cause_of(order.order_id)).await,
            Self::Void(order, reason) => {
                let id = invoice_of(order.order_id);
                // Each reason stands for a trigger of its own.
                let trigger = uuid::Uuid::new_v5(&id.as_uuid(), format!("{reason:?}").as_bytes());
                billing.void(id, reason, &cause_of(trigger)).await
            }
        }
    }
}

/// Asks for all of them, in order, while the gate is closed; then opens it. Their outcomes.
async fn pile_up(desk: &Desk, all: Vec<Asked>) -> Vec<Result<Executed, Error>> {
    let first = desk.close().await;
    let mut tasks = Vec::new();
    for asked in all {
        tasks.push(tokio::spawn(asked.of(desk.billing.clone())));
        // On one thread each runs until it waits, in the order of the tasks.
        tokio::task::yield_now().await;
    }
    desk.open();
    first.await.unwrap();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

fn orders(count: usize) -> Vec<OrderPlaced> {
    (0..count).map(|_| order_of(new_id().into())).collect()
}

fn issues(orders: &[OrderPlaced]) -> Vec<Asked> {
    orders.iter().cloned().map(Asked::Issue).collect()
}

#[rstest]
#[tokio::test]
async fn as_many_as_are_pending_take_their_numbers_in_one_append_and_in_order(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let desk = Desk::new(engine).await;
    let orders = orders(64);
    let outcomes = pile_up(&desk, issues(&orders)).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|done| done.recorded)));
    assert_eq!(desk.take_appends(), 2);
    assert_without_a_hole(&desk.environment, 2026, 65).await;
    let documents = documents(&desk.environment).await;
    let numbers = orders.iter().map(|order| &documents[&invoice_of(order.order_id)].0);
    assert!(numbers.is_sorted());
    // Each document before its number.
    let filter = EventFilter::families_of(["billing.InvoiceIssued.v1", "billing.NumberTaken.v1"]);
    let page = desk.environment.store.read_log(0, &filter, 1000).await.unwrap();
    let at = |correlation, event_type: &str| {
        let mut events = page.events.iter();
        let found = events.find(|event| {
            event.metadata.correlation_id == correlation && &*event.event_type == event_type
        });
        found.unwrap().position
    };
    for order in &orders {
        let [issued, taken] = ["billing.InvoiceIssued.v1", "billing.NumberTaken.v1"]
            .map(|event_type| at(order.order_id.as_uuid(), event_type));
        assert!(issued < taken);
    }
}

#[rstest]
#[tokio::test]
async fn one_that_is_refused_or_too_large_neither_fails_the_others_nor_leaves_a_hole(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let desk = Desk::new(engine).await;
    let issued = order_of(new_id().into());
    issue(&desk.billing, &issued).await;
    let good = orders(10);
    let mut all = issues(&good);
    let odd = OrderPlaced { total: "1".parse().unwrap(), ..order_of(new_id().into()) };
    all.insert(3, Asked::Issue(odd));
    let nothing = order_of(new_id().into());
    all.insert(5, Asked::Void(nothing, VoidReason::OrderCancelled));
    let payment_method = "x".repeat(1024 * 1024);
    all.insert(7, Asked::Issue(OrderPlaced { payment_method, ..order_of(new_id().into()) }));
    let mut outcomes = pile_up(&desk, all).await;
    let too_large = outcomes.remove(7);
    assert!(
        matches!(too_large, Err(Error::Append(AppendError::EventTooLarge { .. }))),
        "{too_large:?}"
    );
    let nothing = outcomes.remove(5);
    assert!(matches!(nothing, Err(Error::Refused(Refusal::NoSuchInvoice))), "{nothing:?}");
    let odd = outcomes.remove(3);
    assert!(matches!(odd, Err(Error::Refused(Refusal::TotalsDisagree { .. }))), "{odd:?}");
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|done| done.recorded)));
    assert_without_a_hole(&desk.environment, 2026, 12).await;
}

#[rstest]
#[tokio::test]
async fn what_is_too_much_for_one_append_takes_several(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let desk = Desk::new(engine).await;
    let payment_method = "x".repeat(400 * 1024);
    let large = orders(5).into_iter();
    let large = large.map(|order| OrderPlaced { payment_method: payment_method.clone(), ..order });
    let outcomes = pile_up(&desk, large.map(Asked::Issue).collect()).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|done| done.recorded)));
    assert_eq!(desk.take_appends(), 1 + 3);
    assert_without_a_hole(&desk.environment, 2026, 6).await;
}

#[rstest]
#[tokio::test]
async fn what_another_process_has_done_is_recognised_in_the_midst_of_a_run(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let desk = Desk::new(engine).await;
    let orders = orders(20);
    let other = desk.other().await;
    for order in orders.iter().step_by(2) {
        issue(&other, order).await;
    }
    let outcomes = pile_up(&desk, issues(&orders)).await;
    let recorded: Vec<bool> =
        outcomes.into_iter().map(|outcome| outcome.unwrap().recorded).collect();
    assert_eq!(recorded, [false, true].repeat(10));
    assert_without_a_hole(&desk.environment, 2026, 21).await;
}

#[rstest]
#[tokio::test]
async fn two_reasons_to_void_an_invoice_at_once_give_one_credit_note(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let desk = Desk::new(engine).await;
    let order = order_of(new_id().into());
    issue(&desk.billing, &order).await;
    let reasons = [VoidReason::OrderCancelled, VoidReason::PaymentDeclined];
    let all = reasons.map(|reason| Asked::Void(order.clone(), reason));
    let outcomes = pile_up(&desk, all.into()).await;
    let recorded = outcomes.iter().filter(|one| one.as_ref().is_ok_and(|done| done.recorded));
    assert_eq!(recorded.count(), 1, "{outcomes:?}");
    assert_without_a_hole(&desk.environment, 2026, 3).await;
}

#[rstest]
#[tokio::test]
async fn who_has_the_turn_may_be_dropped_and_takes_nobody_along(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let desk = Desk::new(engine).await;
    let first = desk.close().await;
    let mut tasks = JoinSet::new();
    for order in orders(10) {
        let billing = desk.billing.clone();
        tasks.spawn(async move { issue(&billing, &order).await });
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    // The others' run arrives; one more comes after it.
    desk.store.arrived.acquire().await.unwrap().forget();
    tasks.spawn({
        let (billing, order) = (desk.billing.clone(), order_of(new_id().into()));
        async move { issue(&billing, &order).await }
    });
    desk.open();
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    // The dropped one's append never reached the log.
    assert_without_a_hole(&desk.environment, 2026, 11).await;
}

/// Any commands of two processes at once, of which one is dropped and repeats its commands: no hole, no
/// duplicate, and each order has what it should.
#[rstest]
fn whatever_is_asked_of_two_processes_leaves_no_hole(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tables = Arc::new(runtime.block_on(Tables::on(engine)));
    let several = prop::collection::vec((0..12_usize, 0..4_u8, any::<bool>()), 1..40);
    proptest!(ProptestConfig::with_cases(64), |(all in several, dropped in 0..40_usize)| {
        runtime.block_on(leaves_no_hole(Arc::clone(&tables), &all, dropped));
    });
}

/// Each of `all` has the index of an order, a command, and whether the other process executes it.
async fn leaves_no_hole(tables: Arc<Tables>, all: &[(usize, u8, bool)], dropped: usize) {
    let desk = Desk::at(tables).await;
    let other = desk.other().await;
    let orders = orders(12);
    let mut tasks = Vec::new();
    for (number, (order, what, by_other)) in all.iter().enumerate() {
        let order = orders[*order].clone();
        let asked = match what {
            0 | 1 => Asked::Issue(order),
            2 => Asked::Void(order, VoidReason::OrderCancelled),
            _ => Asked::Void(order, VoidReason::PaymentExpired),
        };
        let billing = if *by_other { &other } else { &desk.billing };
        let task = tokio::spawn(asked.clone().of(billing.clone()));
        tokio::task::yield_now().await;
        if number % 7 == dropped % 7 {
            task.abort();
        }
        tasks.push((asked, task));
    }
    for (asked, task) in tasks {
        // Repeated after it was dropped, as after a crash.
        if task.await.is_err() {
            drop(asked.of(other.clone()).await);
        }
    }
    let count = documents(&desk.environment).await.len();
    assert_without_a_hole(&desk.environment, 2026, count).await;
    let issued: std::collections::BTreeSet<_> =
        all.iter().filter(|(_, what, _)| *what < 2).map(|(order, ..)| *order).collect();
    for order in issued {
        void(&other, &orders[order]).await;
    }
}
