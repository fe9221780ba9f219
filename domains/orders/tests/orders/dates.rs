//! Sorting and filtering orders by the time at which they were placed, for orders of all owners.

use std::sync::Arc;

use database::{Database, Engine, Statement};
use kernel::seams::{SystemClock, new_id};
use module::NoSettings;
use orders::OrdersModule;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::Client;
use testkit::engines::TestTables;
use testkit::lists::{DatedList, import};
use testkit::modules::{environment, open};
use uuid::Uuid;

use crate::client::{Orders, customer};
use crate::imports::legacy_order;
use crate::world::World;

/// Inserts a row as the projection does: the engine derives the date from the document.
const INSERT: Statement = Statement::Same(
    "INSERT INTO order_view (id, position, revision, status, customer_id, currency, owner, document) \
     VALUES ($1, $2, 0, 'confirmed', $3, 'EUR', 'legacy', $4)",
);

fn state(date: Option<&str>, customer: Uuid) -> Value {
    let kernel::sync::LegacyState::Present(mut state) = legacy_order() else { panic!("absent") };
    state["date"] = json!(date);
    state["customer_id"] = json!(customer);
    state
}

fn list<'a>(client: &'a Client, environment: &'a kernel::execution::Environment) -> DatedList<'a> {
    let path = "/api/v1/orders";
    DatedList { client, environment, path, date: "placed_at", bounds: "placed" }
}

#[rstest]
#[actix_web::test]
async fn orders_of_many_years_are_sorted_and_filtered_by_when_they_were_placed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Orders::of(&world);
    let (ada, bob) = (customer(&world).await, customer(&world).await);
    // Not in the order of their dates, several on one date, one without a date.
    for (day, customer) in [
        (Some("2025-01-06"), ada),
        (Some("2011-03-02"), ada),
        (Some("2019-12-31"), bob),
        (Some("2011-03-02"), ada),
        (Some("2020-01-01"), bob),
        (None, ada),
        (Some("2011-03-02"), bob),
        (Some("2019-12-31"), bob),
    ] {
        import(&world.module, new_id(), state(day, customer)).await;
    }
    client.place(ada).await.is(201);
    // The legacy system corrects a date.
    let corrected = new_id();
    import(&world.module, corrected, state(Some("2030-01-01"), bob)).await;
    import(&world.module, corrected, json!({ "date": "2019-12-31" })).await;

    let filters = ["&owner=legacy", "&status=confirmed", &format!("&customer_id={bob}")];
    list(&client, &world.environment).is_sorted(&filters).await;
    let of_2019 =
        client.get("/api/v1/orders?placed_from=2019-01-01&placed_before=2020-01-01").await;
    assert_eq!(of_2019.is(200).ids().len(), 3);
    // A filter by the key in the legacy system can be combined with time bounds.
    let found = async |bounds: &str| {
        let path = format!("/api/v1/orders?legacy_id={corrected}&{bounds}");
        client.get(&path).await.is(200).ids()
    };
    assert_eq!(found("placed_from=2019-12-31").await, [corrected]);
    assert!(found("placed_from=2020-01-01").await.is_empty());
}

#[rstest]
#[actix_web::test]
async fn rows_have_the_place_that_their_documents_say(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let tables = TestTables::on(engine).await;
    let customer = new_id();
    let write = async |database: &Database, position: i64, placed_at: &str| {
        let id = new_id();
        let document = json!({
            "id": id, "status": "confirmed", "currency": "EUR", "lines": [], "owner": "legacy",
            "customer_id": customer, "placed_at": placed_at, "revision": 0,
        });
        let mut transaction = database.begin().await.unwrap();
        let insert = transaction.query(&INSERT).bind(id).bind(position).bind(customer);
        insert.bind_json(&document).execute().await.unwrap();
        transaction.commit().await.unwrap();
    };
    let environment = environment(Arc::new(SystemClock), Arc::default());
    let module = open(&OrdersModule, environment.clone(), tables.url(), NoSettings {}).await;
    for (position, placed_at) in (1..).zip([
        "2024-02-29T00:00:00Z",
        "2011-03-02T00:00:00Z",
        "2026-03-01T12:00:00.120Z",
        "2011-03-02T00:00:00Z",
        "2026-03-01T12:00:00.120001Z",
        "2026-03-01T12:00:00Z",
        "2012-01-01T00:00:00Z",
    ]) {
        write(&module.database, position, placed_at).await;
    }
    let client = Client::of(&module);
    let list = list(&client, &environment);
    list.is_sorted(&[&format!("&customer_id={customer}")]).await;

    // Years outside of 0 to 9999 are sorted, too.
    write(&module.database, 8, "+12025-01-01T00:00:00Z").await;
    write(&module.database, 9, "-0044-03-15T00:00:00Z").await;
    let sorted = client.get("/api/v1/orders?sort=placed_at").await.is(200);
    let items = sorted.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 9);
    assert_eq!(items[0]["placed_at"], "-0044-03-15T00:00:00Z");
    assert_eq!(items[8]["placed_at"], "+12025-01-01T00:00:00Z");
    let late = client.get("/api/v1/orders?placed_from=2027-01-01").await.is(200);
    assert_eq!(late.ids().len(), 1);
}
