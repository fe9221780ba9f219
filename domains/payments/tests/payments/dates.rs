//! Payments and refunds are sorted and filtered by when they were requested, or came in a legacy system.

use database::{Database, Engine, Statement};
use kernel::seams::new_id;
use payments_contract::PaymentCaptured;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::Client;
use testkit::lists::{DatedList, import};
use uuid::Uuid;

use crate::world::{World, settings};

/// A row as the projection writes it: the engine makes the date of its document.
const INSERT: Statement = Statement::Same(
    "INSERT INTO payment (id, position, revision, status, owner, document) \
     VALUES ($1, $2, 0, 'captured', 'legacy', $3)",
);
const INSERT_REFUND: Statement = Statement::Same(
    "INSERT INTO payment_refund (id, position, payment_id, revision, status, document) \
     VALUES ($1, $2, $1, 0, 'failed', $3)",
);

fn payments<'a>(client: &'a Client, world: &'a World) -> DatedList<'a> {
    let (environment, path) = (&world.environment, "/api/v1/payments");
    DatedList { client, environment, path, date: "requested_at", bounds: "requested" }
}

#[rstest]
#[actix_web::test]
async fn payments_of_many_years_are_sorted_and_filtered_by_when_they_were_requested(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let invoice = new_id();
    for (day, invoice) in [
        (Some("2025-01-06"), Some(invoice)),
        (Some("2011-03-02"), Some(invoice)),
        (Some("2019-12-31"), None),
        (Some("2011-03-02"), Some(invoice)),
        (None, Some(invoice)),
        (Some("2020-01-01"), None),
        (Some("2019-12-31"), Some(invoice)),
    ] {
        let state = json!({
            "status": "captured", "invoice_id": invoice, "date": day, "amount": "50.00",
            "currency": "EUR"
        });
        import(&running.module, new_id(), state).await;
    }
    let payment = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(payment).await;
    // The legacy corrects a day.
    let corrected = new_id();
    let state =
        json!({"date": "2030-01-01", "amount": "1", "currency": "EUR", "status": "captured"});
    import(&running.module, corrected, state).await;
    import(&running.module, corrected, json!({"date": "2019-12-31"})).await;

    let client = Client::of(&running.module);
    let filters = ["&status=captured", "&owner=legacy", &format!("&invoice_id={invoice}")];
    payments(&client, &world).is_sorted(&filters).await;
    let of_2019 = "/api/v1/payments?requested_from=2019-01-01&requested_before=2020-01-01";
    assert_eq!(client.get(of_2019).await.is(200).ids().len(), 3);
    running.stop().await;
}

async fn write(database: &Database, insert: &Statement, id: Uuid, position: i64, document: Value) {
    let mut transaction = database.begin().await.unwrap();
    let insert = transaction.query(insert).bind(id).bind(position).bind_json(&document);
    insert.execute().await.unwrap();
    transaction.commit().await.unwrap();
}

/// A payment: when it was captured from the legacy's log, and its day there.
async fn write_payment(database: &Database, position: i64, requested_at: &str, date: Option<&str>) {
    let mut document = json!({"amount": "50.00", "currency": "EUR", "requested_at": requested_at});
    if let Some(date) = date {
        document["date"] = json!(date);
    }
    write(database, &INSERT, new_id(), position, document).await;
}

async fn write_refund(database: &Database, position: i64, requested_at: &str) {
    let document = json!({
        "cause": "requested", "amount": "1.00", "currency": "EUR", "lines": [],
        "credit_note_id": null, "reference": null, "code": null, "requested_at": requested_at
    });
    write(database, &INSERT_REFUND, new_id(), position, document).await;
}

#[rstest]
#[actix_web::test]
async fn rows_have_the_place_that_their_documents_say(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let database = &running.module.database;
    let now = "2026-03-01T12:00:00.120Z";
    for (position, (requested_at, day)) in (1..).zip([
        (now, Some("2024-02-29")),
        (now, Some("2011-03-02")),
        (now, None),
        (now, Some("2011-03-02")),
        ("2011-03-02T00:00:00Z", None),
        ("2026-03-01T12:00:00Z", None),
        (now, Some("2012-01-01")),
    ]) {
        write_payment(database, position, requested_at, day).await;
    }
    for (position, requested_at) in (1..).zip([
        "2026-03-01T12:00:00.120Z",
        "2025-03-01T12:00:00Z",
        "2026-03-01T12:00:00.120Z",
        "2026-03-01T12:00:00Z",
        "2024-01-01T00:00:00Z",
    ]) {
        write_refund(database, position, requested_at).await;
    }
    let client = Client::of(&running.module);
    let payments = payments(&client, &world);
    payments.is_sorted(&["&status=captured", "&owner=legacy"]).await;
    let refunds = DatedList { path: "/api/v1/payments/refunds", ..payments };
    refunds.is_sorted(&["&status=failed"]).await;
    running.stop().await;
}
