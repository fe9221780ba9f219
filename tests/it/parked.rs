//! Events that could not be handled: seen, tried again, given up.

use database::Engine;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::server::{Data, Server};

const SUBSCRIPTION: &str = "orders.orders.v1";
const HIDE: &str = "CREATE TABLE hidden AS SELECT * FROM order_view; DELETE FROM order_view";
/// Without the date, which the engine makes of the document.
const SHOW: &str = "INSERT INTO order_view (id, position, revision, status, customer_id, currency, owner, \
    legacy_source, legacy_id, document) SELECT id, position, revision, status, customer_id, currency, owner, \
    legacy_source, legacy_id, document FROM hidden; DROP TABLE hidden";

/// An order whose cancellation cannot be shown, because its row has gone. The first parked event.
async fn parked(data: &Data, server: &Server) -> (String, u64) {
    let customer = server.register_customer("ada@exemple.fr").await;
    let order = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&order, "confirmed").await;
    data.execute("orders", HIDE).await;
    let reason = json!({ "reason": "changed my mind" });
    server.post_ok(&format!("/api/v1/orders/{order}/cancel"), &reason).await;
    server.until_admin("/admin/parked", |body| first_position(body).is_some()).await;
    let (_, body) = server.admin("/admin/parked").await;
    (order, first_position(&body).unwrap())
}

fn first_position(body: &str) -> Option<u64> {
    let body: Value = serde_json::from_str(body).unwrap();
    body["items"][0]["position"].as_u64()
}

#[rstest]
#[tokio::test]
async fn a_parked_event_is_shown_and_tried_again_until_it_goes_through(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let mut server = data.serve();
    let (order, position) = parked(&data, &server).await;
    let at = position.to_string();

    let listed = data.run_ok(&["parked", "list", "--subscription", "orders.orders", "--json"]);
    let first: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(first["subscription"], SUBSCRIPTION);
    assert_eq!(first["key"], format!("order-{order}"));
    assert!(first["attempts"].as_u64().unwrap() > 0, "{first}");
    assert!(first["error"].as_str().unwrap().contains(&order), "{first}");
    let shown = data.run_ok(&["parked", "show", SUBSCRIPTION, &at]);
    assert!(shown.contains("orders.OrderCancelled") && shown.contains("behind it"), "{shown}");
    assert!(!shown.contains("changed my mind"), "what somebody wrote is personal: {shown}");
    let opened = data.run_ok(&["parked", "show", SUBSCRIPTION, &at, "--personal"]);
    assert!(opened.contains("changed my mind"), "{opened}");
    let table = data.run_ok(&["projections", "list"]);
    assert!(table.contains(SUBSCRIPTION), "{table}");

    // The row is still gone.
    let output = data.run(&["parked", "replay", SUBSCRIPTION, &at]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("failed again"), "{told}");

    data.execute("orders", SHOW).await;
    let told = data.run_ok(&["parked", "replay", "orders.orders", "--all"]);
    assert!(told.contains("handled"), "{told}");
    server.order_is(&order, "cancelled").await;
    server.until_admin("/admin/parked", |body| first_position(body).is_none()).await;
    assert_eq!(data.run_ok(&["parked", "list"]).trim(), "no event is parked");
    data.run_ok(&["projections", "verify", "--all"]);

    // Nobody is there to try it.
    assert!(server.stop().success());
    let output = data.run(&["parked", "replay", SUBSCRIPTION, &at]);
    assert_eq!(output.status.code(), Some(1), "it is not parked any more: {output:?}");
}

#[tokio::test]
async fn what_is_to_be_tried_again_waits_for_a_server() {
    let data = Data::new();
    let mut server = data.serve();
    let (order, position) = parked(&data, &server).await;
    data.execute("orders", SHOW).await;
    assert!(server.stop().success());
    let at = position.to_string();
    let output = data.run(&["parked", "replay", SUBSCRIPTION, &at]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("no process runs orders.orders.v1"), "{told}");
    data.run_ok(&["parked", "replay", SUBSCRIPTION, &at, "--no-wait"]);
    let server = data.serve();
    server.order_is(&order, "cancelled").await;
}

#[rstest]
#[tokio::test]
async fn an_event_that_is_given_up_holds_nothing_up_any_more(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let data = Data::on(engine).await;
    let server = data.serve();
    let (_, position) = parked(&data, &server).await;
    let path = format!("/admin/parked/{SUBSCRIPTION}/{position}");
    let (status, shown) = server.admin_do(Method::GET, &path).await;
    assert_eq!(status, 200);
    assert!(shown["event"]["type"].as_str().unwrap().starts_with("orders.OrderCancelled"));
    assert!(!shown.to_string().contains("changed my mind"), "{shown}");
    let (status, asked) = server.admin_do(Method::POST, &format!("{path}/replay")).await;
    assert_eq!((status, &asked["position"]), (202, &position.into()), "{asked}");
    server
        .until_admin(&path, |body| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["replay_requested"] == false
                && body["attempts"].as_u64() > shown["attempts"].as_u64()
        })
        .await;

    let told = data.run_ok(&["parked", "discard", SUBSCRIPTION, &position.to_string(), "--yes"]);
    assert!(told.contains("discarded the event"), "{told}");
    // Those behind it are tried now, and are parked for themselves: the row is still gone.
    loop {
        let (_, body) = server.admin("/admin/parked").await;
        let Some(next) = first_position(&body) else { break };
        assert!(next > position);
        let path = format!("/admin/parked/{SUBSCRIPTION}/{next}");
        assert_eq!(server.admin_do(Method::DELETE, &path).await.0, 204);
    }
    assert_eq!(server.admin_do(Method::DELETE, &path).await.0, 404);
    let (status, problem) = server.admin_do(Method::GET, "/admin/parked/orders.ordres/1").await;
    assert_eq!((status, &problem["type"]), (404, &"/problems/not-found".into()), "{problem}");

    // What was given up is not in the rows: that is a difference, and a rebuild brings it in.
    data.execute("orders", "DROP TABLE hidden").await;
    assert_eq!(data.run(&["projections", "verify", "orders.orders"]).status.code(), Some(1));
    data.run_ok(&["projections", "rebuild", "orders.orders"]);
    data.run_ok(&["projections", "verify", "orders.orders"]);
}

#[tokio::test]
async fn parked_events_come_in_pages() {
    let data = Data::new();
    let server = data.serve();
    parked(&data, &server).await;
    let rows: Vec<String> = (1000..1007)
        .map(|position| {
            format!(
                "('{SUBSCRIPTION}', {position}, zeroblob(16), 'order-x', 'broken', 1, \
                 '2026-01-01T00:00:00+00:00', 0)"
            )
        })
        .collect();
    let insert = format!("INSERT INTO parked_event VALUES {}", rows.join(", "));
    data.execute("orders", &insert).await;
    let mut seen = Vec::new();
    let mut next = Some("/admin/parked?limit=3".to_owned());
    while let Some(path) = next {
        let response = server.admin_request(Method::GET, &path).send().await.unwrap();
        let link = response.headers().get("Link").map(|link| link.to_str().unwrap().to_owned());
        next = link.and_then(|link| Some(link.split(['<', '>']).nth(1)?.to_owned()));
        let body: Value = response.json().await.unwrap();
        let items = body["items"].as_array().unwrap();
        assert!(items.len() <= 3, "{body}");
        seen.extend(items.iter().map(|item| item["position"].as_u64().unwrap()));
    }
    assert!(seen.is_sorted() && seen.ends_with(&[1000, 1001, 1002, 1003, 1004, 1005, 1006]));
    for wrong in ["after=nonsense", "limit=0", "colour=red"] {
        let (status, _) = server.admin_do(Method::GET, &format!("/admin/parked?{wrong}")).await;
        assert_eq!(status, 400, "{wrong}");
    }
}
