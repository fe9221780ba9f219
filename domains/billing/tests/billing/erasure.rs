//! A customer is erased: its documents stay as they are for as long as the law has them kept.

use std::sync::Arc;

use billing::domain::Event;
use billing::erasure::NAME as ERASURE;
use billing::handlers::invoice_of;
use billing::retention::Retentions;
use billing::{BillingSettings, NAME};
use billing_contract::InvoiceId;
use customers_contract::{CustomerErased, CustomerId};
use database::Engine;
use event_contract::Sample as _;
use kernel::keys::KeyHolder;
use module::RetainsDocuments as _;
use rstest::rstest;

use crate::world::{SetClock, World};

/// A customer with one invoice of 2026: the customer and the invoice.
async fn invoiced(world: &World) -> (CustomerId, InvoiceId) {
    let customer = world.customer().await;
    let invoice = invoice_of(world.order(customer).await);
    let is_it =
        |event: &Event| matches!(event, Event::Issued(issued) if issued.invoice_id == invoice);
    world.eventually(is_it).await;
    (customer, invoice)
}

async fn erased(world: &World, customer_id: CustomerId) {
    let erased_at = world.environment.clock.now();
    let erased = CustomerErased { customer_id, erased_at, ..CustomerErased::sample() };
    world.happened("customer", customer_id, erased).await;
    world.settled(&[ERASURE]).await;
}

fn retentions(world: &World) -> Retentions {
    let (environment, database) = (world.environment.clone(), world.module.database.clone());
    Retentions { environment, database, settings: BillingSettings::default() }
}

/// What the module's upkeep does now and then.
async fn look_at_the_clock(world: &World) {
    retentions(world).end_all_over().await.unwrap();
    world.settled(&[ERASURE]).await;
}

async fn is_key_destroyed(world: &World, customer: CustomerId) -> bool {
    let holder = KeyHolder { subject: customer.as_uuid(), purpose: NAME.to_owned() };
    world.environment.codec.is_key_destroyed(&holder).await.unwrap()
}

async fn retained_until(world: &World, customer: CustomerId) -> Option<String> {
    let retained = retentions(world).retained(customer.as_uuid()).await.unwrap();
    retained.documents_until.map(|day| day.to_string())
}

#[rstest]
#[tokio::test]
async fn an_invoice_says_whom_it_is_for_until_its_retention_ends_and_then_no_longer(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = SetClock::at("2026-03-02T11:00:00Z");
    let world = World::at(engine, Arc::clone(&clock) as _).await;
    let (customer, invoice) = invoiced(&world).await;

    erased(&world, customer).await;
    assert_eq!(world.view(invoice).await.bill_to.unwrap().name, "Ada Martin");
    assert!(!is_key_destroyed(&world, customer).await);
    assert_eq!(retained_until(&world, customer).await.as_deref(), Some("2036-12-31"));
    assert!(!world.place.holds("ada@exemple.fr").await);

    // Its last day.
    clock.set("2036-12-31T12:00:00Z");
    look_at_the_clock(&world).await;
    assert!(world.view(invoice).await.bill_to.is_some());

    clock.set("2037-01-01T12:00:00Z");
    for _ in 0..2 {
        look_at_the_clock(&world).await;
        assert_eq!(world.count("billing.RetentionEnded.v1").await, 1);
    }
    let view = world.view(invoice).await;
    assert!(view.bill_to.is_none());
    assert_eq!(view.total.to_string(), "119.76");
    assert!(is_key_destroyed(&world, customer).await);
    assert_eq!(retained_until(&world, customer).await, None);
    for said in ["Ada Martin", "rue de la Paix", "FR40303265045"] {
        assert!(!world.place.holds(said).await, "{said} is still there");
    }
}

#[rstest]
#[tokio::test]
async fn a_credit_note_after_the_erasure_prolongs_the_retention_and_says_whom_it_is_for(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = SetClock::at("2026-12-30T11:00:00Z");
    let world = World::at(engine, Arc::clone(&clock) as _).await;
    let (customer, invoice) = invoiced(&world).await;
    erased(&world, customer).await;
    clock.set("2027-01-02T11:00:00Z");
    world.declined(invoice).await;
    let is_note = |event: &Event| matches!(event, Event::CreditNoteIssued(_));
    let (Event::CreditNoteIssued(note), _) = world.eventually(is_note).await else {
        unreachable!()
    };
    let view = world.view(note.invoice_id).await;
    assert_eq!(view.bill_to.unwrap().name, "Ada Martin");
    assert_eq!(retained_until(&world, customer).await.as_deref(), Some("2037-12-31"));
}

#[rstest]
#[tokio::test]
async fn who_has_no_document_is_forgotten_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let customer = world.customer().await;
    erased(&world, customer).await;
    while !is_key_destroyed(&world, customer).await {
        tokio::task::yield_now().await;
    }
    world.settled(&[ERASURE]).await;
    assert_eq!(world.count("billing.RetentionEnded.v1").await, 1);
    assert_eq!(retained_until(&world, customer).await, None);
    assert!(!world.place.holds("Ada Martin").await);
}
