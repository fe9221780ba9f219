//! Orders earn points, and the API spends them, on both engines.

use std::sync::Arc;

use database::Engine;
use event_contract::Sample as _;
use kernel::seams::{SystemClock, new_id};
use loyalty::LoyaltyModule;
use loyalty::policies::OrderEvent;
use module::NoSettings;
use orders_contract::OrderPlaced;
use rstest::rstest;
use serde_json::json;
use testkit::Client;
use testkit::engines::TestTables;
use testkit::modules::{environment, open};
use testkit::running::Running;
use uuid::Uuid;

fn placed(customer_id: Uuid, total: &str) -> OrderEvent {
    let total = total.parse().unwrap();
    OrderPlaced { order_id: new_id().into(), customer_id, total, ..OrderPlaced::sample() }.into()
}

#[rstest]
#[actix_web::test]
async fn an_order_earns_points_that_can_be_spent(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let environment = environment(Arc::new(SystemClock), Arc::default());
    let module = open(&LoyaltyModule, environment.clone(), place.url(), NoSettings {}).await;
    let running = Running::all(&environment, module);
    let client = Client::of(&running.module);
    let customer = new_id();

    running.happened("order", new_id(), placed(customer, "119.76")).await;
    running.happened("order", new_id(), placed(customer, "0.40")).await;
    running.settled(&["loyalty.earning"]).await;
    running.caught_up("loyalty.cards").await;
    let path = format!("/api/v1/loyalty/cards/{customer}");
    assert_eq!(client.get(&path).await.is(200).body["points"], 119);

    let spend = format!("{path}/spend");
    client.post(&spend, json!({ "points": 100 })).await.is(200);
    let refused = client.post(&spend, json!({ "points": 20 })).await.is(409);
    assert_eq!(refused.body["detail"], "the card has 19 points");
    running.caught_up("loyalty.cards").await;
    assert_eq!(client.get(&path).await.is(200).body["points"], 19);
}
