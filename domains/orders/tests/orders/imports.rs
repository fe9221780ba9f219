//! Orders of the legacy system.

use database::Engine;
use event_contract::Sample as _;
use kernel::seams::new_id;
use kernel::sync::{LegacyState, SyncError, SyncOutcome};
use orders::domain::Event;
use orders::view::{Cancellation, CancellationCause, OrderStatus};
use orders_contract::{OrderId, OrderPlaced};
use rstest::rstest;
use serde_json::json;
use web_api::Owner;

use crate::world::World;

/// An order as a mapping's program returns it.
pub fn legacy_order() -> LegacyState {
    LegacyState::Present(json!({
        "status": "confirmed",
        "number": "CMD00002",
        "reference": null,
        "date": "2025-01-06",
        "note": "Livrer chez Mme Martin",
        "customer_id": "0197b19f-1200-7a51-8c44-0f9e8d7c6b5a",
        "currency": "EUR",
        "lines": [
            { "legacy_id": "1", "sku": "ART001", "description": "Chaise", "quantity": "3.0",
              "unit": "Unit", "unit_price": "18.0000", "vat_rates": ["20.00"] }
        ],
        "comments": ["Sonner deux fois"],
        "total_net": "54.00",
        "total_vat": "10.81",
        "total": "64.81",
        "flags": ["odd_total"]
    }))
}

#[rstest]
#[tokio::test]
async fn an_imported_order_is_shown_as_it_is(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = new_id();
    assert_eq!(world.sync(id, legacy_order()).await.unwrap(), SyncOutcome::Imported);

    let view = world.order(id).await.unwrap();
    let shown = serde_json::to_value(view).unwrap();
    assert_eq!(
        shown,
        json!({
            "id": id,
            "status": "confirmed",
            "number": "CMD00002",
            "date": "2025-01-06",
            "note": "Livrer chez Mme Martin",
            "customer_id": "0197b19f-1200-7a51-8c44-0f9e8d7c6b5a",
            "currency": "EUR",
            "lines": [
                { "legacy_id": "1", "sku": "ART001", "description": "Chaise", "quantity": "3.0",
                  "unit": "Unit", "unit_price": "18.0000", "vat_rates": ["20.00"] }
            ],
            "comments": ["Sonner deux fois"],
            "total_net": "54.00",
            "total_vat": "10.81",
            "total": "64.81",
            "owner": "legacy",
            "legacy": { "source": "tryton", "id": "sale_sale/7", "flags": ["odd_total"] },
            "placed_at": "2025-01-06T00:00:00Z",
            "revision": 0
        })
    );
}

#[rstest]
#[tokio::test]
async fn notes_and_comments_are_sealed_in_the_log(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    world.sync(new_id(), legacy_order()).await.unwrap();
    let imported = world.eventually(|event| matches!(event, Event::Imported(_))).await;
    let stored = String::from_utf8(imported.data.clone()).unwrap();
    assert!(!stored.contains("Martin") && !stored.contains("Sonner"), "{stored}");
}

#[rstest]
#[tokio::test]
async fn the_same_word_twice_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = new_id();
    world.sync(id, legacy_order()).await.unwrap();
    let head = world.head().await;
    assert_eq!(world.sync(id, legacy_order()).await.unwrap(), SyncOutcome::Unchanged);
    assert_eq!(world.head().await, head);
}

#[rstest]
#[tokio::test]
async fn a_revision_shows_and_keeps_when_it_began(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = new_id();
    world.sync(id, legacy_order()).await.unwrap();
    let before = world.order(id).await.unwrap();
    let stated = LegacyState::Present(json!({ "status": "fulfilled", "note": null }));
    let outcome = world.sync(id, stated).await.unwrap();
    let SyncOutcome::Revised(mut changed) = outcome else { panic!("{outcome:?}") };
    changed.sort();
    assert_eq!(changed, ["note", "status"]);
    let after = world.order(id).await.unwrap();
    assert_eq!((after.status, after.revision), (OrderStatus::Fulfilled, 1));
    assert_eq!((after.note, after.comments), (None, before.comments));
    assert_eq!(after.placed_at, before.placed_at);
    // The legacy system corrects the date.
    let stated = LegacyState::Present(json!({ "date": "2024-12-31" }));
    world.sync(id, stated).await.unwrap();
    let corrected = world.order(id).await.unwrap().placed_at;
    assert_eq!(corrected.to_rfc3339(), "2024-12-31T00:00:00+00:00");
    // The legacy system never states a date.
    let undated = new_id();
    let LegacyState::Present(mut stated) = legacy_order() else { panic!("absent") };
    stated["date"] = json!(null);
    world.sync(undated, LegacyState::Present(stated)).await.unwrap();
    let undated = world.order(undated).await.unwrap();
    assert!(undated.date.is_none() && undated.placed_at > before.placed_at);
}

#[rstest]
#[tokio::test]
async fn what_is_gone_is_cancelled_and_may_come_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = new_id();
    let gone = || LegacyState::Absent { reason: "state draft".to_owned() };
    assert_eq!(world.sync(id, gone()).await.unwrap(), SyncOutcome::Ignored);
    assert_eq!(world.head().await, 0);

    world.sync(id, legacy_order()).await.unwrap();
    assert!(matches!(world.sync(id, gone()).await.unwrap(), SyncOutcome::Revised(_)));
    assert_eq!(world.sync(id, gone()).await.unwrap(), SyncOutcome::Unchanged);
    let view = world.order(id).await.unwrap();
    assert_eq!((view.status, view.owner), (OrderStatus::Cancelled, Owner::Legacy));
    let reason = Some("state draft".to_owned());
    let cause = CancellationCause::Legacy;
    assert_eq!(view.cancellation, Some(Cancellation { cause, reason }));

    assert!(matches!(world.sync(id, legacy_order()).await.unwrap(), SyncOutcome::Revised(_)));
    let view = world.order(id).await.unwrap();
    assert_eq!((view.status, view.cancellation), (OrderStatus::Confirmed, None));
}

#[rstest]
#[tokio::test]
async fn what_was_placed_here_is_a_conflict(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let order_id = OrderId::from(new_id());
    let placed = OrderPlaced { order_id, ..OrderPlaced::sample() };
    world.happened("order", order_id.into(), Event::from(placed)).await;
    assert_eq!(world.sync(order_id, legacy_order()).await.unwrap(), SyncOutcome::Conflict);
    assert_eq!(world.head().await, 1);
}

#[rstest]
#[tokio::test]
async fn a_word_without_a_status_is_not_understood(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let stated = LegacyState::Present(json!({ "currency": "EUR" }));
    let error = world.sync(new_id(), stated).await.unwrap_err();
    assert!(
        matches!(&error, SyncError::NotUnderstood(text) if text == "`status` is missing"),
        "{error}"
    );
}
