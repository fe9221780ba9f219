//! Numbers have no gaps and no duplicates and are chronological, also under failures.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use billing::domain::series::SeriesEvent;
use billing::domain::{Event, Refusal};
use billing::handlers::{Billing, Error, credit_note_of, invoice_of};
use billing::projections::{InvoiceViews, KnownCustomers};
use billing::{BillingSettings, MIGRATIONS, NAME};
use billing_contract::{InvoiceId, VoidReason};
use chrono::NaiveDate;
use database::{Database, Engine};
use kernel::cache::CacheOptions;
use kernel::event::{EventFilter, StreamName};
use kernel::execution::{Cause, Environment, Executed};
use kernel::memory::MemoryStore;
use kernel::projection::ProjectionRunner;
use kernel::seams::{SystemClock, new_id};
use kernel::store::EventStore;
use orders_contract::OrderPlaced;
use rstest::rstest;
use testkit::engines::TestTables;
use uuid::Uuid;

use crate::stores::Unreliable;
use crate::world::{SetClock, environment_on, order_of};

pub const NOON: &str = "2026-03-02T11:00:00Z";

/// The tables that all processes share.
pub struct Tables {
    database: Database,
    _place: TestTables,
}

impl Tables {
    pub async fn on(engine: Engine) -> Self {
        let place = TestTables::on(engine).await;
        let database = Database::open(place.url(), NAME, &MIGRATIONS).await.unwrap();
        Self { database, _place: place }
    }
}

/// Billing as another process has it: the same log and tables, nothing in memory.
pub async fn process(environment: &Environment, tables: &Tables) -> Billing {
    let environment = environment.clone().with_cache(CacheOptions::default());
    let database = tables.database.clone();
    let (_, views) = ProjectionRunner::new(InvoiceViews, environment.clone(), database.clone());
    let (_, customers) =
        ProjectionRunner::new(KnownCustomers, environment.clone(), database.clone());
    Billing::new(environment.clone(), database, BillingSettings::default(), views, customers)
}

/// What a policy would carry: the same trigger gives the same cause.
pub fn cause_of(trigger: impl Into<Uuid>) -> Cause {
    let trigger = trigger.into();
    Cause::request(trigger, "test").recognised_by(trigger, "billing.invoicing")
}

/// As the policy runtime does: again while it may help.
async fn persistently<F: Future<Output = Result<Executed, Error>>>(command: impl Fn() -> F) {
    loop {
        match command().await {
            Ok(_) => return,
            Err(error) if error.is_transient() => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

pub async fn issue(billing: &Billing, order: &OrderPlaced) {
    persistently(|| async { billing.issue(order, None, &cause_of(order.order_id)).await }).await;
}

pub async fn void(billing: &Billing, order: &OrderPlaced) {
    let invoice_id = invoice_of(order.order_id);
    let cause = cause_of(invoice_id);
    persistently(|| billing.void(invoice_id, VoidReason::OrderCancelled, &cause)).await;
}

/// What the series of a year has given: number, document, day; in its own order.
async fn series(environment: &Environment, year: i32) -> Vec<(String, InvoiceId, NaiveDate)> {
    let stream = StreamName::new(format!("series-{year}")).unwrap();
    let events = environment.store.read_stream(&stream, 0, 10_000).await.unwrap();
    let mut taken = Vec::new();
    for event in events {
        let SeriesEvent::Taken(one) = environment.codec.decode(event).await.unwrap().event;
        taken.push((one.number, one.invoice_id, one.issue_date));
    }
    taken
}

/// Returns number and day of every document by its id, and checks that each document is issued once.
pub async fn documents(environment: &Environment) -> BTreeMap<InvoiceId, (String, NaiveDate)> {
    let filter =
        EventFilter::families_of(["billing.InvoiceIssued.v1", "billing.CreditNoteIssued.v1"]);
    let page = environment.store.read_log(0, &filter, 10_000).await.unwrap();
    let mut documents = BTreeMap::new();
    for event in page.events {
        let (id, number, day) = match environment.codec.decode(event).await.unwrap().event {
            Event::Issued(one) => (one.invoice_id, one.number, one.issue_date),
            Event::CreditNoteIssued(one) => (one.invoice_id, one.number, one.issue_date),
            other => panic!("{other:?}"),
        };
        assert!(documents.insert(id, (number, day)).is_none(), "{id} was issued twice");
    }
    documents
}

/// The series and the documents agree, there are so many, and there is no hole.
pub async fn assert_without_a_hole(environment: &Environment, year: i32, count: usize) {
    let taken = series(environment, year).await;
    let expected: Vec<String> = (1..=count).map(|n| format!("{year}-{n:06}")).collect();
    let numbers: Vec<&String> = taken.iter().map(|(number, ..)| number).collect();
    assert_eq!(numbers, expected.iter().collect::<Vec<_>>());
    let documents = documents(environment).await;
    let borne: BTreeSet<_> = documents.values().map(|(number, _)| number).collect();
    assert_eq!(borne, expected.iter().collect());
    for (number, id, day) in &taken {
        assert_eq!(documents.get(id), Some(&(number.clone(), *day)));
    }
}

async fn many_at_once(engine: Engine, store: Arc<dyn EventStore>) -> Environment {
    let environment = environment_on(store, Arc::new(SystemClock));
    let tables = Tables::on(engine).await;
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(process(&environment, &tables).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..200 {
        let billing = processes[task % processes.len()].clone();
        tasks.spawn(async move {
            let order = order_of(new_id().into());
            issue(&billing, &order).await;
            // Every tenth is voided again.
            if task % 10 == 0 {
                void(&billing, &order).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    environment
}

fn year_of(environment: &Environment) -> i32 {
    use chrono::Datelike as _;
    environment.clock.now().with_timezone(&BillingSettings::default().time_zone).year()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_in_four_processes_leave_no_hole_and_no_duplicate(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let environment = many_at_once(engine, Arc::new(MemoryStore::new(Arc::new(SystemClock)))).await;
    assert_without_a_hole(&environment, year_of(&environment), 220).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_that_fail_or_whose_answer_is_lost_leave_no_hole_and_no_duplicate(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let environment =
        many_at_once(engine, Unreliable::failing(MemoryStore::new(Arc::new(SystemClock)))).await;
    assert_without_a_hole(&environment, year_of(&environment), 220).await;
}

#[rstest]
#[tokio::test]
async fn whoever_comes_second_takes_the_next_number_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = SetClock::at(NOON);
    let store = Unreliable::racing(MemoryStore::new(clock.clone()));
    let environment = environment_on(store.clone(), clock);
    let tables = Tables::on(engine).await;
    let billing = process(&environment, &tables).await;
    let (first, second) = (order_of(new_id().into()), order_of(new_id().into()));
    issue(&billing, &first).await;
    let billing = process(&environment, &tables).await;
    store.miss_the_last_event();
    let outcome = billing.issue(&second, None, &cause_of(second.order_id)).await;
    assert!(outcome.as_ref().is_ok_and(|done| done.recorded), "{outcome:?}");
    let billing = process(&environment, &tables).await;
    store.miss_the_last_event();
    let (invoice_id, reason) = (invoice_of(first.order_id), VoidReason::OrderCancelled);
    let outcome = billing.void(invoice_id, reason, &cause_of(invoice_id)).await;
    assert!(outcome.as_ref().is_ok_and(|done| done.recorded), "{outcome:?}");
    assert_without_a_hole(&environment, 2026, 3).await;
}

#[rstest]
#[tokio::test]
async fn a_process_at_work_numbers_and_voids_without_reading(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = SetClock::at(NOON);
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let environment = environment_on(store.clone(), clock);
    let tables = Tables::on(engine).await;
    let billing = process(&environment, &tables).await;
    // Where the series stands, which this process is the first to ask.
    issue(&billing, &order_of(new_id().into())).await;
    assert_eq!(store.take_stream_reads().reads, 1);
    let order = order_of(new_id().into());
    issue(&billing, &order).await;
    void(&billing, &order).await;
    assert_eq!(store.take_stream_reads().reads, 0);
    assert_without_a_hole(&environment, 2026, 3).await;
}

/// Whichever of what this process knows or reads is out of date: what another one did meanwhile,
/// for the same trigger or for another one, is found done and never refused.
#[rstest]
#[tokio::test]
async fn what_another_process_does_meanwhile_is_found_done(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let tables = Tables::on(engine).await;
    for same_trigger in [true, false] {
        // Reads of this process: the invoice, the series; none while it has both in memory.
        for reads in 0..=2 {
            let clock = SetClock::at(NOON);
            let store = Unreliable::racing(MemoryStore::new(clock.clone()));
            let environment = environment_on(store.clone(), clock);
            let mut billing = process(&environment, &tables).await;
            let other = process(&environment, &tables).await;
            let order = order_of(new_id().into());
            let id = invoice_of(order.order_id);
            issue(&billing, &order).await;

            let cause = cause_of(id);
            let others = if same_trigger { cause.clone() } else { cause_of(new_id()) };
            let voiding = async move {
                let voided = other.void(id, VoidReason::OrderCancelled, &others).await;
                assert!(voided.as_ref().is_ok_and(|done| done.recorded), "{voided:?}");
            };
            if reads == 0 {
                voiding.await;
            } else {
                billing = process(&environment, &tables).await;
                store.after_reads(reads, voiding);
            }
            let outcome = billing.void(id, VoidReason::OrderCancelled, &cause).await;
            assert!(outcome.is_ok_and(|done| !done.recorded), "{reads}, {same_trigger}");
            assert_without_a_hole(&environment, 2026, 2).await;
        }
    }
}

#[rstest]
#[tokio::test]
async fn an_invoice_that_another_process_issues_meanwhile_is_found_issued(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let tables = Tables::on(engine).await;
    // Reads of this process: the series. The invoice is believed to be new.
    for reads in 0..=1 {
        let clock = SetClock::at(NOON);
        let store = Unreliable::racing(MemoryStore::new(clock.clone()));
        let environment = environment_on(store.clone(), clock);
        let billing = process(&environment, &tables).await;
        let other = process(&environment, &tables).await;
        let order = order_of(new_id().into());
        let same = order.clone();
        let issuing = async move { issue(&other, &same).await };
        if reads == 0 {
            issuing.await;
        } else {
            store.after_reads(reads, issuing);
        }
        let outcome = billing.issue(&order, None, &cause_of(order.order_id)).await;
        assert!(outcome.is_ok_and(|done| !done.recorded), "{reads}");
        assert_without_a_hole(&environment, 2026, 1).await;
    }
}

#[rstest]
#[tokio::test]
async fn days_of_issue_never_go_back_when_the_clock_does(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = SetClock::at(NOON);
    let environment = environment_on(Arc::new(MemoryStore::new(clock.clone())), clock.clone());
    let tables = Tables::on(engine).await;
    let billing = process(&environment, &tables).await;
    let order = order_of(new_id().into());
    issue(&billing, &order).await;
    clock.set("2026-03-01T11:00:00Z");
    issue(&billing, &order_of(new_id().into())).await;
    void(&billing, &order).await;
    clock.set("2026-03-03T11:00:00Z");
    issue(&billing, &order_of(new_id().into())).await;
    let days: Vec<String> =
        series(&environment, 2026).await.iter().map(|(.., day)| day.to_string()).collect();
    assert_eq!(days, ["2026-03-02", "2026-03-02", "2026-03-02", "2026-03-03"]);
    assert_without_a_hole(&environment, 2026, 4).await;
}

#[rstest]
#[tokio::test]
async fn every_year_has_a_series_of_its_own_and_it_is_the_seats_year(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = SetClock::at("2026-12-31T22:59:59Z");
    let environment = environment_on(Arc::new(MemoryStore::new(clock.clone())), clock.clone());
    let tables = Tables::on(engine).await;
    let billing = process(&environment, &tables).await;
    issue(&billing, &order_of(new_id().into())).await;
    // Midnight in Paris.
    clock.set("2026-12-31T23:00:00Z");
    issue(&billing, &order_of(new_id().into())).await;
    let taken = |series: Vec<(String, InvoiceId, NaiveDate)>| {
        series.into_iter().map(|(number, _, day)| format!("{number} {day}")).collect::<Vec<_>>()
    };
    assert_eq!(taken(series(&environment, 2026).await), ["2026-000001 2026-12-31"]);
    assert_eq!(taken(series(&environment, 2027).await), ["2027-000001 2027-01-01"]);
}

#[rstest]
#[tokio::test]
async fn what_is_refused_or_was_done_before_takes_no_number(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = SetClock::at(NOON);
    let environment = environment_on(Arc::new(MemoryStore::new(clock.clone())), clock);
    let tables = Tables::on(engine).await;
    let billing = process(&environment, &tables).await;
    let order = order_of(new_id().into());
    issue(&billing, &order).await;
    // The same trigger again, and another one for the same order.
    issue(&billing, &order).await;
    let again = billing.issue(&order, None, &cause_of(new_id())).await;
    assert!(matches!(again, Err(Error::Refused(Refusal::AlreadyIssued))), "{again:?}");
    let odd = OrderPlaced { total: "1".parse().unwrap(), ..order_of(new_id().into()) };
    assert!(billing.issue(&odd, None, &cause_of(odd.order_id)).await.is_err());
    assert_without_a_hole(&environment, 2026, 1).await;

    void(&billing, &order).await;
    void(&billing, &order).await;
    let invoice_id = invoice_of(order.order_id);
    let again =
        billing.void(invoice_id, VoidReason::PaymentExpired, &cause_of(new_id())).await.unwrap();
    assert!(!again.recorded);
    let nothing =
        billing.void(new_id().into(), VoidReason::OrderCancelled, &cause_of(new_id())).await;
    assert!(matches!(nothing, Err(Error::Refused(Refusal::NoSuchInvoice))), "{nothing:?}");
    assert_without_a_hole(&environment, 2026, 2).await;
    assert!(documents(&environment).await.contains_key(&credit_note_of(invoice_id)));
}
