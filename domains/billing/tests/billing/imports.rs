//! Documents that a legacy system owns.

use billing::handlers::invoice_of;
use billing::queries::invoices::InvoiceFilter;
use billing::view::{Kind, Status};
use billing_contract::InvoiceId;
use database::Engine;
use kernel::seams::new_id;
use kernel::sync::{LegacyState, SyncError, SyncOutcome};
use orders_contract::OrderId;
use rstest::rstest;
use serde_json::{Value, json};
use web_api::Owner;

use crate::world::{POLICIES, World};

pub fn state(orders: &[OrderId]) -> Value {
    json!({
        "status": "issued",
        "kind": "invoice",
        "number": "FA2025-00001",
        "date": "2025-01-10",
        "currency": "EUR",
        "order_ids": orders,
        "credits": [],
        "credited_by": [],
        "total_net": "487.90",
        "total_vat": "57.91",
        "total": "545.82",
        "vat": [{ "rate": "5.5", "base": "273.58", "amount": "15.05" }, { "rate": null, "base": "214.32", "amount": "42.86" }],
        "paid": "0",
        "flags": []
    })
}

fn with(changes: Value) -> LegacyState {
    let mut state = state(&[]);
    for (name, value) in changes.as_object().unwrap() {
        state[name] = value.clone();
    }
    LegacyState::Present(state)
}

#[rstest]
#[tokio::test]
async fn a_document_is_imported_then_revised_and_repetitions_record_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = InvoiceId::from(new_id());
    let (first, second) = (OrderId::from(new_id()), OrderId::from(new_id()));
    let imported = LegacyState::Present(state(&[first, second]));
    assert_eq!(world.sync(id, imported.clone()).await.unwrap(), SyncOutcome::Imported);
    assert_eq!(world.sync(id, imported).await.unwrap(), SyncOutcome::Unchanged);
    let view = world.view(id).await;
    assert_eq!(
        (view.kind, view.status, view.owner),
        (Kind::Invoice, Status::Issued, Owner::Legacy)
    );
    assert_eq!(view.issued_at.to_rfc3339(), "2025-01-10T00:00:00+00:00");
    // Nothing is recomputed, not even what does not add up.
    assert_eq!(view.total.to_string(), "545.82");
    assert_eq!(view.vat.len(), 2);
    assert_eq!(view.vat[1].rate, None);
    let legacy = view.legacy.unwrap();
    assert_eq!((legacy.source.as_str(), legacy.id.as_str()), ("tryton", "7"));
    let of = |order_id| InvoiceFilter { order_id: Some(order_id), ..InvoiceFilter::default() };
    assert_eq!(world.list(of(first)).await, [id]);
    assert_eq!(world.list(of(second)).await, [id]);

    let paid = json!({ "status": "paid", "paid": "545.82", "order_ids": [second] });
    let outcome = world.sync(id, LegacyState::Present(paid)).await.unwrap();
    let SyncOutcome::Revised(mut changed) = outcome else { panic!("{outcome:?}") };
    changed.sort();
    assert_eq!(changed, ["order_ids", "paid", "status"]);
    let view = world.view(id).await;
    assert_eq!((view.status, view.paid.unwrap().to_string()), (Status::Paid, "545.82".to_owned()));
    assert_eq!((view.number.as_str(), view.revision), ("FA2025-00001", 1));
    assert!(world.list(of(first)).await.is_empty());
    assert_eq!(world.list(of(second)).await, [id]);
}

#[rstest]
#[tokio::test]
async fn what_is_gone_is_voided_and_what_is_back_stands_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = InvoiceId::from(new_id());
    let gone = || LegacyState::Absent { reason: "state draft".to_owned() };
    assert_eq!(world.sync(id, gone()).await.unwrap(), SyncOutcome::Ignored);
    let present = || LegacyState::Present(state(&[]));
    assert_eq!(world.sync(id, present()).await.unwrap(), SyncOutcome::Imported);
    assert!(matches!(world.sync(id, gone()).await.unwrap(), SyncOutcome::Revised(_)));
    assert_eq!(world.sync(id, gone()).await.unwrap(), SyncOutcome::Unchanged);
    let view = world.view(id).await;
    assert_eq!(view.status, Status::Voided);
    assert_eq!(view.voided_reason.as_deref(), Some("state draft"));
    assert!(matches!(world.sync(id, present()).await.unwrap(), SyncOutcome::Revised(_)));
    let view = world.view(id).await;
    assert_eq!((view.status, view.voided_reason), (Status::Issued, None));
}

#[rstest]
#[tokio::test]
async fn what_was_issued_here_is_ours(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let world = World::new(engine).await;
    let (invoice, _) = world.invoiced().await;
    let before = world.view(invoice).await;
    let outcome = world.sync(invoice, LegacyState::Present(state(&[]))).await.unwrap();
    assert_eq!(outcome, SyncOutcome::Conflict);
    let gone = LegacyState::Absent { reason: "deleted".to_owned() };
    assert_eq!(world.sync(invoice, gone).await.unwrap(), SyncOutcome::Conflict);
    assert_eq!(world.view(invoice).await, before);
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_understood_is_said_without_its_values(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    for (state, said) in [
        (with(json!({ "numbr": "FA1" })), "unknown field `numbr`"),
        (with(json!({ "total": "Ada" })), "`total` is invalid"),
        (with(json!({ "status": null })), "`status` is missing"),
        (with(json!({ "number": "é".repeat(601) })), "`number` is invalid: expected at most 600"),
    ] {
        match world.sync(new_id().into(), state).await {
            Err(SyncError::NotUnderstood(text)) => {
                assert!(text.contains(said), "{text}");
                assert!(!text.contains("Ada"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_number_like_ours_takes_none_of_ours_and_is_told_apart(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (ours, _) = world.invoiced().await;
    let number = world.view(ours).await.number;
    let theirs = InvoiceId::from(new_id());
    world.sync(theirs, with(json!({ "number": number }))).await.unwrap();
    let filter = InvoiceFilter { number: Some(number.clone()), ..InvoiceFilter::default() };
    assert_eq!(world.list(filter.clone()).await, [theirs, ours]);
    for (owner, id) in [(Owner::Legacy, theirs), (Owner::Bascule, ours)] {
        let filter = InvoiceFilter { owner: Some(owner), ..filter.clone() };
        assert_eq!(world.list(filter).await, [id]);
    }
    assert_eq!(world.view(theirs).await.legacy.unwrap().flags, ["number_like_ours"]);
    // Ours goes on where it was, even when the next number is taken in the legacy system.
    let next = number.replace("-000001", "-000002");
    world.sync(new_id().into(), with(json!({ "number": next }))).await.unwrap();
    let (another, _) = world.invoiced().await;
    assert_eq!(world.view(another).await.number, next);
}

#[rstest]
#[tokio::test]
async fn imported_documents_are_neither_charged_nor_numbered(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = InvoiceId::from(new_id());
    world.sync(id, LegacyState::Present(state(&[]))).await.unwrap();
    world.sync(id, LegacyState::Absent { reason: "deleted".to_owned() }).await.unwrap();
    world.settled(POLICIES).await;
    let head = world.environment.store.head().await.unwrap();
    assert_eq!(head, 2, "something followed from an import");
    // A cancellation here of an order that was imported meets no invoice of ours.
    assert_ne!(id, invoice_of(id.as_uuid().into()));
}
