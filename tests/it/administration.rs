//! `/admin/…` on the second listener.

use database::Engine;
use reqwest::Method;
use rstest::rstest;
use serde_json::Value;

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
