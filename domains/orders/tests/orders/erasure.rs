//! The erasure of a customer: free text is removed from the orders, and the orders are kept.

use actix_web::test::TestRequest;
use customers_contract::CustomerErased;
use database::{Engine, Statement};
use event_contract::Sample as _;
use kernel::keys::KeyHolder;
use kernel::seams::new_id;
use kernel::sync::LegacyState;
use orders::projections::CustomerEvent;
use orders::view::OrderStatus;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Orders, customer};
use crate::imports::legacy_order;
use crate::world::World;

async fn erased(world: &World, customer_id: Uuid) {
    let erased = CustomerErased { customer_id: customer_id.into(), ..CustomerErased::sample() };
    world.happened("customer", customer_id, CustomerEvent::from(erased)).await;
    world.settled(&[orders::erasure::NAME]).await;
}

/// Returns the state of an order in the legacy system, of this customer or without one.
fn imported(customer_id: Option<Uuid>) -> LegacyState {
    let LegacyState::Present(mut state) = legacy_order() else { unreachable!() };
    state["customer_id"] = customer_id.map_or(Value::Null, |id| json!(id));
    state["reference"] = json!("for Mme Martin");
    LegacyState::Present(state)
}

#[rstest]
#[actix_web::test]
async fn the_orders_of_an_erased_customer_show_nothing_that_was_said_in_them(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let (ada, bob) = (customer(&world).await, customer(&world).await);
    let mut cancelled = Vec::new();
    for customer_id in [ada, bob] {
        let order = client.place(customer_id).await.is(201).id();
        let cancel = TestRequest::post()
            .uri(&format!("/api/v1/orders/{order}/cancel"))
            .insert_header(("Idempotency-Key", format!("cancel-{order}")))
            .set_json(json!({ "reason": "moved in with her sister" }));
        let answer = client.send(cancel).await.is(200);
        client.order_after(&answer).await;
        cancelled.push(order);
    }
    let path = format!("/api/v1/orders/{}", cancelled[0]);
    let before = client.get(&path).await.is(200);
    let legacy = new_id();
    world.sync(legacy, imported(None)).await.unwrap();
    world.sync(legacy, imported(Some(ada))).await.unwrap();
    assert_eq!(world.order(legacy).await.unwrap().reference.as_deref(), Some("for Mme Martin"));

    erased(&world, ada).await;

    let of_ada = world.order(cancelled[0]).await.unwrap();
    assert_eq!(of_ada.status, OrderStatus::Cancelled);
    assert_eq!(of_ada.cancellation.unwrap().reason, None);
    assert_eq!(of_ada.customer_id, Some(ada.into()), "the id is kept");
    // A cached copy from before the erasure is not confirmed with 304.
    let known = ("If-None-Match", before.header("etag"));
    let asked = client.send(TestRequest::get().uri(&path).insert_header(known)).await.is(200);
    assert_eq!(asked.body["revision"], before.body["revision"]);
    assert_eq!(before.body["cancellation"]["reason"], "moved in with her sister");
    assert_eq!(asked.body["cancellation"].get("reason"), None);
    let known = ("If-None-Match", asked.header("etag"));
    client.send(TestRequest::get().uri(&path).insert_header(known)).await.is(304);
    let legacy_view = world.order(legacy).await.unwrap();
    assert_eq!((legacy_view.reference, legacy_view.note, legacy_view.comments), (None, None, None));
    assert_eq!(legacy_view.number.as_deref(), Some("CMD00002"));
    let of_bob = world.order(cancelled[1]).await.unwrap();
    let reason = of_bob.cancellation.unwrap().reason;
    assert_eq!(reason.as_deref(), Some("moved in with her sister"));

    let kept = Statement::Same("SELECT count(*) FROM idempotency WHERE resource_id = $1");
    for (order, keys) in [(cancelled[0], 0_i64), (cancelled[1], 1)] {
        let found: i64 = world.module.database.query(&kept).bind(order).scalar().await.unwrap();
        assert_eq!(found, keys);
    }
    // Free text from before the order named its customer was encrypted with a key of the order.
    let holder = KeyHolder { subject: legacy, purpose: orders::NAME.to_owned() };
    assert!(world.environment.codec.is_key_destroyed(&holder).await.unwrap());
    client.place(ada).await.problem(409, "refused/customer-closed");
}

#[rstest]
#[tokio::test]
async fn what_the_legacy_says_later_of_an_erased_customers_order_is_not_shown(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (ada, legacy) = (customer(&world).await, new_id());
    world.sync(legacy, imported(Some(ada))).await.unwrap();
    // The customer's keys still exist, as between the event and the reaction of the customers module.
    erased(&world, ada).await;
    let LegacyState::Present(mut state) = imported(Some(ada)) else { unreachable!() };
    state["status"] = json!("fulfilled");
    world.sync(legacy, LegacyState::Present(state)).await.unwrap();
    let view = world.order(legacy).await.unwrap();
    assert_eq!(view.status, OrderStatus::Fulfilled);
    assert_eq!((view.reference, view.note, view.comments), (None, None, None));
}
