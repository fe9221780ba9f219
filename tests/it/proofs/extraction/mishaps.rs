//! What goes wrong with a hand-over: wrong settings and addresses, commands that are cut off or
//! late. Nobody is left without a module, and every message says what to do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Output;

use super::*;

/// A server that is to refuse to start.
fn refused(data: &Data, environment: &[(&str, &str)]) -> String {
    let listen = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let output = data.bascule().args(listen).envs(environment.iter().copied()).output().unwrap();
    complaint(output)
}

fn complaint(output: Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The command, without an end that is looked at.
fn try_extract(data: &Data, system: &Server, to: &str, service: &Server) -> Output {
    let addresses = ["--from-admin", &system.admin, "--to", to, "--to-admin", &service.admin];
    data.run(&[&["extract", "payments"], &addresses[..]].concat())
}

/// One step, as the command takes it.
async fn step(side: &Server, method: Method, name: &str, body: Value) -> (u16, Value) {
    let path = format!("/admin/modules/payments/{name}");
    let answer = side.admin_request(method, &path).json(&body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

async fn charge(server: &Server) -> Value {
    let (status, standing) = server.admin_do(Method::GET, "/admin/modules/payments/charge").await;
    assert_eq!(status, 200, "{standing}");
    standing["charge"].clone()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_is_never_left_to_nobody_by_settings(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await.with_lease(Duration::from_millis(500));
    let mut system = data.serve();
    paid(&system, "marie@exemple.fr").await;
    // A service that is told to wait, on the system's own tables.
    let waits =
        [("BASCULE_RUN", "[payments]"), ("BASCULE_MODULES__PAYMENTS__AWAITS_CHARGE", "true")];
    let told = refused(&data, &waits);
    assert!(told.contains("has run on these tables"), "{told}");
    let tables = match engine {
        Engine::Sqlite => format!("sqlite:{}", data.path("bascule.payments.db").display()),
        Engine::Postgres => data.store(),
    };
    let on_them = ("BASCULE_MODULES__PAYMENTS__DATABASE", tables.as_str());
    let told = refused(&data, &[waits[0], waits[1], on_them]);
    assert!(told.contains("has run on these tables"), "{told}");
    paid(&system, "jeanne@exemple.fr").await;
    // The system is told that it is elsewhere, and nobody was.
    assert!(system.stop().success());
    let told = refused(&data, &[("BASCULE_MODULES__PAYMENTS__REMOTE", "http://127.0.0.1:9")]);
    assert!(told.contains("run `bascule extract payments` first"), "{told}");
    let system = data.serve();
    paid(&system, "lucie@exemple.fr").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_cannot_be_reached_is_given_nothing() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let service = data.serve_with(&one.environment());
    let nobody = "http://127.0.0.1:9".to_owned();
    for (to, told) in [(&nobody, "no response from"), (&service.admin, "is not a bascule API")] {
        let said = complaint(try_extract(&data, &system, to, &service));
        assert!(said.contains(told), "{said}");
        assert_eq!(charge(&system).await, json!({"epoch": 0, "elsewhere": null, "route": null}));
    }
    paid(&system, "marie@exemple.fr").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_and_never_taken_comes_back() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let mut service = data.serve_with(&one.environment());
    let to = format!("{}/", service.http);
    let give = json!({ "to": to });
    assert_eq!(step(&system, Method::POST, "hand-over", give.clone()).await.0, 200);
    extract(&data, &system, &service, &["--undo"]);
    assert_eq!(in_charge(&system).await, Value::Null);
    paid(&system, "marie@exemple.fr").await;

    // Taken back alone, and the service comes again.
    assert_eq!(step(&system, Method::POST, "hand-over", give).await.0, 200);
    service.kill();
    let alone = ["--undo", "--without-the-service"];
    extract(&data, &system, &service, &alone);
    paid(&system, "jeanne@exemple.fr").await;
    let service = data.serve_again(&service, &one.environment());
    extract(&data, &system, &service, &["--undo"]);
    paid(&system, "lucie@exemple.fr").await;
    extract(&data, &system, &service, &[]);
    paid(&system, "anne@exemple.fr").await;
    assert_healthy(&data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_is_taken_back_alone_is_answered_for_here() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let mut service = data.serve_with(&one.environment());
    extract(&data, &system, &service, &[]);
    service.kill();
    // The command was cut off before its last step.
    let taken = json!({ "epoch": 2, "subscriptions": [] });
    assert_eq!(step(&system, Method::POST, "take-over", taken).await.0, 200);
    extract(&data, &system, &service, &["--undo", "--without-the-service"]);
    assert_eq!(charge(&system).await, json!({"epoch": 2, "elsewhere": null, "route": null}));
    system.until("/api/v1/payments", |page| page["items"].is_array()).await;
    paid(&system, "marie@exemple.fr").await;
}

/// A command that was stopped before its last step goes on after the module came back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_route_does_not_undo_what_came_after_it() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let service = data.serve_with(&one.environment());
    extract(&data, &system, &service, &[]);
    extract(&data, &system, &service, &["--undo"]);
    let late = json!({ "to": service.http, "epoch": 1 });
    let (status, problem) = step(&system, Method::PUT, "route", late).await;
    let late = json!("/problems/refused/out-of-date");
    assert_eq!((status, &problem["type"]), (409, &late), "{problem}");
    assert_eq!(charge(&system).await["route"], Value::Null);
}

/// An answer without a body is the end of itself: the next one follows on the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_goes_on_after_an_answer_without_a_body() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let payment = paid(&system, "marie@exemple.fr").await;
    let one = Service::on(Engine::Sqlite).await;
    let service = data.serve_with(&one.environment());
    extract(&data, &system, &service, &[]);
    let path = format!("/api/v1/payments/{payment}");
    let first = reqwest::get(format!("{}{path}", system.http)).await.unwrap();
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();

    let address = system.http.strip_prefix("http://").unwrap();
    let request = |more: &str| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n");
    let mut connection = TcpStream::connect(address).unwrap();
    let unchanged = request(&format!("If-None-Match: {tag}\r\n"));
    let last = request("Connection: close\r\n");
    connection.write_all(format!("{unchanged}{last}").as_bytes()).unwrap();
    let mut answers = String::new();
    connection.read_to_string(&mut answers).unwrap();
    let (unchanged, last) = answers.split_once("\r\n\r\n").unwrap();
    assert!(unchanged.starts_with("HTTP/1.1 304"), "{unchanged}");
    assert!(last.starts_with("HTTP/1.1 200"), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_is_not_complete_while_a_module_has_tables_elsewhere() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let customer = system.register_customer("marie@exemple.fr").await;
    let one = Service::on(Engine::Sqlite).await;
    let service = data.serve_with(&one.environment());
    extract(&data, &system, &service, &[]);
    let path = format!("/admin/customers/{customer}/erase");
    let (status, erasure) = system.admin_do(Method::POST, &path).await;
    assert_eq!((status, &erasure["not_run_here"]), (202, &json!(["payments"])), "{erasure}");
    assert_eq!(erasure["complete"], false);
    extract(&data, &system, &service, &["--undo"]);
    let (status, erasure) = system.admin_do(Method::POST, &path).await;
    assert_eq!((status, &erasure["complete"]), (200, &json!(true)), "{erasure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_have_an_admin_token_of_its_own() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let mut environment = one.environment();
    environment.push(("BASCULE_ADMIN_TOKEN", "a-token-of-the-service"));
    let service = data.serve_with(&environment);
    let said = complaint(try_extract(&data, &system, &service.http, &service));
    assert!(said.contains("BASCULE_TO_ADMIN_TOKEN"), "{said}");
    let mut command = data.bascule();
    command.env("BASCULE_TO_ADMIN_TOKEN", "a-token-of-the-service").args(["extract", "payments"]);
    command.args(["--from-admin", &system.admin, "--to", &service.http]);
    let output = command.args(["--to-admin", &service.admin]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    paid(&system, "marie@exemple.fr").await;
}

/// A service that could not do the module's work is not there to be given it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_without_the_rights_does_not_start() {
    for (rights, missing) in [
        ("[read, \"module:payments\"]", "payments needs the right pii:read"),
        ("[read, \"module:orders\", \"pii:read\"]", "payments needs the right module:payments"),
    ] {
        let data = Data::new();
        let [listen, password, (name, _)] = SERVED;
        let system = data.serve_with(&[listen, password, (name, rights)]);
        let one = Service::reaching(Reach::Far, Engine::Sqlite, &data, &system).await;
        let told = refused(&data, &one.environment());
        assert!(told.contains(missing), "{told}");
    }
}

/// Its tables here are gone, and the service has run it since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_comes_back_to_tables_that_are_new() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let mut system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let service = data.serve_with(&one.environment());
    paid(&system, "marie@exemple.fr").await;
    extract(&data, &system, &service, &[]);
    // Once as it is written, and once without a word: then both run it until it is undone.
    for (settings, email) in [
        (&[("BASCULE_MODULES__PAYMENTS__AWAITS_CHARGE", "true")][..], "jeanne@exemple.fr"),
        (&[][..], "lucie@exemple.fr"),
    ] {
        assert!(system.stop().success());
        for file in ["bascule.payments.db", "bascule.payments.db-wal", "bascule.payments.db-shm"] {
            if data.path(file).exists() {
                std::fs::remove_file(data.path(file)).unwrap();
            }
        }
        system = data.serve_with(settings);
        extract(&data, &system, &service, &["--undo"]);
        assert_eq!(in_charge(&system).await, Value::Null);
        assert_ne!(in_charge(&service).await, Value::Null);
        paid(&system, email).await;
        extract(&data, &system, &service, &[]);
    }
    assert!(system.stop().success());
    let mut audit = Audit::default();
    let system = data.serve();
    audit.until_settled(&data, &system).await;
    audit.compare_with_provider(&data).await;
    assert_healthy(&data);
}

/// Nobody is alarmed because of what is done elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_handed_over_is_not_behind_here() {
    let data = Data::new().with_lease(Duration::from_millis(500));
    let system = data.serve();
    let one = Service::on(Engine::Sqlite).await;
    let service = data.serve_with(&one.environment());
    extract(&data, &system, &service, &[]);
    paid(&system, "marie@exemple.fr").await;
    system
        .until_admin("/metrics", |metrics| {
            metrics.contains("subscription_lag_events{subscription=\"payments.collection\"} 0\n")
                && metrics.contains("subscription_owner{subscription=\"payments.collection\"} 0\n")
        })
        .await;
    let listed = data.run_ok(&["projections", "list", "--json"]);
    let listed: Vec<Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let policy = listed.iter().find(|one| one["subscription"] == "payments.collection").unwrap();
    assert_eq!((&policy["state"], &policy["lag_events"]), (&json!("handed_over"), &json!(0)));
}
