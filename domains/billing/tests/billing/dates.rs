//! Documents are sorted and filtered by when they were issued, whatever system they come from.

use std::sync::Arc;

use billing::BillingModule;
use billing::BillingSettings;
use database::{Database, Engine, Statement};
use kernel::execution::Environment;
use kernel::seams::{SystemClock, new_id};
use module::OpenModule;
use orders_contract::OrderId;
use rstest::rstest;
use serde_json::json;
use testkit::Client;
use testkit::engines::TestTables;
use testkit::lists::{DatedList, import};
use testkit::modules::{environment, open};
use tokio_util::sync::CancellationToken;

use crate::imports::state;

/// A row as the projection writes it: the engine makes the date of its document.
const INSERT: Statement = Statement::Same(
    "INSERT INTO invoice_view (id, position, revision, kind, status, number, customer_id, owner, \
     collection, document) \
     VALUES ($1, $2, 0, 'invoice', 'issued', '2026-000001', $3, 'bascule', 'under_way', $4)",
);

async fn module(place: &TestTables) -> (Environment, OpenModule) {
    let environment = environment(Arc::new(SystemClock), Arc::default());
    let settings = BillingSettings::default();
    (environment.clone(), open(&BillingModule, environment, place.url(), settings).await)
}

fn list<'a>(client: &'a Client, environment: &'a Environment) -> DatedList<'a> {
    let path = "/api/v1/billing/invoices";
    DatedList { client, environment, path, date: "issued_at", bounds: "issued" }
}

#[rstest]
#[actix_web::test]
async fn documents_of_many_years_are_sorted_and_filtered_by_when_they_were_issued(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let (environment, mut module) = module(&place).await;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    for subscription in module.subscriptions.drain(..) {
        tokio::spawn(subscription.run(stop.clone()));
    }
    let (customer, order) = (new_id(), OrderId::from(new_id()));
    for (day, kind) in [
        (Some("2025-01-06"), "invoice"),
        (Some("2011-03-02"), "credit_note"),
        (Some("2019-12-31"), "invoice"),
        (Some("2011-03-02"), "credit_note"),
        (None, "invoice"),
        (Some("2020-01-01"), "credit_note"),
        (Some("2019-12-31"), "invoice"),
        (Some("2019-12-31"), "credit_note"),
    ] {
        let mut state = state(&[order]);
        state["date"] = json!(day);
        state["kind"] = json!(kind);
        state["customer_id"] = json!(customer);
        import(&module, new_id(), state).await;
    }
    // The legacy corrects a day.
    let corrected = new_id();
    import(&module, corrected, state(&[])).await;
    import(&module, corrected, json!({ "date": "2020-01-01" })).await;

    let client = Client::of(&module);
    let filters = [
        "&kind=credit_note",
        "&owner=legacy",
        "&number=FA2025-00001",
        &format!("&customer_id={customer}"),
        &format!("&order_id={order}"),
    ];
    list(&client, &environment).is_sorted(&filters).await;
    let of_2019 = "/api/v1/billing/invoices?issued_from=2019-01-01&issued_before=2020-01-01";
    assert_eq!(client.get(of_2019).await.is(200).ids().len(), 3);
}

#[rstest]
#[actix_web::test]
async fn rows_have_the_place_that_their_documents_say(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = TestTables::on(engine).await;
    let customer = new_id();
    let write = async |database: &Database, position: i64, issued_at: &str| {
        let id = new_id();
        let document = json!({
            "id": id, "number": "2026-000001", "kind": "invoice", "status": "issued",
            "order_ids": [], "customer_id": customer, "currency": "EUR", "lines": [], "vat": [],
            "total": "1.00", "collection": "under_way", "credits": [], "credited_by": [],
            "owner": "bascule", "issued_at": issued_at, "revision": 0,
        });
        let mut transaction = database.begin().await.unwrap();
        let insert = transaction.query(&INSERT).bind(id).bind(position).bind(customer);
        insert.bind_json(&document).execute().await.unwrap();
        transaction.commit().await.unwrap();
    };
    let (environment, module) = module(&place).await;
    for (position, issued_at) in (1..).zip([
        "2024-02-29T00:00:00Z",
        "2011-03-02T00:00:00Z",
        "2026-03-01T12:00:00.120Z",
        "2011-03-02T00:00:00Z",
        "2026-03-01T12:00:00Z",
        "2012-01-01T00:00:00Z",
    ]) {
        write(&module.database, position, issued_at).await;
    }
    let client = Client::of(&module);
    let filters = ["&collection=under_way", &format!("&customer_id={customer}")];
    list(&client, &environment).is_sorted(&filters).await;
}
