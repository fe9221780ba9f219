//! Reading over HTTP, and the names of the operations.

use std::collections::BTreeSet;

use database::Engine;
use kernel::seams::new_id;
use rstest::rstest;
use utoipa_actix_web::AppExt as _;
use uuid::Uuid;

use testkit::Answer;

use crate::client::{Orders, customer};
use crate::imports::legacy_order;
use crate::world::World;

#[rstest]
#[actix_web::test]
async fn orders_are_listed_newest_first_in_pages_and_filtered(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let (ada, bob) = (customer(&world).await, customer(&world).await);
    let first = client.place(ada).await.is(201).id();
    let second = client.place(bob).await.is(201).id();
    let third = client.place(ada).await.is(201).id();
    client.act(third, "confirm").await.is(200);
    let imported = new_id();
    world.sync(imported, legacy_order()).await.unwrap();
    world.order(imported).await.unwrap();

    let ids = |answer: Answer| {
        let items = answer.is(200).body["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().parse().unwrap())
            .collect::<Vec<Uuid>>()
    };
    let get = async |query: String| ids(client.get(&format!("/api/v1/orders{query}")).await);
    assert_eq!(get(String::new()).await, [imported, third, second, first]);
    assert_eq!(get("?status=confirmed".into()).await, [imported, third]);
    assert_eq!(get(format!("?customer_id={ada}")).await, [third, first]);
    assert_eq!(get("?owner=bascule&status=awaiting_payment".into()).await, [second, first]);
    assert_eq!(get("?legacy_id=sale_sale/7".into()).await, [imported]);
    let of_ada = format!("?legacy_id=sale_sale/7&customer_id={ada}");
    assert!(get(of_ada).await.is_empty());
    assert!(get("?currency=CHF".into()).await.is_empty());

    let page = client.get("/api/v1/orders?owner=bascule&limit=2").await.is(200);
    let link = page.header("link").to_owned();
    assert_eq!(ids(page), [third, second]);
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    let page = client.get(next).await.is(200);
    assert!(page.headers.get("link").is_none());
    assert_eq!(ids(page), [first]);
}

#[rstest]
#[actix_web::test]
async fn an_orders_history_tells_who_and_why(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let id = client.place(customer(&world).await).await.is(201).id();
    client.act(id, "confirm").await.is(200);
    let history = client.get(&format!("/api/v1/orders/{id}/history")).await.is(200);
    let types: Vec<_> =
        history.body["items"].as_array().unwrap().iter().map(|e| &e["type"]).collect();
    assert_eq!(
        types,
        ["orders.OrderPlaced.v1", "orders.OrderConfirmed.v1", "orders.PaymentDeferred.v1"]
    );
    client.get(&format!("/api/v1/orders/{}/history", new_id())).await.problem(404, "not-found");
}

#[rstest]
#[actix_web::test]
async fn what_is_not_there_is_not_found(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    client.get(&format!("/api/v1/orders/{}", new_id())).await.problem(404, "not-found");
    client.act(new_id(), "confirm").await.problem(404, "not-found");
    client.get("/api/v1/orders/17").await.problem(400, "invalid-parameter");
    client.get("/api/v1/orders?statuss=confirmed").await.problem(400, "invalid-parameter");
    client.get("/api/v1/orders?currency=eur").await.problem(400, "invalid-parameter");
    client.get("/api/v1/orders?legacy_id=a%00").await.problem(400, "invalid-parameter");
}

#[test]
fn the_operations_have_names_that_clients_rely_on() {
    let app = actix_web::App::new().into_utoipa_app().configure(orders::routes);
    let (_, document) = app.split_for_parts();
    let items = document.paths.paths.values();
    let operations = items.flat_map(|item| [&item.get, &item.post].into_iter().flatten());
    let names: BTreeSet<_> = operations.filter_map(|one| one.operation_id.as_deref()).collect();
    let expected = [
        "cancel_order",
        "confirm_order",
        "fulfil_order",
        "get_order",
        "get_order_history",
        "list_orders",
        "place_order",
        "return_order",
    ];
    assert_eq!(names, BTreeSet::from(expected));
}
