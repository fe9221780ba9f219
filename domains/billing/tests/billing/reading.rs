//! Reading over HTTP, and the names of the operations.

use std::collections::BTreeSet;

use actix_web::test::TestRequest;
use billing::domain::Event;
use billing::handlers::credit_note_of;
use billing_contract::InvoiceId;
use database::Engine;
use kernel::seams::new_id;
use kernel::sync::LegacyState;
use rstest::rstest;
use testkit::Client;
use utoipa_actix_web::AppExt as _;

use crate::imports::state;
use crate::world::{POLICIES, World};

const INVOICES: &str = "/api/v1/billing/invoices";

#[rstest]
#[actix_web::test]
async fn an_invoice_is_shown_with_everything_on_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Client::of(&world.module);
    let (invoice, order) = world.invoiced().await;
    world.views_caught_up().await;
    let answer = client.get(&format!("{INVOICES}/{invoice}")).await.is(200);
    let tag = answer.header("etag").to_owned();
    assert!(tag.starts_with("\"0-"), "{tag}");
    let mut body = answer.body.clone();
    let year = body["issue_date"].as_str().unwrap()[..4].to_owned();
    for varying in ["issued_at", "issue_date", "customer_id"] {
        assert!(body.as_object_mut().unwrap().remove(varying).is_some_and(|it| it.is_string()));
    }
    let expected = serde_json::json!({
        "id": invoice,
        "number": format!("{year}-000001"),
        "kind": "invoice",
        "status": "issued",
        "order_ids": [order],
        "bill_to": {
            "name": "Ada Martin",
            "address_lines": ["1 rue de la Paix", "Escalier C", "75002 Paris", "FR"],
            "vat_number": "FR40303265045"
        },
        "currency": "EUR",
        "lines": [{
            "sku": "CH-1", "description": "Chaise de bistrot", "quantity": "2", "unit_price": "49.90",
            "vat_rate": "20", "net": "99.80"
        }],
        "vat": [{ "rate": "20", "base": "99.80", "amount": "19.96" }],
        "total_net": "99.80",
        "total_vat": "19.96",
        "total": "119.76",
        "paid": "0.00",
        "credited": "0.00",
        "refunded": "0.00",
        "open": "119.76",
        "collection": "under_way",
        "credits": [],
        "credited_by": [],
        "owner": "bascule",
        "revision": 0
    });
    assert_eq!(body, expected);
    let known = TestRequest::get()
        .uri(&format!("{INVOICES}/{invoice}"))
        .insert_header(("If-None-Match", tag));
    client.send(known).await.is(304);
}

#[rstest]
#[actix_web::test]
async fn documents_are_listed_newest_first_in_pages_and_filtered(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Client::of(&world.module);
    let (first, _) = world.invoiced().await;
    let (second, order) = world.invoiced().await;
    world.declined(second).await;
    world.eventually(|event| matches!(event, Event::CreditNoteIssued(_))).await;
    let note = credit_note_of(second);
    let imported = InvoiceId::from(new_id());
    world.sync(imported, LegacyState::Present(state(&[order]))).await.unwrap();
    world.views_caught_up().await;
    let customer = world.view(second).await.customer_id.unwrap();
    let number = world.view(note).await.number;

    let get = async |query: String| {
        let answer = client.get(&format!("{INVOICES}{query}")).await.is(200);
        answer.ids().into_iter().map(InvoiceId::from).collect::<Vec<_>>()
    };
    assert_eq!(get(String::new()).await, [imported, note, second, first]);
    assert_eq!(get("?status=voided".into()).await, [second]);
    assert_eq!(get("?kind=credit_note".into()).await, [note]);
    assert_eq!(get(format!("?customer_id={customer}")).await, [note, second]);
    assert_eq!(get(format!("?order_id={order}")).await, [imported, note, second]);
    assert_eq!(get(format!("?order_id={order}&kind=invoice&owner=bascule")).await, [second]);
    assert_eq!(get(format!("?number={number}")).await, [note]);
    assert_eq!(get("?owner=legacy".into()).await, [imported]);
    assert_eq!(get("?legacy_id=7".into()).await, [imported]);
    assert!(get(format!("?order_id={}", new_id())).await.is_empty());
    assert!(get(format!("?legacy_id=7&number={number}")).await.is_empty());

    let page = client.get(&format!("{INVOICES}?owner=bascule&limit=2")).await.is(200);
    assert_eq!(page.ids(), [note, second].map(InvoiceId::as_uuid));
    let link = page.header("link").to_owned();
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    let page = client.get(next).await.is(200);
    assert_eq!(page.ids(), [first.as_uuid()]);
    assert!(page.headers.get("link").is_none());
}

#[rstest]
#[actix_web::test]
async fn the_invoices_that_wait_for_a_persons_decision_are_found(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Client::of(&world.module);
    let (paying, _) = world.invoiced().await;
    let (unpaid, order) = world.invoiced().await;
    world.deferred(order).await;
    world.eventually(|event| matches!(event, Event::Deferred(_))).await;
    world.declined(unpaid).await;
    world.settled(POLICIES).await;
    let found = async |query: &str| client.get(&format!("{INVOICES}{query}")).await.is(200).ids();
    assert_eq!(found("?collection=failed").await, [unpaid.as_uuid()]);
    assert_eq!(found("?collection=under_way").await, [paying.as_uuid()]);
    assert!(found("?collection=failed&status=paid").await.is_empty());
    // The decision is made: the invoice is no longer listed.
    let void = TestRequest::post().uri(&format!("{INVOICES}/{unpaid}/void"));
    client.send(void).await.is(200);
    world.settled(POLICIES).await;
    assert!(found("?collection=failed").await.is_empty());
}

#[rstest]
#[actix_web::test]
async fn an_imported_document_says_where_it_comes_from(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Client::of(&world.module);
    let imported = InvoiceId::from(new_id());
    world.sync(imported, LegacyState::Present(state(&[]))).await.unwrap();
    world.views_caught_up().await;
    let body = client.get(&format!("{INVOICES}/{imported}")).await.is(200).body;
    assert_eq!(body["owner"], "legacy");
    let legacy = serde_json::json!({ "source": "tryton", "id": "7", "flags": [] });
    assert_eq!(body["legacy"], legacy);
    assert_eq!(body["number"], "FA2025-00001");
    assert_eq!(body["issue_date"], "2025-01-10");
    for unsaid in ["customer_id", "bill_to", "voided_reason"] {
        assert!(body.get(unsaid).is_none(), "{unsaid}");
    }
}

#[rstest]
#[actix_web::test]
async fn a_documents_history_tells_what_caused_what(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Client::of(&world.module);
    let (invoice, _) = world.invoiced().await;
    world.captured(invoice, "119.76").await;
    world.eventually(|event| matches!(event, Event::Paid(_))).await;
    let history = client.get(&format!("{INVOICES}/{invoice}/history")).await.is(200);
    let items = history.body["items"].as_array().unwrap();
    let types: Vec<_> = items.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["billing.InvoiceIssued.v1", "billing.InvoicePaid.v1"]);
    assert_eq!(items[0]["data"]["bill_to"]["name"], "Ada Martin");
    assert!(items.iter().all(|event| event["causation_id"].is_string()));
    let nobody = format!("{INVOICES}/{}/history", new_id());
    client.get(&nobody).await.problem(404, "not-found");
}

#[rstest]
#[actix_web::test]
async fn a_reader_sees_what_it_waits_for(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::with(engine, |name| !name.starts_with("billing.invoices")).await;
    let client = Client::of(&world.module);
    let (invoice, _) = world.invoiced().await;
    let head = world.environment.store.head().await.unwrap();
    let read = TestRequest::get()
        .uri(&format!("{INVOICES}/{invoice}"))
        .insert_header(("Bascule-Min-Position", head.to_string()));
    world.release();
    client.send(read).await.is(200);
}

#[rstest]
#[actix_web::test]
async fn what_is_not_there_or_makes_no_sense_is_a_problem(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let client = Client::of(&world.module);
    client.get(&format!("{INVOICES}/{}", new_id())).await.problem(404, "not-found");
    for path in [
        "/17",
        "?statuss=paid",
        "?status=open",
        "?kind=bill",
        "?collection=lost",
        "?order_id=17",
        "?number=",
        "?number=a%0Ab",
        "?legacy_id=",
        "?legacy_id=a%00",
        "?limit=0",
        "?cursor=x",
    ] {
        let answer = client.get(&format!("{INVOICES}{path}")).await;
        answer.problem(400, "invalid-parameter");
    }
}

#[test]
fn the_operations_have_names_that_clients_rely_on() {
    let app = actix_web::App::new().into_utoipa_app().configure(billing::routes);
    let (_, document) = app.split_for_parts();
    let operations = document.paths.paths.values().filter_map(|item| item.get.as_ref());
    let names: BTreeSet<_> =
        operations.filter_map(|operation| operation.operation_id.as_deref()).collect();
    let expected = BTreeSet::from(["get_invoice", "get_invoice_history", "list_invoices"]);
    assert_eq!(names, expected);
}
