//! Sorting and filtering customers by the time of their registration, for customers of all owners.

use std::sync::Arc;

use customers::CustomersModule;
use customers::handlers::Customers;
use database::{Engine, Statement};
use kernel::seams::{SystemClock, new_id};
use module::NoSettings;
use rstest::rstest;
use serde_json::json;
use testkit::Client;
use testkit::engines::TestTables;
use testkit::lists::{DatedList, import};
use testkit::modules::{environment, open};
use testkit::running::Running;

use crate::world::{registration, request};

/// Inserts a row as the projection does.
const INSERT: Statement = Statement::Same(
    "INSERT INTO customer (id, position, registered_at, revision, kind, status, owner, flags) \
     VALUES ($1, $2, $3, 0, 'company', 'open', 'legacy', '[]')",
);

fn list<'a>(client: &'a Client, environment: &'a kernel::execution::Environment) -> DatedList<'a> {
    let path = "/api/v1/customers";
    DatedList { client, environment, path, date: "registered_at", bounds: "registered" }
}

#[rstest]
#[actix_web::test]
async fn customers_of_many_years_are_sorted_and_filtered_by_when_they_became_customers(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let tables = TestTables::on(engine).await;
    let environment = environment(Arc::new(SystemClock), Arc::default());
    let opened = open(&CustomersModule, environment.clone(), tables.url(), NoSettings {}).await;
    let running = Running::all(&environment, opened);
    let module = &running.module;
    for (since, kind) in [
        (Some("2025-01-06"), "company"),
        (Some("2011-03-02"), "company"),
        (Some("2019-12-31"), "person"),
        (Some("2011-03-02"), "company"),
        (None, "company"),
        (Some("2020-01-01"), "person"),
        (Some("2019-12-31"), "person"),
    ] {
        let state = json!({ "since": since, "kind": kind, "email": "compta@exemple.fr" });
        import(module, new_id(), state).await;
    }
    let ada = registration("compta@exemple.fr");
    Customers::new(environment.clone()).register(ada, &request()).await.unwrap();
    // The legacy system corrects a date and then clears it: the list keeps the last date.
    let corrected = new_id();
    import(module, corrected, json!({ "since": "2030-01-01" })).await;
    import(module, corrected, json!({ "since": "2019-12-31" })).await;
    import(module, corrected, json!({ "since": null })).await;

    let client = Client::of(module);
    let filters = ["&kind=person", "&owner=legacy", "&email=compta@exemple.fr"];
    list(&client, &environment).is_sorted(&filters).await;
    let of_2019 = "/api/v1/customers?registered_from=2019-01-01&registered_before=2020-01-01";
    assert_eq!(client.get(of_2019).await.is(200).ids().len(), 3);
    let shown = client.get(&format!("/api/v1/customers/{corrected}")).await.is(200);
    assert_eq!(shown.body["registered_at"], "2019-12-31T00:00:00Z");

    // A date outside of the engines' range is stored as the last date of the range.
    import(module, corrected, json!({ "since": "+200000-01-01" })).await;
    let sorted = list(&client, &environment).ids("sort=-registered_at&limit=1").await;
    assert_eq!(sorted[0], corrected);
}

#[rstest]
#[actix_web::test]
async fn rows_are_sorted_to_the_microsecond(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let tables = TestTables::on(engine).await;
    let environment = environment(Arc::new(SystemClock), Arc::default());
    let module = open(&CustomersModule, environment.clone(), tables.url(), NoSettings {}).await;
    for (position, registered_at) in (1_i64..).zip([
        "2026-03-01T12:00:00.120Z",
        "2024-02-29T00:00:00Z",
        "2026-03-01T12:00:00.120001Z",
        "2024-02-29T00:00:00Z",
        "2026-03-01T12:00:00Z",
    ]) {
        let mut transaction = module.database.begin().await.unwrap();
        let registered_at: chrono::DateTime<chrono::Utc> = registered_at.parse().unwrap();
        let insert = transaction.query(&INSERT).bind(new_id()).bind(position);
        insert.bind(registered_at).execute().await.unwrap();
        transaction.commit().await.unwrap();
    }
    let client = Client::of(&module);
    list(&client, &environment).is_sorted(&["&kind=company"]).await;
}
