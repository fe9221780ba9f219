//! Commands over HTTP.

use std::time::Duration;

use actix_web::test::TestRequest;
use customers_contract::{
    CustomerClosed, CustomerImported, CustomerRevised, CustomerStatus, ImportedCustomer,
};
use database::{Engine, Statement};
use event_contract::Sample as _;
use kernel::seams::new_id;
use orders::projections::CustomerEvent;
use rstest::rstest;
use serde_json::{Value, json};

use crate::client::{Orders, customer, order_of};
use crate::imports::legacy_order;
use crate::world::World;

#[rstest]
#[actix_web::test]
async fn an_order_is_placed_confirmed_and_fulfilled(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let customer_id = customer(&world).await;

    let placed = client.place(customer_id).await.is(201);
    let id = placed.id();
    assert_eq!(placed.header("location"), format!("/api/v1/orders/{id}"));
    let order = client.order_after(&placed).await;
    assert!(order.header("etag").starts_with("\"0-"));
    let mut body = order.body;
    assert!(body.as_object_mut().unwrap().remove("placed_at").is_some());
    assert_eq!(
        body,
        json!({
            "id": id,
            "status": "awaiting_payment",
            "customer_id": customer_id,
            "currency": "EUR",
            "payment_method": "sandbox:ok",
            "lines": [{ "sku": "CH-1", "description": "Chaise", "quantity": "2", "unit_price": "49.90", "vat_rate": "20" }],
            "total_net": "99.80",
            "total_vat": "19.96",
            "total": "119.76",
            "owner": "bascule",
            "revision": 0
        })
    );

    client.act(id, "fulfil").await.problem(409, "refused/not-confirmed");
    let confirmed = client.act(id, "confirm").await.is(200);
    assert_eq!(client.order_after(&confirmed).await.body["status"], "confirmed");
    let again = client.act(id, "confirm").await.is(200);
    assert_eq!(again.header("etag"), "\"2\"", "a repeated command changes nothing");
    let fulfilled = client.act(id, "fulfil").await.is(200);
    assert_eq!(client.order_after(&fulfilled).await.body["status"], "fulfilled");

    let cancel = format!("/api/v1/orders/{id}/cancel");
    let refused = client.post(&cancel, json!({ "reason": "too late" })).await;
    refused.problem(409, "refused/already-fulfilled");
}

#[rstest]
#[actix_web::test]
async fn what_was_delivered_comes_back(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let id = client.place(customer(&world).await).await.is(201).id();
    let path = format!("/api/v1/orders/{id}/return");
    let everything = || json!({ "reason": "broken" });
    client.act(id, "confirm").await.is(200);
    client.post(&path, everything()).await.problem(409, "refused/not-fulfilled");
    client.act(id, "fulfil").await.is(200);
    let too_much = json!({ "reason": "broken", "lines": [{ "line": 1, "quantity": "3" }] });
    client.post(&path, too_much).await.problem(409, "refused/return-exceeds-delivery");
    let no_line = json!({ "reason": "broken", "lines": [{ "line": 0, "quantity": "1" }] });
    client.post(&path, no_line).await.problem(422, "validation");
    let one = json!({ "reason": "broken", "lines": [{ "line": 1, "quantity": "1" }] });
    let returned = client.post(&path, one).await.is(200);
    let order = client.order_after(&returned).await.body;
    assert_eq!(
        (&order["status"], &order["lines"][0]["returned"]),
        (&json!("fulfilled"), &json!("1"))
    );
    let returned = client.post(&path, everything()).await.is(200);
    let order = client.order_after(&returned).await.body;
    assert_eq!(
        (&order["status"], &order["lines"][0]["returned"]),
        (&json!("returned"), &json!("2"))
    );
    client.post(&path, everything()).await.is(200);
    assert_eq!(
        world.order(id).await.unwrap().revision,
        5,
        "a repeated return of everything changes nothing"
    );
}

#[rstest]
#[actix_web::test]
async fn an_order_is_cancelled_with_its_reason(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let id = client.place(customer(&world).await).await.is(201).id();
    let cancel = format!("/api/v1/orders/{id}/cancel");
    let cancelled = client.post(&cancel, json!({ "reason": "Ordered twice" })).await.is(200);
    let order = client.order_after(&cancelled).await;
    assert_eq!(order.body["status"], "cancelled");
    let expected = json!({ "cause": "requested", "reason": "Ordered twice" });
    assert_eq!(order.body["cancellation"], expected);
    client.act(id, "confirm").await.problem(409, "refused/already-cancelled");
}

#[rstest]
#[actix_web::test]
async fn only_known_and_open_customers_may_order(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    client.place(new_id()).await.problem(409, "refused/customer-unknown");

    let customer_id = customer(&world).await;
    client.place(customer_id).await.is(201);
    let closed = CustomerClosed { customer_id: customer_id.into(), ..CustomerClosed::sample() };
    world.happened("customer", customer_id, CustomerEvent::from(closed)).await;
    world.known_customers_caught_up().await;
    client.place(customer_id).await.problem(409, "refused/customer-closed");
}

#[rstest]
#[actix_web::test]
async fn an_order_waits_for_its_customer_to_be_known_here(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::with(engine, |name| name != "orders.known-customers.v1").await;
    let client = Orders::of(&world);
    let customer_id = customer(&world).await;
    let mut placing = Box::pin(client.place(customer_id));
    let answered = tokio::time::timeout(Duration::from_millis(200), &mut placing).await;
    assert!(answered.is_err(), "the order was answered before the customer was known");
    world.release();
    placing.await.is(201);
}

#[rstest]
#[actix_web::test]
async fn an_order_for_somebody_who_stays_unknown_is_not_refused_for_good(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::with(engine, |name| name != "orders.known-customers.v1").await;
    let client = Orders::of(&world);
    let customer_id = customer(&world).await;
    client.place(customer_id).await.problem(503, "stale-read");
}

#[rstest]
#[actix_web::test]
async fn the_same_key_places_one_order(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let customer_id = customer(&world).await;
    let keyed = |body: Value| {
        TestRequest::post()
            .uri("/api/v1/orders")
            .insert_header(("Idempotency-Key", "key-1"))
            .set_json(body)
    };
    let first = client.send(keyed(order_of(customer_id))).await.is(201);
    let second = client.send(keyed(order_of(customer_id))).await.is(201);
    assert_eq!(first.id(), second.id());
    let mut other = order_of(customer_id);
    other["currency"] = json!("CHF");
    client.send(keyed(other)).await.problem(422, "idempotency-mismatch");
    assert_eq!(world.head().await, 2, "the registration and one order");
}

#[rstest]
#[actix_web::test]
async fn an_order_that_was_placed_is_answered_although_its_customer_was_closed_since(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let customer_id = customer(&world).await;
    let keyed = || {
        TestRequest::post()
            .uri("/api/v1/orders")
            .insert_header(("Idempotency-Key", "key-1"))
            .set_json(order_of(customer_id))
    };
    let first = client.send(keyed()).await.is(201);
    // The stored answer is lost, as after a kill before it was stored.
    let forget = Statement::Same("DELETE FROM idempotency");
    world.module.database.write(&forget).execute().await.unwrap();
    let closed = CustomerClosed { customer_id: customer_id.into(), ..CustomerClosed::sample() };
    world.happened("customer", customer_id, CustomerEvent::from(closed)).await;
    world.known_customers_caught_up().await;
    let second = client.send(keyed()).await.is(201);
    assert_eq!(first.id(), second.id());
    assert_eq!(second.header("etag"), "\"0\"");
}

#[rstest]
#[actix_web::test]
async fn a_change_that_expects_another_revision_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let id = client.place(customer(&world).await).await.is(201).id();
    let act = |action: &str, tag: &'static str| {
        TestRequest::post()
            .uri(&format!("/api/v1/orders/{id}/{action}"))
            .insert_header(("If-Match", tag))
            .set_json(match action {
                "cancel" => json!({ "reason": "Ordered twice" }),
                _ => json!({}),
            })
    };
    for (action, current) in [("confirm", "\"0\""), ("fulfil", "\"2\"")] {
        let stale = client.send(act(action, "\"7\"")).await;
        stale.problem(412, "precondition-failed");
        client.send(act(action, current)).await.is(200);
    }
    let stale = client.send(act("cancel", "\"7\"")).await;
    stale.problem(412, "precondition-failed");
}

#[rstest]
#[actix_web::test]
async fn what_the_legacy_owns_is_shown_and_not_changed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let id = new_id();
    world.sync(id, legacy_order()).await.unwrap();
    world.order(id).await.unwrap();
    let shown = client.get(&format!("/api/v1/orders/{id}")).await.is(200);
    assert_eq!(shown.body["legacy"]["id"], "sale_sale/7");
    client.act(id, "confirm").await.problem(409, "owned-by-legacy");
}

#[rstest]
#[actix_web::test]
async fn imported_customers_may_order_while_they_are_open(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let customer_id = new_id();
    let revised = |status| {
        let sample = CustomerRevised::sample();
        let state = ImportedCustomer { status, ..sample.state };
        CustomerEvent::from(CustomerRevised { customer_id: customer_id.into(), state, ..sample })
    };
    let sample = CustomerImported::sample();
    let state = ImportedCustomer { status: CustomerStatus::Closed, ..sample.state };
    let imported = CustomerImported { customer_id: customer_id.into(), state, ..sample };
    let imported = CustomerEvent::from(imported);
    world.happened("customer", customer_id, imported).await;
    let refused = client.place(customer_id).await;
    refused.problem(409, "refused/customer-closed");

    let reopened = revised(CustomerStatus::Open);
    world.happened("customer", customer_id, reopened).await;
    client.place(customer_id).await.is(201);

    let closed = revised(CustomerStatus::Closed);
    world.happened("customer", customer_id, closed).await;
    world.known_customers_caught_up().await;
    let refused = client.place(customer_id).await;
    refused.problem(409, "refused/customer-closed");
}
