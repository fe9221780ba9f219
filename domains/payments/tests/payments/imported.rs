//! Payments of a legacy system.

use billing_contract::InvoiceId;
use customers_contract::{CustomerErased, CustomerId};
use database::Engine;
use event_contract::Sample as _;
use kernel::execution::Cause;
use kernel::keys::KeyHolder;
use kernel::seams::new_id;
use kernel::sync::{LegacyReference, LegacyState, SyncError, SyncOutcome, SyncRequest};
use payments_contract::{PaymentCaptured, PaymentId};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::modules::record;

use crate::world::{Running, World, settings};

const ID: PaymentId = PaymentId::from_u128(7);
const INVOICE: InvoiceId = InvoiceId::from_u128(8);

kernel::event_set! {
    /// What happens to customers.
    enum CustomerEvent { Erased(CustomerErased) }
}

async fn sync_as(
    running: &Running,
    id: PaymentId,
    state: LegacyState,
) -> Result<SyncOutcome, SyncError> {
    let target = running.sync_target();
    assert_eq!(target.command(), "payments.SyncPayment");
    let legacy = LegacyReference { source: "tryton".to_owned(), id: "line/7".to_owned() };
    let (id, cause) = (id.as_uuid(), Cause::request(new_id(), "import"));
    target.sync(SyncRequest { id, legacy, state, cause }).await
}

async fn sync(running: &Running, state: Value) -> Result<SyncOutcome, SyncError> {
    sync_as(running, ID, LegacyState::Present(state)).await
}

async fn absent(running: &Running) -> Result<SyncOutcome, SyncError> {
    taken_back(running, "deleted").await
}

async fn taken_back(running: &Running, reason: &str) -> Result<SyncOutcome, SyncError> {
    sync_as(running, ID, LegacyState::Absent { reason: reason.to_owned() }).await
}

fn state() -> Value {
    json!({
        "status": "captured", "invoice_id": INVOICE, "date": "2026-02-01", "amount": "50.0000",
        "currency": "USD", "reconciled": false, "flags": ["foreign_currency"]
    })
}

#[rstest]
#[actix_web::test]
async fn a_legacy_payment_is_shown_as_the_legacy_has_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    assert_eq!(absent(&running).await.unwrap(), SyncOutcome::Ignored);
    assert_eq!(sync(&running, state()).await.unwrap(), SyncOutcome::Imported);
    assert_eq!(sync(&running, state()).await.unwrap(), SyncOutcome::Unchanged);
    let view = running.view(&world, ID).await;
    assert_eq!(view["status"], "captured");
    assert_eq!(view["invoice_id"], json!(INVOICE));
    assert_eq!(view["amount"], "50.0000", "nothing is recomputed");
    assert_eq!(view["currency"], "USD");
    assert_eq!(view["date"], "2026-02-01");
    assert_eq!(view["requested_at"], "2026-02-01T00:00:00Z");
    assert_eq!(view["reconciled"], false);
    assert_eq!(view["owner"], "legacy");
    let legacy = json!({"source": "tryton", "id": "line/7", "flags": ["foreign_currency"]});
    assert_eq!(view["legacy"], legacy);
    assert_eq!(view["revision"], 0);

    let revised = sync(&running, json!({"reconciled": true})).await.unwrap();
    assert_eq!(revised, SyncOutcome::Revised(vec!["reconciled".to_owned()]));
    let view = running.view(&world, ID).await;
    assert_eq!((&view["reconciled"], &view["revision"]), (&json!(true), &json!(1)));
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn one_that_disappears_is_cancelled_with_the_reason_and_reinstated_when_it_returns(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    sync(&running, state()).await.unwrap();
    assert!(matches!(absent(&running).await.unwrap(), SyncOutcome::Revised(_)));
    assert_eq!(absent(&running).await.unwrap(), SyncOutcome::Unchanged);
    let view = running.view(&world, ID).await;
    assert_eq!((&view["status"], &view["reason"]), (&json!("cancelled"), &json!("deleted")));
    assert!(matches!(sync(&running, state()).await.unwrap(), SyncOutcome::Revised(_)));
    let view = running.view(&world, ID).await;
    assert_eq!((&view["status"], view.get("reason")), (&json!("captured"), None));
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn what_cannot_be_understood_is_said_and_records_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    for (bad, named) in [
        (json!({"status": "captured", "currency": "EUR"}), "amount"),
        (json!({"amount": "1", "currency": "EUR", "iban": "FR76"}), "a field that is not known"),
        (json!({"amount": "Ada", "currency": "EUR"}), "amount"),
    ] {
        let Err(SyncError::NotUnderstood(reason)) = sync(&running, bad).await else {
            panic!("understood, without {named}")
        };
        assert!(reason.contains(named), "{reason}");
        assert!(!reason.contains("Ada") && !reason.contains("FR76"), "{reason}");
    }
    assert!(world.events(ID).await.is_empty());
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn imported_facts_move_no_money_and_take_no_commands(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    sync(&running, state()).await.unwrap();
    for (action, body) in [("cancel", None), ("refund", Some(json!({"reason": "x"})))] {
        let answer = running.post(&format!("/{ID}/{action}"), body).await;
        assert_eq!(answer.status, 409);
        assert_eq!(answer.body["type"], "/problems/owned-by-legacy");
    }
    // Something collected after it: whatever follows from it has been done by then.
    let payment = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(payment).await;
    assert_eq!(world.story(ID).await, ["PaymentImported"]);
    assert_eq!(world.charges().await.len(), 1);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn the_legacys_word_does_not_count_for_what_was_made_here(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(payment).await;
    let outcome = sync_as(&running, payment, LegacyState::Present(state())).await.unwrap();
    assert_eq!(outcome, SyncOutcome::Conflict);
    let gone = LegacyState::Absent { reason: "deleted".to_owned() };
    assert_eq!(sync_as(&running, payment, gone).await.unwrap(), SyncOutcome::Conflict);
    assert_eq!(world.story(payment).await.len(), 2);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn why_a_payment_was_taken_back_is_sealed_and_goes_with_its_customer(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let customer_id = CustomerId::from(new_id());
    sync(&running, state()).await.unwrap();
    // While the payment names no customer the words are sealed for the payment.
    taken_back(&running, "paid for Mme Martin").await.unwrap();
    let mut named = state();
    named["customer_id"] = json!(customer_id);
    sync(&running, named).await.unwrap();
    taken_back(&running, "paid for Mme Martin").await.unwrap();
    assert_eq!(running.view(&world, ID).await["reason"], "paid for Mme Martin");
    for event in world.events(ID).await {
        assert!(!String::from_utf8_lossy(&event.data).contains("Martin"), "{}", event.event_type);
    }

    let erased = CustomerErased { customer_id, ..CustomerErased::sample() };
    let (environment, erased) = (&world.environment, CustomerEvent::from(erased));
    record(environment, "customer", customer_id.as_uuid(), erased).await;
    let view = running.view(&world, ID).await;
    assert_eq!((&view["status"], view.get("reason")), (&json!("cancelled"), None));
    let holder = KeyHolder { subject: ID.as_uuid(), purpose: payments::NAME.to_owned() };
    let is_destroyed = async || world.environment.codec.is_key_destroyed(&holder).await.unwrap();
    world.eventually("the payment's own key is destroyed", is_destroyed).await;
    // The customer's key still exists.
    taken_back(&running, "paid for Mme Martin, again").await.unwrap();
    assert_eq!(running.view(&world, ID).await.get("reason"), None);
    running.stop().await;
}
