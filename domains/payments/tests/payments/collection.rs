//! Every method of the sandbox, from the invoice to its end.

use database::Engine;
use payments::PaymentsSettings;
use payments_contract::{
    PaymentCancelled, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded,
    PaymentRequested,
};
use rstest::rstest;
use serde_json::json;

use crate::world::{World, settings};

#[rstest]
#[actix_web::test]
async fn an_invoice_is_collected_once(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(payment).await;

    assert_eq!(world.story(payment).await, ["PaymentRequested", "PaymentCaptured"]);
    let charges = world.charges().await;
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0].payment_id, Some(payment));
    assert_eq!(charges[0].amount.unwrap().to_string(), "119.76");
    assert_eq!((charges[0].captured, charges[0].attempts), (true, 1));

    let view = running.view(&world, payment).await;
    assert_eq!(view["id"], json!(payment));
    assert_eq!(view["status"], "captured");
    assert_eq!(view["amount"], "119.76");
    assert_eq!(view["currency"], "EUR");
    assert_eq!(view["method"], "sandbox:ok");
    assert_eq!(view["owner"], "bascule");
    assert_eq!(view["revision"], 1);
    let reference = format!("sandbox-ch-{}", charges[0].idempotency_key);
    assert_eq!(view["provider_reference"], json!(reference));
    assert_eq!(view.get("legacy"), None);
    assert_eq!(view.get("refund"), None);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn what_follows_carries_the_correlation_and_names_its_cause(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(payment).await;
    let log = world.environment.store.read_log(0, &kernel::event::EventFilter::all(), 10).await;
    let [issued, requested, captured] = &log.unwrap().events[..] else { panic!("more events") };
    for event in [requested, captured] {
        assert_eq!(event.metadata.correlation_id, issued.metadata.correlation_id);
    }
    assert_eq!(requested.metadata.causation_id, Some(issued.id));
    assert_eq!(captured.metadata.causation_id, Some(requested.id));
    // The charge is recognised by the request.
    assert_eq!(world.charges().await[0].idempotency_key, requested.id);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn what_the_provider_declines_is_declined_with_its_reason(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    for (method, reason) in [
        ("sandbox:declined", "insufficient funds"),
        ("sandbox:other", "unknown payment method"),
        ("card", "unknown payment method"),
    ] {
        let payment = world.issue(method).await;
        world.until::<PaymentDeclined>(payment).await;
        let view = running.view(&world, payment).await;
        assert_eq!((&view["status"], &view["reason"]), (&json!("declined"), &json!(reason)));
    }
    assert!(world.charges().await.iter().all(|charge| !charge.captured));
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_flaky_provider_is_asked_until_it_works_and_charges_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = world.issue("sandbox:flaky").await;
    world.until::<PaymentCaptured>(payment).await;
    let charges = world.charges().await;
    assert_eq!(charges.len(), 1);
    assert_eq!((charges[0].captured, charges[0].attempts), (true, 3));
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_slow_provider_is_enquired_of_and_not_charged_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = world.issue("sandbox:slow").await;
    world.until::<PaymentCaptured>(payment).await;
    let charges = world.charges().await;
    assert_eq!((charges.len(), charges[0].attempts), (1, 1));
    assert!(charges[0].captured);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_silent_provider_is_given_up_at_the_deadline_with_nothing_taken(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(PaymentsSettings { deadline_ms: 300, ..settings() }).await;
    let payment = world.issue("sandbox:never").await;
    world.until::<PaymentExpired>(payment).await;

    assert_eq!(world.story(payment).await, ["PaymentRequested", "PaymentExpired"]);
    let expired_at = world.events(payment).await[1].recorded_at;
    let deadline = world.data::<PaymentRequested>(payment).await["deadline"].clone();
    let deadline: chrono::DateTime<chrono::Utc> = serde_json::from_value(deadline).unwrap();
    assert!(expired_at >= deadline, "given up before the deadline");
    let charges = world.charges().await;
    assert!(!charges[0].captured);
    assert_eq!(running.view(&world, payment).await["status"], "expired");
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn an_invoice_voided_before_the_capture_is_not_collected(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = world.issue("sandbox:never").await;
    world.until::<PaymentRequested>(payment).await;
    world.void(world.invoice_of(payment).await).await;
    world.until::<PaymentCancelled>(payment).await;
    world
        .eventually("the charge is called off", async || {
            // Until then an enquiry would say that it is pending.
            world.charges().await.iter().any(|charge| charge.cancelled)
        })
        .await;
    assert_eq!(world.story(payment).await, ["PaymentRequested", "PaymentCancelled"]);
    assert_eq!(running.view(&world, payment).await["status"], "cancelled");
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn an_invoice_voided_after_the_capture_is_refunded_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(payment).await;
    world.void(world.invoice_of(payment).await).await;
    world.until::<PaymentRefunded>(payment).await;
    let story = ["PaymentRequested", "PaymentCaptured", "RefundRequested", "PaymentRefunded"];
    assert_eq!(world.story(payment).await, story);
    let view = running.view(&world, payment).await;
    assert_eq!(view["status"], "refunded");
    assert_eq!(view["refund"]["status"], "refunded");
    assert_eq!(view["refund"]["amount"], "119.76");
    assert!(view["refund"]["reference"].as_str().unwrap().starts_with("sandbox-re-"));
    assert!(world.charges().await[0].refunded);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn voiding_what_was_declined_changes_nothing_and_blocks_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let declined = world.issue("sandbox:declined").await;
    world.until::<PaymentDeclined>(declined).await;
    world.void(world.invoice_of(declined).await).await;
    // An invoice without a payment.
    world.void(kernel::seams::new_id().into()).await;
    let next = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(next).await;
    running.stop().await;
    assert_eq!(world.story(declined).await, ["PaymentRequested", "PaymentDeclined"]);
    let parked = world.parked().await;
    assert!(parked.is_empty(), "{parked:?}");
}
