//! What billing does when others' events happen.

use billing::domain::Event;
use billing::handlers::{credit_note_of, invoice_of};
use billing::view::{Kind, Status};
use customers_contract::{
    CustomerAddressChanged, CustomerContactChanged, CustomerId, CustomerImported, CustomerRevised,
    ImportedCustomer,
};
use database::Engine;
use event_contract::Sample as _;
use kernel::seams::new_id;
use orders_contract::{CancellationReason, OrderPlaced};
use rstest::rstest;

use crate::world::{POLICIES, World, order_of, payment_of};

fn requested() -> CancellationReason {
    CancellationReason::Requested { reason: "changed my mind".to_owned().into() }
}

#[rstest]
#[tokio::test]
async fn an_order_is_invoiced_to_its_customer(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let customer = world.customer().await;
    let order_id = world.order(customer).await;
    let (_, recorded) = world.eventually(|event| matches!(event, Event::Issued(_))).await;
    assert_eq!(recorded.stream.id(), Some(invoice_of(order_id).as_uuid()));
    assert_eq!(recorded.metadata.actor, "billing.invoicing");
    let invoice = world.view(invoice_of(order_id)).await;
    assert_eq!((invoice.kind, invoice.status), (Kind::Invoice, Status::Issued));
    assert!(invoice.number.ends_with("-000001"), "{}", invoice.number);
    assert_eq!(invoice.order_ids, [order_id]);
    assert_eq!(invoice.customer_id, Some(customer));
    assert_eq!(invoice.total.to_string(), "119.76");
    assert_eq!(invoice.paid.unwrap().to_string(), "0.00");
    let bill_to = invoice.bill_to.expect("nobody is billed");
    assert_eq!(bill_to.name, "Ada Martin");
    assert_eq!(bill_to.address_lines, ["1 rue de la Paix", "Escalier C", "75002 Paris", "FR"]);
    assert_eq!(bill_to.vat_number.as_deref(), Some("FR40303265045"));
}

#[rstest]
#[tokio::test]
async fn a_captured_payment_settles_the_invoice(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, _) = world.invoiced().await;
    world.captured(invoice, "119.76").await;
    let (event, _) = world.eventually(|event| matches!(event, Event::Paid(_))).await;
    let Event::Paid(paid) = event else { panic!("{event:?}") };
    assert_eq!(paid.payment_id, payment_of(invoice).as_uuid());
    let view = world.view(invoice).await;
    assert_eq!((view.status, view.paid.unwrap().to_string()), (Status::Paid, "119.76".to_owned()));
    assert_eq!(view.revision, 1);
}

#[rstest]
#[tokio::test]
async fn a_failed_payment_voids_the_invoice_and_the_cancellation_that_follows_adds_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    for (reason, cancellation, declined) in [
        ("payment_declined", CancellationReason::PaymentDeclined, true),
        ("payment_expired", CancellationReason::PaymentExpired, false),
    ] {
        let (invoice, order) = world.invoiced().await;
        if declined {
            world.declined(invoice).await;
        } else {
            world.expired(invoice).await;
        }
        let credit_note = credit_note_of(invoice);
        world
            .eventually(
                |event| matches!(event, Event::CreditNoteIssued(one) if one.invoice_id == credit_note),
            )
            .await;
        world.cancelled(order, cancellation).await;
        world.settled(POLICIES).await;
        let view = world.view(invoice).await;
        assert_eq!(view.status, Status::Voided);
        assert_eq!(view.voided_reason.as_deref(), Some(reason));
        assert_eq!(view.credited_by, [credit_note]);
        assert_eq!(view.paid.unwrap().to_string(), "0.00");
        let note = world.view(credit_note).await;
        assert_eq!((note.kind, note.status), (Kind::CreditNote, Status::Settled));
        assert_eq!(note.credits, [invoice]);
        assert_eq!(note.order_ids, [order]);
        assert_eq!(note.total.to_string(), "-119.76");
        assert_eq!(note.lines[0].quantity.to_string(), "-2");
        assert!(note.bill_to.is_some_and(|bill_to| bill_to.name == "Ada Martin"));
    }
    assert_eq!(world.count("billing.InvoiceVoided.v1").await, 2);
    assert_eq!(world.count("billing.NumberTaken.v1").await, 4);
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_cancelled_order_voids_a_paid_invoice_and_the_money_goes_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, order) = world.invoiced().await;
    world.captured(invoice, "119.76").await;
    world.eventually(|event| matches!(event, Event::Paid(_))).await;
    world.cancelled(order, requested()).await;
    world.eventually(|event| matches!(event, Event::Voided(_))).await;
    let view = world.view(invoice).await;
    assert_eq!(view.voided_reason.as_deref(), Some("order_cancelled"));
    // Until it is refunded, the money is here.
    assert_eq!(
        (view.status, view.paid.unwrap().to_string()),
        (Status::Voided, "119.76".to_owned())
    );
    world.refunded(invoice, "119.76").await;
    world.eventually(|event| matches!(event, Event::Refunded(_))).await;
    let view = world.view(invoice).await;
    assert_eq!((view.status, view.paid.unwrap().to_string()), (Status::Voided, "0.00".to_owned()));
    assert_eq!(world.view(credit_note_of(invoice)).await.total.to_string(), "-119.76");
}

#[rstest]
#[tokio::test]
async fn a_refund_of_an_invoice_that_stands_leaves_it_unpaid(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, _) = world.invoiced().await;
    world.captured(invoice, "119.76").await;
    world.eventually(|event| matches!(event, Event::Paid(_))).await;
    world.refunded(invoice, "119.76").await;
    world.eventually(|event| matches!(event, Event::Refunded(_))).await;
    let view = world.view(invoice).await;
    assert_eq!((view.status, view.paid.unwrap().to_string()), (Status::Issued, "0.00".to_owned()));
}

#[rstest]
#[tokio::test]
async fn money_for_a_voided_invoice_is_owed_until_it_went_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, order) = world.invoiced().await;
    world.cancelled(order, requested()).await;
    world.eventually(|event| matches!(event, Event::Voided(_))).await;
    world.captured(invoice, "119.76").await;
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!(
        (view.status, view.open.unwrap().to_string()),
        (Status::Voided, "-119.76".to_owned())
    );
    world.refunded(invoice, "119.76").await;
    world.settled(POLICIES).await;
    let view = world.view(invoice).await;
    assert_eq!((view.status, view.open.unwrap().to_string()), (Status::Voided, "0.00".to_owned()));
    assert_eq!(world.count("billing.InvoicePaid.v1").await, 1);
    assert_eq!(world.count("billing.InvoiceRefunded.v1").await, 1);
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_failed_payment_of_a_paid_invoice_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, _) = world.invoiced().await;
    world.captured(invoice, "119.76").await;
    world.declined(invoice).await;
    world.settled(POLICIES).await;
    assert_eq!(world.view(invoice).await.status, Status::Paid);
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn an_order_cancelled_at_once_is_invoiced_and_credited_in_that_order(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::with(engine, |name| name != "billing.invoicing").await;
    let order = world.order(world.customer().await).await;
    world.cancelled(order, requested()).await;
    let mut world = world;
    world.release();
    world.eventually(|event| matches!(event, Event::CreditNoteIssued(_))).await;
    let invoice = world.view(invoice_of(order)).await;
    assert_eq!(invoice.status, Status::Voided);
    assert!(invoice.number.ends_with("-000001"), "{}", invoice.number);
}

#[rstest]
#[tokio::test]
async fn an_invoice_waits_until_its_customer_is_known(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::with(engine, |name| !name.starts_with("billing.known-customers")).await;
    let order = world.order(world.customer().await).await;
    world.release();
    world.eventually(|event| matches!(event, Event::Issued(_))).await;
    assert!(world.view(invoice_of(order)).await.bill_to.is_some());
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn an_order_of_nobody_is_parked_and_takes_no_number(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    world.order(new_id().into()).await;
    assert!(world.parked("billing.invoicing").await.contains("customer is unknown"));
    assert_eq!(world.count("billing.NumberTaken.v1").await, 0);
}

#[rstest]
#[tokio::test]
async fn an_order_that_does_not_add_up_is_parked(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let order = order_of(world.customer().await);
    let order = OrderPlaced { total: "1.00".parse().unwrap(), ..order };
    world.happened("order", order.order_id, order).await;
    assert!(world.parked("billing.invoicing").await.contains("119.76"));
}

#[rstest]
#[tokio::test]
async fn a_cancelled_order_without_an_invoice_needs_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    world.cancelled(new_id().into(), requested()).await;
    world.settled(POLICIES).await;
    assert!(world.all_parked().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_payment_of_another_sum_or_of_no_invoice_is_parked(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let (invoice, _) = world.invoiced().await;
    world.captured(invoice, "119.75").await;
    assert!(
        world
            .parked("billing.settlement")
            .await
            .contains("expected 119.76 EUR, received 119.75 EUR")
    );
    assert_eq!(world.view(invoice).await.paid.unwrap().to_string(), "0.00");

    let world = World::new(engine).await;
    world.captured(new_id().into(), "1.00").await;
    assert!(world.parked("billing.settlement").await.contains("no such invoice"));
}

#[rstest]
#[tokio::test]
async fn a_customer_is_addressed_as_last_known(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let customer_id = world.customer().await;
    let moved = CustomerAddressChanged { customer_id, ..CustomerAddressChanged::sample() };
    world.happened("customer", customer_id, moved).await;
    let renamed = CustomerContactChanged { customer_id, ..CustomerContactChanged::sample() };
    world.happened("customer", customer_id, renamed).await;
    let order = world.order(customer_id).await;
    world.eventually(|event| matches!(event, Event::Issued(_))).await;
    let bill_to = world.view(invoice_of(order)).await.bill_to.unwrap();
    assert_eq!(bill_to.name, "Ada Martin-Lovelace");
    assert_eq!(bill_to.address_lines, ["2 quai des Brumes", "76600 Le Havre", "FR"]);
    assert_eq!(bill_to.vat_number.as_deref(), Some("FR40303265045"));
}

#[rstest]
#[tokio::test]
async fn an_imported_customer_is_addressed_as_far_as_the_legacy_system_says(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let customer_id = CustomerId::from(new_id());
    let sample = CustomerImported::sample();
    let state = ImportedCustomer { name: None, address: None, ..sample.state.clone() };
    let imported = CustomerImported { customer_id, state: state.clone(), ..sample };
    world.happened("customer", customer_id, imported).await;
    let nameless = world.order(customer_id).await;
    let is = |id| move |event: &Event| matches!(event, Event::Issued(one) if one.invoice_id == id);
    world.eventually(is(invoice_of(nameless))).await;
    assert!(world.view(invoice_of(nameless)).await.bill_to.is_none());

    let state = ImportedCustomer { name: Some("Bocage".to_owned().into()), ..state };
    let revised = CustomerRevised { customer_id, state, ..CustomerRevised::sample() };
    world.happened("customer", customer_id, revised).await;
    let named = world.order(customer_id).await;
    world.eventually(is(invoice_of(named))).await;
    let bill_to = world.view(invoice_of(named)).await.bill_to.unwrap();
    assert_eq!((bill_to.name.as_str(), bill_to.address_lines.len()), ("Bocage", 0));
}

#[rstest]
#[tokio::test]
async fn a_customer_whose_key_is_gone_is_not_named(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut world = World::with(engine, |name| !name.starts_with("billing.known-customers")).await;
    let customer = world.customer().await;
    world.environment.codec.destroy_keys(&[customer.as_uuid()], &[]).await.unwrap();
    let order = world.order(customer).await;
    world.release();
    world.eventually(|event| matches!(event, Event::Issued(_))).await;
    assert!(world.view(invoice_of(order)).await.bill_to.is_none());
}
