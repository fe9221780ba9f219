//! Invoices that stay due, returns and refunds.

use billing::domain::Event;
use billing::handlers::{
    credit_note_of, credit_note_of_refund, credit_note_of_return, invoice_of, replacement_of,
};
use billing::view::{Collection, InvoiceView, Status};
use billing_contract::InvoiceId;
use database::Engine;
use orders_contract::{CancellationReason, OrderId};
use payments_contract::RefundScope;
use rstest::rstest;
use rust_decimal::Decimal;

use crate::world::{POLICIES, World};

/// What was invoiced is credited, or its money is here, or it is open.
#[track_caller]
fn balanced(invoice: &InvoiceView) {
    let parts = [invoice.credited, invoice.paid, invoice.open];
    let sum: Decimal = parts.into_iter().map(Option::unwrap).sum();
    assert_eq!(sum, invoice.total, "{invoice:?}");
}

fn text(amount: Option<Decimal>) -> String {
    amount.unwrap().to_string()
}

async fn paid(world: &World) -> (InvoiceId, OrderId) {
    let (invoice, order) = world.invoiced().await;
    world.captured(invoice, "119.76").await;
    world.eventually(|event| matches!(event, Event::Paid(one) if one.invoice_id == invoice)).await;
    (invoice, order)
}

#[rstest]
#[tokio::test]
async fn a_cancelled_payment_voids_the_invoice_of_an_order_that_waits_for_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, order) = world.invoiced().await;
    world.payment_cancelled(invoice).await;
    world.eventually(|event| matches!(event, Event::CreditNoteIssued(_))).await;
    world.cancelled(order, CancellationReason::PaymentCancelled).await;
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!(view.status, Status::Voided);
    assert_eq!(view.voided_reason.as_deref(), Some("payment_cancelled"));
    assert_eq!(text(view.open), "0.00");
    balanced(&view);
    assert_eq!(world.count("billing.InvoiceVoided.v1").await, 1);
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn the_invoice_of_an_order_confirmed_by_hand_stays_due(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    for failure in 0..3 {
        let (invoice, order) = world.invoiced().await;
        world.deferred(order).await;
        world
            .eventually(|event| matches!(event, Event::Deferred(one) if one.invoice_id == invoice))
            .await;
        match failure {
            0 => world.declined(invoice).await,
            1 => world.expired(invoice).await,
            _ => world.payment_cancelled(invoice).await,
        }
        world.settled(POLICIES).await;
        let view = world.view(invoice).await;
        assert_eq!((view.status, view.deferred), (Status::Issued, true));
        assert_eq!(view.collection, Some(Collection::Failed));
        assert_eq!(text(view.open), "119.76");
    }
    assert_eq!(world.count("billing.CreditNoteIssued.v1").await, 0);
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn an_invoice_voided_before_the_confirmation_was_heard_is_issued_anew(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, order) = world.invoiced().await;
    world.expired(invoice).await;
    world.eventually(|event| matches!(event, Event::Voided(_))).await;
    world.deferred(order).await;
    let anew = replacement_of(invoice);
    world.eventually(|event| matches!(event, Event::Deferred(one) if one.invoice_id == anew)).await;
    let view = world.view(anew).await;
    assert_eq!((view.status, view.deferred), (Status::Issued, true));
    assert_eq!(view.order_ids, [order]);
    assert_eq!(view.total.to_string(), "119.76");
    assert!(view.number.ends_with("-000003"), "{}", view.number);
    // Its payment fails as well, and the order is cancelled in the end.
    world.expired(anew).await;
    world.settled(POLICIES).await;
    assert_eq!(world.view(anew).await.status, Status::Issued);
    let requested = CancellationReason::Requested { reason: "lost".to_owned().into() };
    world.cancelled(order, requested).await;
    world.settled(POLICIES).await;
    assert_eq!(world.view(anew).await.status, Status::Voided);
    assert_eq!(world.view(credit_note_of(anew)).await.status, Status::Settled);
    assert_eq!(world.count("billing.NumberTaken.v1").await, 4);
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn what_comes_back_is_credited_and_its_money_goes_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, order) = paid(&world).await;
    world.returned(order, 1, "1", false).await;
    let (event, _) = world.eventually(|event| matches!(event, Event::RefundDue(_))).await;
    let Event::RefundDue(due) = event else { panic!("{event:?}") };
    let note = credit_note_of_return(invoice, 1);
    assert_eq!((due.amount.to_string().as_str(), due.credit_note_id), ("59.88", Some(note)));
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!((text(view.open), view.status), ("-59.88".to_owned(), Status::Paid));
    balanced(&view);
    let credit = world.view(note).await;
    assert_eq!((credit.status, credit.total.to_string()), (Status::Issued, "-59.88".to_owned()));
    assert_eq!(credit.paid, None);

    world.paid_out(invoice, due.refund_id.into(), "59.88").await;
    world.eventually(|event| matches!(event, Event::CreditNoteSettled(_))).await;
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!((text(view.open), text(view.paid)), ("0.00".to_owned(), "59.88".to_owned()));
    assert_eq!(text(view.refunded), "59.88");
    balanced(&view);
    assert_eq!(world.view(note).await.status, Status::Settled);

    world.returned(order, 2, "1", true).await;
    world
        .eventually(
            |event| matches!(event, Event::RefundDue(two) if two.refund_id != due.refund_id),
        )
        .await;
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!((view.status, view.credited_by.len()), (Status::Credited, 2));
    balanced(&view);
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_return_of_what_is_not_paid_takes_off_what_is_due(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, order) = world.invoiced().await;
    world.deferred(order).await;
    world.eventually(|event| matches!(event, Event::Deferred(_))).await;
    world.expired(invoice).await;
    world.returned(order, 1, "1", false).await;
    world.eventually(|event| matches!(event, Event::Credited(_))).await;
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!((view.status, text(view.open)), (Status::Issued, "59.88".to_owned()));
    balanced(&view);
    assert_eq!(world.view(credit_note_of_return(invoice, 1)).await.status, Status::Settled);
    assert_eq!(world.count("billing.RefundDue.v1").await, 0);
}

#[rstest]
#[tokio::test]
async fn a_refund_has_its_credit_note_or_is_denied(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, order) = paid(&world).await;
    let amount = "20.00".parse().unwrap();
    let refund = world.refund_proposed(invoice, RefundScope::Amount { amount }).await;
    world.eventually(|event| matches!(event, Event::RefundDue(_))).await;
    world.paid_out(invoice, refund, "20.00").await;
    world.eventually(|event| matches!(event, Event::CreditNoteSettled(_))).await;
    let amount = "99.77".parse().unwrap();
    world.refund_proposed(invoice, RefundScope::Amount { amount }).await;
    world.eventually(|event| matches!(event, Event::RefundDenied(_))).await;
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!((view.status, text(view.credited)), (Status::Paid, "20.00".to_owned()));
    balanced(&view);
    let note = world.view(credit_note_of_refund(invoice, refund)).await;
    assert_eq!((note.status, note.total.to_string()), (Status::Settled, "-20.00".to_owned()));
    assert_eq!(note.lines.len(), 1);

    // The cancellation voids the rest.
    world.cancelled(order, CancellationReason::Requested { reason: "x".to_owned().into() }).await;
    world.eventually(|event| matches!(event, Event::Voided(_))).await;
    world.refunded(invoice, "99.76").await;
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!((view.status, text(view.open)), (Status::Voided, "0.00".to_owned()));
    balanced(&view);
    let note = world.view(credit_note_of(invoice)).await;
    assert_eq!((note.status, note.total.to_string()), (Status::Settled, "-99.76".to_owned()));
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn money_captured_too_late_of_an_invoice_that_stays_due_goes_back_as_it_came(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, order) = world.invoiced().await;
    world.deferred(order).await;
    world.eventually(|event| matches!(event, Event::Deferred(_))).await;
    world.expired(invoice).await;
    // Payments captures it late, on its own, and gives it back.
    world.refunded(invoice, "119.76").await;
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!((view.status, text(view.open)), (Status::Issued, "119.76".to_owned()));
    assert!(world.all_parked().await.is_empty());
    assert_eq!(invoice, invoice_of(order));
}
