//! Admission over HTTP: orders are refused while a policy is behind, and only then.

use std::time::Instant;

use database::Engine;
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;
use testkit::postgres::connect;

use crate::server::{Data, PATIENCE, Server, order};

/// More than a policy handles at once.
const MANY: usize = 80;
/// Soon enough for a test; a policy that is not held is much faster.
const SHORT: (&str, &str) = ("BASCULE_ADMISSION__MAX_LAG_MS", "300");

/// Places an order; the answer's status, its `Retry-After` and its body.
async fn place(server: &Server, customer: &str, method: &str) -> (u16, Option<u64>, Value) {
    let answer = server.try_post("/api/v1/orders", &order(customer, method), None).await.unwrap();
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("Retry-After");
    let retry_after = retry_after.map(|text| text.to_str().unwrap().parse().unwrap());
    (status, retry_after, answer.json().await.unwrap())
}

/// Places orders until an answer has this status.
async fn place_until(
    server: &Server,
    customer: &str,
    method: &str,
    wanted: StatusCode,
) -> (Option<u64>, Value) {
    let begun = Instant::now();
    loop {
        let (status, retry_after, body) = place(server, customer, method).await;
        if status == wanted.as_u16() {
            return (retry_after, body);
        }
        assert!(begun.elapsed() < PATIENCE, "still {status} {body}");
        tokio::task::yield_now().await;
    }
}

/// Places many orders, each again while it is refused. Their ids.
async fn place_many(server: &Server, customer: &str, method: &str) -> Vec<String> {
    let placing = (0..MANY).map(|_| place_until(server, customer, method, StatusCode::CREATED));
    let placed = join_all(placing).await;
    placed.into_iter().map(|(_, body)| body["id"].as_str().unwrap().to_owned()).collect()
}

/// The read model that invoices wait for belongs to another server, which does nothing: invoices are
/// at work for ten seconds and are then tried again and again.
async fn hold_invoices(data: &Data) {
    data.execute(
        "billing",
        "UPDATE checkpoint SET owner = 'nobody', token = gen_random_uuid(), \
         expires_at = now() + interval '9 minutes' \
         WHERE subscription LIKE 'billing.known-customers%'",
    )
    .await;
}

async fn let_invoices_go(data: &Data) {
    data.execute(
        "billing",
        "UPDATE checkpoint SET owner = NULL, token = NULL, expires_at = NULL \
         WHERE subscription LIKE 'billing.known-customers%'",
    )
    .await;
}

#[tokio::test]
async fn orders_are_refused_while_a_policy_is_behind_and_admitted_once_it_has_caught_up() {
    let data = Data::on(Engine::Postgres).await;
    let server = data.serve_with(&[SHORT]);
    let customer = server.register_customer("ada@exemple.fr").await;
    let first = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&first, "confirmed").await;
    hold_invoices(&data).await;
    server
        .until_admin("/readyz", |body| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["subscriptions"]["billing.known-customers.v1"]["state"] == "standby"
        })
        .await;
    // What invoices of later orders wait for.
    server.register_customer("grace@exemple.fr").await;

    let (retry_after, refused) =
        place_until(&server, &customer, "sandbox:ok", StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(refused["type"], "/problems/backlog", "{refused}");
    assert!(retry_after.is_some_and(|seconds| seconds >= 1));
    // Reads and everything else go on.
    server.get_ok(&format!("/api/v1/orders/{first}")).await;
    server.post_ok(&format!("/api/v1/orders/{first}/fulfil"), &serde_json::json!({})).await;
    server.register_customer("rosa@exemple.fr").await;
    let (_, metrics) = server.admin("/metrics").await;
    assert!(metrics.contains("admission_refused_total"), "{metrics}");

    // Tried again and again, they wait for something out of reach: that is no reason to refuse.
    place_until(&server, &customer, "sandbox:ok", StatusCode::CREATED).await;
    let_invoices_go(&data).await;
    let (_, placed) = place_until(&server, &customer, "sandbox:ok", StatusCode::CREATED).await;
    server.order_is(placed["id"].as_str().unwrap(), "confirmed").await;
}

/// The sandbox keeps its books in this process: what waits for them waits for its turn.
#[tokio::test]
async fn orders_are_refused_while_payments_wait_for_the_books_of_the_sandbox() {
    let data = Data::on(Engine::Postgres).await;
    let server = data.serve_with(&[SHORT, ("BASCULE_PAYMENTS__CONCURRENT_CHARGES", "1")]);
    let customer = server.register_customer("ada@exemple.fr").await;
    let mut books = connect(&data.store()).await;
    sqlx::raw_sql("BEGIN; LOCK TABLE sandbox.charge").execute(&mut books).await.unwrap();
    let (_, refused) =
        place_until(&server, &customer, "sandbox:ok", StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(refused["type"], "/problems/backlog", "{refused}");
    sqlx::raw_sql("ROLLBACK").execute(&mut books).await.unwrap();
    let (_, placed) = place_until(&server, &customer, "sandbox:ok", StatusCode::CREATED).await;
    server.order_is(placed["id"].as_str().unwrap(), "confirmed").await;
}

#[tokio::test]
async fn a_provider_that_does_not_answer_and_parked_events_refuse_nothing() {
    let data = Data::new();
    let server = data.serve_with(&[SHORT]);
    let customer = server.register_customer("ada@exemple.fr").await;
    // More than any policy has at once, none of them decided before its deadline.
    place_many(&server, &customer, "sandbox:never").await;
    let pending = "/api/v1/payments?status=pending&limit=200";
    server.until(pending, |page| page["items"].as_array().unwrap().len() >= MANY).await;
    // Without its customer an invoice cannot be issued: its event is parked.
    data.execute("billing", "DELETE FROM known_customer").await;
    place_many(&server, &customer, "sandbox:ok").await;
    server
        .until_admin("/metrics", |metrics| {
            let parked = "subscription_parked_events{subscription=\"billing.invoicing\"} ";
            let mut lines = metrics.lines().filter_map(|line| line.strip_prefix(parked));
            lines.next().is_some_and(|count| count.parse::<f64>().unwrap() >= MANY as f64)
        })
        .await;
    place_until(&server, &customer, "sandbox:ok", StatusCode::CREATED).await;
    let (_, metrics) = server.admin("/metrics").await;
    assert!(metrics.lines().any(|line| line == "admission_open 1"), "{metrics}");
}
