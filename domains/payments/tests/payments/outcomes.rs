//! Outcomes that are unknown at first, and money that came too late.

use database::Engine;
use payments::{BreakerSettings, PaymentsSettings};
use payments_contract::{
    PaymentCaptured, PaymentCapturedLate, PaymentDeclined, PaymentExpired, PaymentRefunded,
    PaymentRequested, RefundFailed, RefundRequested,
};
use rstest::rstest;
use serde_json::json;

use crate::scripted::{Does, Scripted};
use crate::world::{World, settings};

#[rstest]
#[actix_web::test]
async fn money_taken_while_the_payment_was_cancelled_goes_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([("charge", Does::WorksSilently), ("refund", Does::Defers)]);
    provider.always("lookup_refund", Does::Defers);
    let running = world.start_with(provider.clone()).await;
    let payment = world.issue("card").await;
    provider.called("charge", 1).await;
    let cancelled = running.post(&format!("/{payment}/cancel"), None).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    world.until::<PaymentCapturedLate>(payment).await;
    provider.called("refund", 1).await;

    // The money is still here: it says so, and that it is on its way back.
    let view = running.view(&world, payment).await;
    assert_eq!(view["status"], "cancelled");
    assert_eq!(view["refund"]["status"], "requested");
    assert!(view["provider_reference"].as_str().unwrap().starts_with("ref-"));

    provider.always("lookup_refund", Does::Works);
    world.until::<PaymentRefunded>(payment).await;
    let story = [
        "PaymentRequested",
        "PaymentCancelled",
        "PaymentCapturedLate",
        "RefundRequested",
        "PaymentRefunded",
    ];
    assert_eq!(world.story(payment).await, story);
    let refund = world.data::<RefundRequested>(payment).await;
    assert_eq!(refund["reason"], json!({"cause": "captured_late"}));
    assert_eq!(running.view(&world, payment).await["status"], "refunded");
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn money_taken_before_we_gave_up_counts_as_paid(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([("charge", Does::WorksSilently)]);
    // Undecided in every enquiry: only the cancellation tells.
    provider.always("lookup", Does::Defers);
    let running = world.start_with(provider.clone()).await;
    let payment = world.issue("card").await;
    provider.called("lookup", 1).await;
    world.pass(3_600);
    world.until::<PaymentCaptured>(payment).await;
    assert_eq!(world.story(payment).await, ["PaymentRequested", "PaymentCaptured"]);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_payment_is_given_up_only_when_the_provider_confirms_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider =
        Scripted::new([("charge", Does::Hangs), ("cancel", Does::Fails), ("cancel", Does::Hangs)]);
    provider.always("lookup", Does::Defers);
    let running = world.start_with(provider.clone()).await;
    let payment = world.issue("card").await;
    provider.called("lookup", 1).await;
    world.pass(3_600);
    provider.called("cancel", 2).await;
    assert_eq!(world.story(payment).await, ["PaymentRequested"], "nothing is definite yet");
    world.until::<PaymentExpired>(payment).await;
    provider.called("cancel", 3).await;
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_charge_that_did_not_arrive_is_sent_again_with_the_same_key(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([("charge", Does::Hangs)]);
    let running = world.start_with(provider.clone()).await;
    let payment = world.issue("card").await;
    world.until::<PaymentCaptured>(payment).await;
    assert_eq!(provider.operations(), ["charge", "lookup", "charge"]);
    let keys: Vec<_> = provider.calls().into_iter().map(|(_, key)| key).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_charge_that_fails_is_enquired_of_and_opens_no_circuit_for_the_others(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([("charge", Does::Fails), ("charge", Does::Fails)]);
    // Open, the circuit would stay so for longer than this waits.
    let breaker =
        BreakerSettings { failures: 1, first_pause_ms: 3_600_000, longest_pause_ms: 3_600_000 };
    let settings = PaymentsSettings { breaker, ..settings() };
    let running = world.start_as(provider.clone(), settings).await;
    let payment = world.issue("card").await;
    world.until::<PaymentCaptured>(payment).await;
    assert_eq!(provider.operations(), ["charge", "lookup", "charge", "lookup", "charge"]);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn payments_without_an_answer_keep_no_other_waiting(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([]);
    provider.always("charge", Does::Hangs);
    // The default settings, but with a long time-out.
    let settings = PaymentsSettings { call_timeout_ms: 600_000, ..PaymentsSettings::default() };
    let running = world.start_as(provider.clone(), settings).await;
    for _ in 0..300 {
        world.issue("card").await;
    }
    provider.called("charge", 300).await;
    provider.always("charge", Does::Works);
    let payment = world.issue("card").await;
    world.until::<PaymentCaptured>(payment).await;
    assert_eq!(provider.operations(), ["charge"; 301], "all the others still wait");
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn payments_that_are_not_decided_keep_no_other_waiting(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([]);
    provider.always("charge", Does::Hangs);
    provider.always("lookup", Does::Defers);
    // Fewer at once than there are, and a circuit that a single failure would open for good.
    let breaker =
        BreakerSettings { failures: 1, first_pause_ms: 3_600_000, longest_pause_ms: 3_600_000 };
    let settings = PaymentsSettings { breaker, call_timeout_ms: 10, ..settings() };
    let running = world.start_as(provider.clone(), settings).await;
    for _ in 0..30 {
        world.issue("card").await;
    }
    provider.called("charge", 30).await;
    provider.always("charge", Does::Works);
    let payment = world.issue("card").await;
    world.until::<PaymentCaptured>(payment).await;
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_charge_that_is_decided_later_is_enquired_of(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    for (later, is_captured) in [(Does::Works, true), (Does::Refuses, false)] {
        let world = World::new(engine).await;
        let provider = Scripted::new([
            ("charge", Does::Hangs),
            ("lookup", Does::Fails),
            ("lookup", Does::Works), // does not know the charge
            ("charge", Does::Defers),
            ("lookup", later),
        ]);
        let running = world.start_with(provider.clone()).await;
        let payment = world.issue("card").await;
        if is_captured {
            // Undecided and then unknown again: sent a third time, with the same key.
            world.until::<PaymentCaptured>(payment).await;
        } else {
            world.until::<PaymentDeclined>(payment).await;
        }
        assert!(
            provider.operations().starts_with(&["charge", "lookup", "lookup", "charge", "lookup"])
        );
        running.stop().await;
    }
}

#[rstest]
#[actix_web::test]
async fn a_refund_without_an_answer_is_enquired_of_and_made_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    for first in [Does::WorksSilently, Does::Hangs, Does::Fails, Does::Defers] {
        let world = World::new(engine).await;
        let provider = Scripted::new([("refund", first)]);
        let running = world.start_with(provider.clone()).await;
        let payment = world.issue("card").await;
        world.until::<PaymentCaptured>(payment).await;
        let asked = json!({"reason": "broken"});
        let asked = running.post(&format!("/{payment}/refund"), Some(asked)).await;
        assert_eq!(asked.status, 200, "{}", asked.body);
        let refund = world.credit(payment, "119.76").await;
        world.until::<PaymentRefunded>(payment).await;
        let refunds: Vec<_> = provider
            .calls()
            .into_iter()
            .filter(|(operation, _)| operation.contains("refund"))
            .collect();
        // All with one key, that of the refund.
        assert!(refunds.iter().all(|(_, key)| *key == refund.as_uuid()), "{refunds:?}");
        if first == Does::WorksSilently {
            let operations: Vec<_> = refunds.iter().map(|(operation, _)| *operation).collect();
            assert_eq!(operations, ["refund", "lookup_refund"]);
        }
        running.stop().await;
    }
}

#[rstest]
#[actix_web::test]
async fn a_refund_that_the_provider_refuses_fails_until_somebody_tries_it_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([("refund", Does::Refuses)]);
    let running = world.start_with(provider.clone()).await;
    let payment = world.issue("card").await;
    world.until::<PaymentCaptured>(payment).await;
    let asked = running.post(&format!("/{payment}/refund"), Some(json!({"reason": "x"}))).await;
    assert_eq!(asked.status, 200);
    let refund = world.credit(payment, "119.76").await;
    world.until::<RefundFailed>(payment).await;
    let path = format!("/{payment}/refunds/{refund}");
    let view = running.get(&world, &path).await.body;
    assert_eq!((&view["status"], &view["amount"]), (&json!("failed"), &json!("119.76")));
    let view = running.view(&world, payment).await;
    let failed = json!({"status": "failed", "amount": "119.76"});
    assert_eq!((&view["status"], &view["refund"]), (&json!("captured"), &failed));
    assert!(world.parked().await.is_empty());
    // The money is still owed, so another refund of it is refused.
    let more = json!({"reason": "x", "amount": "1"});
    let more = running.post(&format!("/{payment}/refunds"), Some(more)).await;
    assert_eq!(more.body["type"], "/problems/refused/refund-exceeds-payment");

    assert_eq!(running.post(&format!("{path}/retry"), None).await.status, 200);
    world.until::<PaymentRefunded>(payment).await;
    assert_eq!(running.get(&world, &path).await.body["status"], "done");
    let view = running.view(&world, payment).await;
    assert_eq!(
        (&view["status"], &view["refund"]["status"]),
        (&json!("refunded"), &json!("refunded"))
    );
    // Each attempt has a key of its own: the provider would answer to the same one as before.
    let keys = provider.calls().into_iter().filter(|(operation, _)| *operation == "refund");
    let keys: std::collections::HashSet<_> = keys.map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 2);
    let events = world.events(payment).await.len();
    assert_eq!(running.post(&format!("{path}/retry"), None).await.status, 200);
    assert_eq!(world.events(payment).await.len(), events, "a refund that is done was tried again");
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn the_deadline_counts_from_the_invoice_not_from_when_we_got_to_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let payment = world.issue("card").await;
    let all = kernel::event::EventFilter::all();
    let issued_at = world.environment.store.read_log(0, &all, 1);
    let issued_at = issued_at.await.unwrap().events[0].recorded_at;
    world.pass(3_600); // we were away
    let provider = Scripted::new([]);
    let running = world.start_with(provider.clone()).await;
    world.until::<PaymentExpired>(payment).await;
    assert_eq!(provider.operations(), ["cancel"], "too late to charge");
    let deadline = world.data::<PaymentRequested>(payment).await["deadline"].clone();
    let deadline: chrono::DateTime<chrono::Utc> = serde_json::from_value(deadline).unwrap();
    assert_eq!(deadline, issued_at + chrono::TimeDelta::minutes(10));
    running.stop().await;
}
