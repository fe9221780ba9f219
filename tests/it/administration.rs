//! `/admin/…` on the second listener.

use std::collections::BTreeSet;

use database::Engine;
use reqwest::Method;
use rstest::rstest;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use crate::server::{Data, Server};

/// Waits for a job's end.
async fn ended(server: &Server, path: &str) -> Value {
    server
        .until_admin(path, |body| {
            let job: Value = serde_json::from_str(body).unwrap();
            job["state"] != "running"
        })
        .await;
    server.admin_do(Method::GET, path).await.1
}

/// Begins a job and waits for its end.
async fn done(server: &Server, path: &str) -> Value {
    let response = server.admin_request(Method::POST, path).send().await.unwrap();
    assert_eq!(response.status(), 202, "{response:?}");
    let location = response.headers()["Location"].to_str().unwrap().to_owned();
    ended(server, &location).await
}

#[rstest]
#[tokio::test]
async fn jobs_build_verify_and_rebuild(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let data = Data::on(engine).await;
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let order = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&order, "confirmed").await;

    let (status, listed) = server.admin_do(Method::GET, "/admin/subscriptions").await;
    assert_eq!(status, 200);
    let items = listed["items"].as_array().unwrap();
    assert!(items.iter().all(|one| one["here"]["state"] == "running"), "{listed}");

    let job = done(&server, "/admin/projections/orders.orders/build").await;
    assert_eq!((&job["state"], &job["result"]["outcome"]), (&"done".into(), &"built".into()));
    let job = done(&server, "/admin/projections/orders.orders.v1/verify").await;
    assert_eq!(job["result"]["different"], 0, "{job}");
    data.execute("orders", "DELETE FROM order_view").await;
    let job = done(&server, "/admin/projections/orders.orders/verify").await;
    assert_eq!(job["result"]["differences"][0]["kind"], "missing", "{job}");
    let job = done(&server, "/admin/projections/orders.orders/rebuild").await;
    assert_eq!((&job["state"], &job["result"]["rows"]), (&"done".into(), &1.into()), "{job}");
    assert!(job["position"].as_u64() <= job["target"].as_u64() && job["error"].is_null());
    server.order_is(&order, "confirmed").await;
    let job = done(&server, "/admin/projections/billing.invoicing/rebuild").await;
    assert_eq!(job["result"]["outcome"], "restarted", "{job}");

    let (status, jobs) = server.admin_do(Method::GET, "/admin/jobs").await;
    assert_eq!((status, jobs["items"].as_array().unwrap().len()), (200, 5));
    let (status, pruned) = server.admin_do(Method::POST, "/admin/projections/prune").await;
    assert_eq!((status, &pruned["scratches"]), (200, &Value::Array(vec![])), "{pruned}");
    for (method, path, expected) in [
        (Method::POST, "/admin/projections/orders.ordres/build", 404),
        (Method::POST, "/admin/projections/billing.invoicing/verify", 409),
        (Method::GET, "/admin/jobs/00000000-0000-0000-0000-000000000000", 404),
        (Method::GET, "/admin/nonsense", 404),
    ] {
        let (status, problem) = server.admin_do(method, path).await;
        assert_eq!(status, expected, "{path}: {problem}");
        assert!(problem["type"].as_str().unwrap().starts_with("/problems/"), "{problem}");
        assert_eq!(problem["instance"], path);
    }
}

/// The tables that a module's database has, what every module's has left out.
async fn tables_of(data: &Data, module: &str) -> BTreeSet<String> {
    const OF_ALL: [&str; 5] =
        ["_sqlx_migrations", "checkpoint", "idempotency", "module_charge", "parked_event"];
    let rows: Vec<(String,)> = if data.is_in_postgres() {
        let mut connection = PgConnection::connect(&data.store()).await.unwrap();
        let query = "SELECT CAST(table_name AS text) FROM information_schema.tables \
                     WHERE table_schema = $1";
        let query = sqlx::query_as(query).bind(module);
        query.fetch_all(&mut connection).await.unwrap()
    } else {
        let query =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        sqlx::query_as(query).fetch_all(&mut data.tables_of(module).await).await.unwrap()
    };
    rows.into_iter().map(|(name,)| name).filter(|name| !OF_ALL.contains(&&**name)).collect()
}

fn texts(value: &Value) -> BTreeSet<String> {
    let texts = value.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn modules_are_what_they_are_told_to_be(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    for (method, end) in [("sandbox:ok", "confirmed"), ("sandbox:declined", "cancelled")] {
        let order = server.place_order(&customer, method).await;
        server.order_is(&order, end).await;
    }
    let (status, told) = server.admin_do(Method::GET, "/admin/modules").await;
    assert_eq!(status, 200);
    let modules = told["items"].as_array().unwrap();
    let module = |name: &str| modules.iter().find(|one| one["name"] == name).unwrap();
    let names = modules.iter().map(|module| module["name"].as_str().unwrap().to_owned());
    let expected = crate::modules::modules().into_iter().chain(["capture".to_owned()]);
    assert_eq!(names.collect::<BTreeSet<_>>(), expected.collect());

    let billing = module("billing");
    let consumed = billing["consumes"].as_array().unwrap();
    let placed = consumed.iter().find(|one| one["event"] == "orders.OrderPlaced").unwrap();
    assert_eq!(placed["from"], "orders");
    assert_eq!(texts(&placed["by"]), BTreeSet::from(["billing.invoicing".to_owned()]));
    let published = module("orders")["publishes"].as_array().unwrap();
    let cancelled = published.iter().find(|one| one["event"] == "orders.OrderCancelled").unwrap();
    assert!(cancelled["written"].as_str().unwrap().starts_with("orders.OrderCancelled.v"));
    assert!(texts(&cancelled["consumers"]).contains("billing"), "{cancelled}");
    let routes = module("orders")["routes"].as_array().unwrap();
    let place =
        routes.iter().find(|one| one["path"] == "/api/v1/orders" && one["method"] == "POST");
    assert_eq!(place.unwrap()["summary"], "Place an order");

    // What happens is what is told: every stream and event of the log, every table of a database,
    // and every subscription that runs.
    let tail = data.run_ok(&["events", "tail", "-n", "1000", "--json"]);
    let events: Vec<Value> = tail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.len() > 10, "{tail}");
    for event in events {
        let event_type = event["type"].as_str().unwrap();
        let writer = module(event_type.split('.').next().unwrap());
        let category = event["stream"].as_str().unwrap().split('-').next().unwrap();
        let mut streams = writer["streams"].as_array().unwrap().iter();
        let stream = streams.find(|stream| stream["category"] == category);
        let stream = stream.unwrap_or_else(|| panic!("{event_type} in {category}: undescribed"));
        let described = &texts(&stream["published"]) | &texts(&stream["internal"]);
        let family = event_type.rsplit_once(".v").unwrap().0;
        assert!(described.contains(family), "{event_type} in {category}: undescribed");
    }
    for module in modules {
        let name = module["name"].as_str().unwrap();
        assert_eq!(texts(&module["tables"]), tables_of(&data, name).await, "{name}");
    }
    let (_, listed) = server.admin_do(Method::GET, "/admin/subscriptions").await;
    for subscription in listed["items"].as_array().unwrap() {
        let module = module(subscription["module"].as_str().unwrap());
        assert_eq!(module["runs_here"], true);
        let described = module["subscriptions"].as_array().unwrap().iter();
        let named = |one: &&Value| one["name"] == subscription["subscription"];
        let described = described.clone().find(named).unwrap();
        let status = &described["status"];
        assert_eq!(status["here"]["state"], "running", "{described}");
        assert_eq!(described["kind"], subscription["kind"]);
        assert!(status["lag_events"].is_u64() && status["lag_seconds"].is_number(), "{status}");
    }
}

#[tokio::test]
async fn modules_that_run_elsewhere_are_told_too() {
    let data = Data::new();
    let server = data.serve_with(&[("BASCULE_RUN", "[\"orders\"]")]);
    let (_, told) = server.admin_do(Method::GET, "/admin/modules").await;
    let modules = told["items"].as_array().unwrap();
    let module = |name: &str| modules.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(module("orders")["runs_here"], true);
    assert_eq!(module("billing")["runs_here"], false);
    assert!(module("orders")["subscriptions"][0]["status"].is_object());
    assert!(module("billing")["subscriptions"][0]["status"].is_null());
}

#[tokio::test]
async fn one_job_per_subscription_at_a_time_and_none_after_the_end() {
    let data = Data::new();
    let mut server = data.serve();
    server.register_customer("ada@exemple.fr").await;
    // Whoever holds the tables keeps the job from its end.
    let mut tables = data.tables_of("customers").await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut tables).await.unwrap();
    let path = "/admin/projections/customers.directory/rebuild";
    let response = server.admin_request(Method::POST, path).send().await.unwrap();
    assert_eq!(response.status(), 202);
    let running = response.headers()["Location"].clone();
    let response = server.admin_request(Method::POST, path).send().await.unwrap();
    assert_eq!(response.status(), 409);
    assert_eq!(response.headers()["Location"], running);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/busy");
    assert!(running.to_str().unwrap().ends_with(problem["job"].as_str().unwrap()));
    // Of others there may be one.
    done(&server, "/admin/projections/orders.orders/rebuild").await;
    sqlx::raw_sql("ROLLBACK").execute(&mut tables).await.unwrap();
    let job = ended(&server, running.to_str().unwrap()).await;
    assert_eq!(job["state"], "done", "{job}");
    assert!(server.stop().success());
}

#[tokio::test]
async fn whoever_comes_from_outside_needs_the_token() {
    const TOKEN: &str = "correct-horse-battery-staple";
    let data = Data::new();
    let mut closed = data.serve_at("0.0.0.0:0", &[]);
    let (status, problem) = closed.admin_do(Method::GET, "/admin/subscriptions").await;
    assert_eq!((status, &problem["type"]), (403, &"/problems/forbidden".into()));
    assert!(problem["detail"].as_str().unwrap().contains("BASCULE_ADMIN_TOKEN"), "{problem}");
    for probe in ["/livez", "/readyz", "/startupz", "/metrics"] {
        let response = closed.admin_request(Method::GET, probe).send().await.unwrap();
        assert_eq!(response.status(), 200, "{probe}");
    }
    assert!(closed.stop().success());

    let server = data.serve_at("0.0.0.0:0", &[("BASCULE_ADMIN_TOKEN", TOKEN)]);
    let request = || server.admin_request(Method::GET, "/admin/subscriptions");
    let response = request().send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["WWW-Authenticate"], "Bearer");
    assert_eq!(request().bearer_auth("wrong").send().await.unwrap().status(), 401);
    assert_eq!(request().bearer_auth(TOKEN).send().await.unwrap().status(), 200);
    let probe = server.admin_request(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(probe.status(), 200);
    assert!(!data.server_log().contains(TOKEN));
    let dumped =
        data.bascule().args(["serve", "--dump-config"]).env("BASCULE_ADMIN_TOKEN", TOKEN).output();
    let dumped = String::from_utf8(dumped.unwrap().stdout).unwrap();
    assert!(dumped.contains("admin_token = \"(hidden)\"") && !dumped.contains(TOKEN), "{dumped}");
}
