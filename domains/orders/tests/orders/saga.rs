//! Reactions of orders to billing's events.

use std::sync::Arc;

use billing_contract::{InvoicePaid, InvoiceVoided, VoidReason};
use database::Engine;
use event_contract::Sample as _;
use kernel::event::RecordedEvent;
use kernel::seams::new_id;
use orders::domain::Event;
use orders::policies::PaymentEvent;
use orders::view::{Cancellation, CancellationCause, OrderStatus};
use orders_contract::{
    CancellationReason, OrderCancelled, OrderConfirmed, OrderFulfilled, OrderId, OrderPlaced,
};
use rstest::rstest;
use uuid::Uuid;

use crate::imports::legacy_order;
use crate::world::World;

const POLICY: &str = "orders.payment-outcome";

async fn placed(world: &World) -> OrderId {
    let order_id = OrderId::from(new_id());
    let placed = OrderPlaced { order_id, ..OrderPlaced::sample() };
    world.happened("order", order_id.into(), Event::from(placed)).await;
    order_id
}

async fn paid(world: &World, orders: &[OrderId]) -> Uuid {
    let invoice_id = new_id();
    let paid = InvoicePaid {
        invoice_id: invoice_id.into(),
        order_ids: orders.iter().map(|id| id.as_uuid()).collect(),
        ..InvoicePaid::sample()
    };
    world.happened("invoice", invoice_id, PaymentEvent::from(paid)).await
}

async fn voided(world: &World, order_id: OrderId, reason: VoidReason) -> Uuid {
    let invoice_id = new_id();
    let voided = InvoiceVoided {
        invoice_id: invoice_id.into(),
        order_ids: vec![order_id.into()],
        reason,
        ..InvoiceVoided::sample()
    };
    world.happened("invoice", invoice_id, PaymentEvent::from(voided)).await
}

async fn confirmation(world: &World, id: OrderId) -> Arc<RecordedEvent> {
    world.eventually(|event| matches!(event, Event::Confirmed(order) if order.order_id == id)).await
}

async fn cancellation(world: &World, id: OrderId) {
    world
        .eventually(|event| matches!(event, Event::Cancelled(order) if order.order_id == id))
        .await;
}

#[rstest]
#[tokio::test]
async fn a_paid_invoice_confirms_its_orders(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (first, second) = (placed(&world).await, placed(&world).await);
    let trigger = paid(&world, &[first, second]).await;

    let confirmed = confirmation(&world, first).await;
    assert_eq!(confirmed.metadata.causation_id, Some(trigger));
    assert_eq!(confirmed.metadata.actor, POLICY);
    let other = confirmation(&world, second).await;
    assert_ne!(confirmed.id, other.id, "the two orders have one event id");
    let view = world.order(first).await.unwrap();
    assert_eq!((view.status, view.revision), (OrderStatus::Confirmed, 1));
}

#[rstest]
#[tokio::test]
async fn a_payment_that_failed_cancels_the_order(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    for (reason, cause) in [
        (VoidReason::PaymentDeclined, CancellationCause::PaymentDeclined),
        (VoidReason::PaymentExpired, CancellationCause::PaymentExpired),
        (VoidReason::PaymentCancelled, CancellationCause::PaymentCancelled),
    ] {
        let order_id = placed(&world).await;
        voided(&world, order_id, reason).await;
        cancellation(&world, order_id).await;
        let view = world.order(order_id).await.unwrap();
        assert_eq!(view.status, OrderStatus::Cancelled);
        assert_eq!(view.cancellation, Some(Cancellation { cause, reason: None }));
    }
}

#[rstest]
#[tokio::test]
async fn an_invoice_voided_for_a_cancellation_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let order_id = placed(&world).await;
    voided(&world, order_id, VoidReason::OrderCancelled).await;
    world.settled(&[POLICY]).await;
    assert_eq!(world.order(order_id).await.unwrap().status, OrderStatus::AwaitingPayment);
    assert_eq!(world.all_parked().await, Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn a_payment_for_a_cancelled_order_is_billings_business(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let order_id = placed(&world).await;
    let reason = CancellationReason::Requested { reason: "twice".to_owned().into() };
    let cancelled = OrderCancelled { order_id, reason, ..OrderCancelled::sample() };
    world.happened("order", order_id.into(), Event::from(cancelled)).await;
    paid(&world, &[order_id]).await;
    world.settled(&[POLICY]).await;
    let view = world.order(order_id).await.unwrap();
    assert_eq!(view.cancellation.unwrap().reason.as_deref(), Some("twice"));
    assert_eq!(world.all_parked().await, Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn what_was_delivered_is_not_cancelled_for_want_of_payment(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let order_id = placed(&world).await;
    world.happened("order", order_id.into(), Event::from(OrderConfirmed { order_id })).await;
    world.happened("order", order_id.into(), Event::from(OrderFulfilled { order_id })).await;
    voided(&world, order_id, VoidReason::PaymentDeclined).await;
    world.settled(&[POLICY]).await;
    assert_eq!(world.order(order_id).await.unwrap().status, OrderStatus::Fulfilled);
    assert_eq!(world.all_parked().await, Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn what_was_confirmed_by_hand_is_not_cancelled_for_want_of_payment(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let order_id = placed(&world).await;
    world.happened("order", order_id.into(), Event::from(OrderConfirmed { order_id })).await;
    for reason in [VoidReason::PaymentExpired, VoidReason::PaymentCancelled, VoidReason::WrittenOff]
    {
        voided(&world, order_id, reason).await;
    }
    world.settled(&[POLICY]).await;
    assert_eq!(world.order(order_id).await.unwrap().status, OrderStatus::Confirmed);
    assert_eq!(world.all_parked().await, Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn what_the_legacy_owns_is_left_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let order_id = OrderId::from(new_id());
    world.sync(order_id, legacy_order()).await.unwrap();
    paid(&world, &[order_id]).await;
    voided(&world, order_id, VoidReason::PaymentDeclined).await;
    world.settled(&[POLICY]).await;
    assert_eq!(world.order(order_id).await.unwrap().revision, 0);
    assert_eq!(world.all_parked().await, Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn a_payment_for_an_order_that_does_not_exist_is_parked(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    paid(&world, &[new_id().into()]).await;
    assert_eq!(world.parked(POLICY).await, "there is no such order");
}

#[rstest]
#[tokio::test]
async fn an_event_of_an_order_that_was_never_placed_is_parked(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let order_id = OrderId::from(new_id());
    world.happened("order", order_id.into(), Event::from(OrderConfirmed { order_id })).await;
    assert_eq!(
        world.parked("orders.orders.v1").await,
        format!(
            "there is no order {order_id} in the read model: its first event is missing or parked"
        )
    );
}
