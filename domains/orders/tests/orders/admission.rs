//! While the processing of earlier orders is too far behind, no order is placed. All other requests are
//! served.

use std::time::Duration;

use actix_web::test::TestRequest;
use chrono::TimeDelta;
use database::Engine;
use kernel::admission::Admission;
use rstest::rstest;

use crate::client::{Orders, customer, order_of};
use crate::world::World;

#[rstest]
#[tokio::test]
async fn orders_are_refused_while_the_gate_is_closed_and_everything_else_goes_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let admission = Admission::new(Duration::from_secs(5));
    let world = World::admitting(engine, admission.clone()).await;
    let customer_id = customer(&world).await;
    let orders = Orders::of(&world);
    let placed = orders.place(customer_id).await.is(201);
    let keyed = || {
        let request = TestRequest::post().uri("/api/v1/orders").set_json(order_of(customer_id));
        request.insert_header(("Idempotency-Key", "once"))
    };
    let first = orders.send(keyed()).await.is(201);

    let now = world.environment.clock.now();
    admission.observe(Some(now - TimeDelta::seconds(7)), now);
    let refused = orders.place(customer_id).await.is(503);
    assert_eq!(refused.body["type"], "/problems/backlog");
    assert_eq!(refused.header("retry-after"), "5");
    // A repeated request, a read and a command on an existing order start no new processing.
    let again = orders.send(keyed()).await.is(201);
    assert_eq!(again.id(), first.id());
    orders.order_after(&placed).await;
    orders.act(placed.id(), "confirm").await.is(200);

    admission.observe(Some(now - TimeDelta::seconds(3)), now);
    orders.place(customer_id).await.is(503);
    admission.observe(Some(now - TimeDelta::seconds(2)), now);
    orders.place(customer_id).await.is(201);
}
