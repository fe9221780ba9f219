//! A module leaves the system for a service of its own, and comes back, under load: nobody is turned
//! away, no money is taken twice, and every saga ends.

mod mishaps;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use database::Engine;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::engines::TestTables;
use testkit::random::seed;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::assert_healthy;
use super::audit::{Audit, compare_with_fresh_fold};
use super::load::{Acknowledged, Addresses, Load};
use crate::server::{Data, Server};

const CLIENTS: u64 = 3;
const OPERATIONS: usize = 4;
/// So many orders are placed before the next thing happens.
const IN_BETWEEN: usize = 10;
/// Between two requests of the one that looks at payments.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How a service reaches the system's event store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It opens the same database.
    Near,
    /// Over the network.
    Far,
}

/// With what the system serves its store to the service.
const SERVED: [(&str, &str); 3] = [
    ("BASCULE_WIRE__LISTEN", "127.0.0.1:0"),
    ("BASCULE_WIRE__ACCOUNTS__PAYMENTS__PASSWORD", "swordfish"),
    ("BASCULE_WIRE__ACCOUNTS__PAYMENTS__RIGHTS", "[read, \"module:payments\", \"pii:read\"]"),
];

/// A file that is not there.
const NO_KEY: &str = "service.key";

/// A service that runs payments alone, with tables of its own, on the system's event store.
struct Service {
    place: TestTables,
    /// Where the store is, and the provider's books, if the service does not open the database.
    far: Option<(String, String)>,
}

impl Service {
    async fn on(engine: Engine) -> Self {
        Self { place: TestTables::on(engine).await, far: None }
    }

    async fn reaching(reach: Reach, engine: Engine, data: &Data, system: &Server) -> Self {
        let far = (reach == Reach::Far).then(|| {
            let address = system.wire_address();
            let store = format!("esdb://payments:swordfish@{address}?tls=false");
            let books = format!("sqlite:{}", data.path("bascule.sandbox.db").display());
            (store, if data.is_in_postgres() { data.store() } else { books })
        });
        Self { far, ..Self::on(engine).await }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        let mut environment = vec![
            ("BASCULE_RUN", "[payments]"),
            ("BASCULE_MODULES__PAYMENTS__DATABASE", self.place.url()),
        ];
        match &self.far {
            None => environment.push(("BASCULE_MODULES__PAYMENTS__AWAITS_CHARGE", "true")),
            Some((store, books)) => environment.extend([
                ("BASCULE_STORE", store.as_str()),
                // It is told what it may know by the other side, and makes no key of its own.
                ("BASCULE_MASTER_KEY_FILE", NO_KEY),
                ("BASCULE_PAYMENTS__SANDBOX__LEDGER", books.as_str()),
            ]),
        }
        environment
    }
}

/// What `bascule extract` says.
fn extract(data: &Data, system: &Server, service: &Server, more: &[&str]) -> String {
    let addresses =
        ["--from-admin", &system.admin, "--to", &service.http, "--to-admin", &service.admin];
    data.run_ok(&[&["extract", "payments"], &addresses[..], more].concat())
}

/// Clients that place and cancel orders until they are told to stop.
struct Orders {
    placing: JoinHandle<Vec<Acknowledged>>,
    stop: Arc<AtomicBool>,
    rounds: watch::Receiver<u64>,
}

impl Orders {
    fn begin(addresses: Addresses) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told_rounds, rounds) = watch::channel(0);
        let stopping = Arc::clone(&stop);
        let seed = seed();
        let placing = tokio::spawn(async move {
            let mut told = Vec::new();
            for round in 1.. {
                told.extend(Load::start(&addresses, seed, round, CLIENTS, OPERATIONS).end().await);
                told_rounds.send_replace(round);
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
            }
            told
        });
        Self { placing, stop, rounds }
    }

    /// Waits until some more was asked for and answered.
    async fn go_on(&mut self) {
        let enough = *self.rounds.borrow() + (IN_BETWEEN as u64).div_ceil(CLIENTS);
        self.rounds.wait_for(|round| *round >= enough).await.unwrap();
    }

    async fn end(self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        self.placing.await.unwrap()
    }
}

/// Somebody who looks at payments all the time, and counts how often that failed.
struct Looking {
    looking: JoinHandle<()>,
    failures: Arc<AtomicUsize>,
}

impl Looking {
    fn begin(system: &Server) -> Self {
        let failures = Arc::new(AtomicUsize::new(0));
        let (counted, client) = (Arc::clone(&failures), reqwest::Client::new());
        let url = format!("{}/api/v1/payments?limit=3", system.http);
        let looking = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(BETWEEN_LOOKS);
            loop {
                ticks.tick().await;
                let answer = client.get(&url).send().await;
                if !answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { looking, failures }
    }

    /// How many requests failed since this was last asked.
    fn take_failures(&self) -> usize {
        self.failures.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

/// The payment of an order that was paid.
async fn paid(server: &Server, email: &str) -> String {
    let customer = server.register_customer(email).await;
    let order = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&order, "confirmed").await;
    let invoices = format!("/api/v1/billing/invoices?order_id={order}");
    let page = server.until(&invoices, |page| page["items"][0]["status"] == "paid").await;
    let invoice = page["items"][0]["id"].as_str().unwrap();
    let payments = format!("/api/v1/payments?invoice_id={invoice}");
    let page = server.until(&payments, |page| page["items"][0]["status"] == "captured").await;
    page["items"][0]["id"].as_str().unwrap().to_owned()
}

/// A refund with a key; the status, and whether it was recognised as a repetition.
async fn refund(server: &Server, payment: &str, reason: &str) -> (u16, Value) {
    let path = format!("/api/v1/payments/{payment}/refund");
    let answer = server.try_post(&path, &json!({ "reason": reason }), Some("refund-1")).await;
    let answer = answer.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Who runs the payments' policies and reactors, as the system sees it.
async fn in_charge(server: &Server) -> Value {
    let (status, standing) = server.admin_do(Method::GET, "/admin/modules/payments/charge").await;
    assert_eq!(status, 200, "{standing}");
    standing["charge"]["elsewhere"].clone()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_leave_under_load_are_killed_and_come_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Reach::Near, Reach::Far)] reach: Reach,
) {
    leave_under_load_and_come_back(engine, reach, Path::new(env!("CARGO_BIN_EXE_bascule"))).await;
}

/// The same with a service that was built from a workspace of its own.
#[rstest]
#[ignore = "`make test-scaffold` builds the service that it needs"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_leave_for_a_scaffolded_service(#[values(Reach::Near, Reach::Far)] reach: Reach) {
    let program = std::env::var_os("BASCULE_TEST_SERVICE").expect("the path of the service");
    leave_under_load_and_come_back(Engine::Postgres, reach, Path::new(&program)).await;
}

async fn leave_under_load_and_come_back(engine: Engine, reach: Reach, program: &Path) {
    let data = Data::on(engine).await.with_lease(Duration::from_millis(500));
    let system = data.serve_with(if reach == Reach::Far { &SERVED } else { &[] });
    let payment = paid(&system, "marie@exemple.fr").await;
    let (status, first) = refund(&system, &payment, "broken").await;
    assert_eq!(status, 200, "{first}");

    let (_, addresses) = watch::channel(vec![system.http.clone()]);
    let mut ordering = Orders::begin(addresses);
    let looking = Looking::begin(&system);
    ordering.go_on().await;

    let one = Service::reaching(reach, engine, &data, &system).await;
    let mut service = data.serve_program(program, &one.environment());
    assert!(in_charge(&service).await.is_string(), "it waits for the module");
    extract(&data, &system, &service, &[]);
    assert_eq!(in_charge(&service).await, Value::Null);
    assert_eq!(in_charge(&system).await, format!("{}/", service.http));
    ordering.go_on().await;
    assert_eq!(looking.take_failures(), 0, "a request failed while the module left");

    // What was asked before is recognised over there, and so is another request with its key.
    let (status, again) = refund(&system, &payment, "broken").await;
    assert_eq!((status, &again["id"]), (200, &first["id"]), "{again}");
    assert_eq!(refund(&system, &payment, "another reason").await.0, 422);
    let paid_there = paid(&system, "jeanne@exemple.fr").await;
    let seen = service.get_ok(&format!("/api/v1/payments/{paid_there}")).await;
    assert_eq!(seen["status"], "captured");

    service.kill();
    ordering.go_on().await;
    assert!(looking.take_failures() > 0, "nobody noticed that the service was killed");
    let mut service = data.serve_again(&service, &one.environment());
    system.until("/api/v1/payments?limit=1", |_| true).await;
    looking.take_failures();
    ordering.go_on().await;
    assert_eq!(looking.take_failures(), 0, "a request failed after the service was back");

    extract(&data, &system, &service, &["--undo"]);
    assert_eq!(in_charge(&system).await, Value::Null);
    assert!(in_charge(&service).await.is_string());
    assert!(service.stop().success());
    ordering.go_on().await;
    assert_eq!(looking.take_failures(), 0, "a request failed while the module came back");
    assert_eq!(refund(&system, &payment, "broken").await.0, 200);

    let told = ordering.end().await;
    let late: Vec<&Acknowledged> = told.iter().filter(|told| !told.at_once).collect();
    assert!(late.is_empty(), "orders were turned away: {late:?}");
    let mut audit = Audit::default();
    audit.until_settled(&data, &system).await;
    audit.compare_with_provider(&data).await;
    assert_healthy(&data);
    compare_with_fresh_fold(&data, system).await;
    assert!(!data.path(NO_KEY).exists(), "the service made a master key");
}

/// The command, killed between any two steps, is given again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extraction_that_was_cut_off_is_given_again() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let service = data.serve_with(&one.environment());
    let give = async |side: &Server, to: &str| -> Value {
        let path = "/admin/modules/payments/hand-over";
        let request = side.admin_request(Method::POST, path).json(&json!({ "to": to }));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    };
    let take = async |side: &Server, handed: &Value| {
        let path = "/admin/modules/payments/take-over";
        let answer = side.admin_request(Method::POST, path).json(handed).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    // After each step in turn.
    let to = format!("{}/", service.http);
    let handed = give(&system, &to).await;
    extract(&data, &system, &service, &[]);
    take(&service, &handed).await;
    extract(&data, &system, &service, &[]);
    paid(&system, "marie@exemple.fr").await;

    let back = give(&service, &system.admin).await;
    let output = data.run(&[
        "extract",
        "payments",
        "--from-admin",
        &system.admin,
        "--to",
        &service.http,
        "--to-admin",
        &service.admin,
    ]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("run the command again with --undo"), "{complaint}");
    extract(&data, &system, &service, &["--undo"]);
    take(&system, &back).await;
    extract(&data, &system, &service, &["--undo"]);
    assert_eq!(in_charge(&system).await, Value::Null);
    paid(&system, "jeanne@exemple.fr").await;
}

/// Once it is configured, the system does not know the module's tables any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_stays_away_is_forwarded_to_from_the_start() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let mut system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let mut service = data.serve_with(&one.environment());
    extract(&data, &system, &service, &[]);
    assert!(system.stop().success());
    std::fs::remove_file(data.path("bascule.payments.db")).unwrap();
    let system = data.serve_with(&[("BASCULE_MODULES__PAYMENTS__REMOTE", &service.http)]);
    let payment = paid(&system, "marie@exemple.fr").await;
    let refunded = refund(&system, &payment, "broken").await;
    assert_eq!(refunded.0, 200, "{}", refunded.1);
    assert!(!data.path("bascule.payments.db").exists());
    let (status, problem) = system.get("/api/v1/payments/not-a-payment").await;
    assert_eq!((status, &problem["type"]), (400, &json!("/problems/invalid-parameter")));

    service.kill();
    let path = "/api/v1/payments";
    let answer = reqwest::get(format!("{}{path}", system.http)).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["Retry-After"].to_str().unwrap()),
        (503, "1")
    );
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/unavailable");
    system.get_ok("/api/v1/orders").await;
}

/// A service that is lost takes nothing with it: what it did stands in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_is_taken_back_from_a_service_that_is_lost() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let mut service = data.serve_with(&one.environment());
    extract(&data, &system, &service, &[]);
    paid(&system, "marie@exemple.fr").await;
    service.kill();
    extract(&data, &system, &service, &["--undo", "--without-the-service"]);
    paid(&system, "jeanne@exemple.fr").await;
    let mut audit = Audit::default();
    audit.until_settled(&data, &system).await;
    audit.compare_with_provider(&data).await;

    // It comes back after all, and is told.
    let service = data.serve_again(&service, &one.environment());
    extract(&data, &system, &service, &["--undo"]);
    assert_eq!(in_charge(&system).await, Value::Null);
    assert!(in_charge(&service).await.is_string());
    assert_healthy(&data);
}
