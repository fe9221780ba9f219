//! Invalid bodies and refused commands over HTTP.

use database::Engine;
use rstest::rstest;
use serde_json::json;

use crate::client::{Orders, customer, order_of};
use crate::world::World;

#[rstest]
#[actix_web::test]
async fn a_field_that_is_wrong_is_named(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let customer_id = customer(&world).await;
    for (pointer, value, field) in [
        ("/currency", json!("EUX"), "currency"),
        ("/payment_method", json!("Sandbox ok"), "payment_method"),
        ("/lines", json!([]), "lines"),
        ("/lines", json!(vec![order_of(customer_id)["lines"][0].clone(); 201]), "lines"),
        ("/lines/0/sku", json!(""), "lines[0].sku"),
        ("/lines/0/sku", json!("x".repeat(65)), "lines[0].sku"),
        ("/lines/0/description", json!("x".repeat(501)), "lines[0].description"),
        ("/lines/0/quantity", json!("0"), "lines[0].quantity"),
        ("/lines/0/quantity", json!("1.0000001"), "lines[0].quantity"),
        ("/lines/0/quantity", json!(2), "lines[0].quantity"),
        ("/lines/0/unit_price", json!("-1"), "lines[0].unit_price"),
        ("/lines/0/unit_price", json!("1.00001"), "lines[0].unit_price"),
        ("/lines/0/vat_rate", json!("100.01"), "lines[0].vat_rate"),
        ("/lines/0/vat_rate", json!("5.555"), "lines[0].vat_rate"),
        ("/customer_id", json!("17"), "customer_id"),
    ] {
        let mut body = order_of(customer_id);
        *body.pointer_mut(pointer).unwrap() = value.clone();
        let answer = client.post("/api/v1/orders", body).await.problem(422, "validation");
        assert_eq!(answer.body["errors"][0]["field"], field, "{pointer} = {value}");
    }
    let mut body = order_of(customer_id);
    body["discount"] = json!("5");
    let answer = client.post("/api/v1/orders", body).await.problem(422, "validation");
    assert_eq!(answer.body["errors"][0]["field"], "discount");
    assert_eq!(world.head().await, 1, "only the customer is recorded");
}

#[rstest]
#[actix_web::test]
async fn an_order_that_cannot_be_paid_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let customer_id = customer(&world).await;
    let priced = |quantity: &str, unit_price: &str| {
        let mut body = order_of(customer_id);
        body["lines"][0]["quantity"] = json!(quantity);
        body["lines"][0]["unit_price"] = json!(unit_price);
        body
    };
    let free = client.post("/api/v1/orders", priced("1", "0")).await;
    free.problem(422, "refused/nothing-to-pay");
    let most = "999999999999999.9999";
    let huge = client.post("/api/v1/orders", priced("999999999999999.999999", most)).await;
    huge.problem(422, "refused/total-too-large");
}
