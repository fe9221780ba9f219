//! The module is stopped or killed in the middle of things, and started again.

use database::Engine;
use payments::PaymentsSettings;
use payments_contract::{PaymentCaptured, PaymentExpired, PaymentRefunded};
use rstest::rstest;
use serde_json::json;

use crate::scripted::{Does, Scripted};
use crate::world::{World, settings};

#[rstest]
#[actix_web::test]
async fn killed_during_the_charge_it_charges_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let first = world.start(PaymentsSettings { call_timeout_ms: 60_000, ..settings() }).await;
    let payment = world.issue("sandbox:slow").await;
    world
        .eventually("the provider took the money", async || {
            world.charges().await.iter().any(|charge| charge.captured)
        })
        .await;
    first.kill().await;
    assert_eq!(world.story(payment).await, ["PaymentRequested"], "we do not know of it");

    let second = world.start(settings()).await;
    world.until::<PaymentCaptured>(payment).await;
    let charges = world.charges().await;
    assert_eq!(charges.len(), 1, "{charges:?}");
    assert_eq!(world.story(payment).await, ["PaymentRequested", "PaymentCaptured"]);
    second.stop().await;
}

#[rstest]
#[actix_web::test]
async fn killed_during_a_refund_it_refunds_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([("refund", Does::WorksSilently)]);
    let first = world.start_with(provider.clone()).await;
    let payment = world.issue("card").await;
    world.until::<PaymentCaptured>(payment).await;
    provider.always("lookup_refund", Does::Hangs);
    first.post(&format!("/{payment}/refund"), Some(json!({"reason": "broken"}))).await;
    world.credit(payment, "119.76").await;
    provider.called("refund", 1).await;
    first.kill().await;
    provider.always("lookup_refund", Does::Works);
    let second = world.start_with(provider.clone()).await;
    world.until::<PaymentRefunded>(payment).await;
    let keys = provider.calls().into_iter().filter(|(operation, _)| *operation == "refund");
    let keys: std::collections::HashSet<_> = keys.map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 1, "the same refund, asked for again");
    second.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_deadline_that_passes_while_we_are_away_is_kept_after_the_restart(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let first = world.start(settings()).await;
    let payment = world.issue("sandbox:never").await;
    world
        .eventually("the provider has the charge", async || !world.charges().await.is_empty())
        .await;
    first.stop().await;
    world.pass(3_600);
    let second = world.start(settings()).await;
    world.until::<PaymentExpired>(payment).await;
    let charges = world.charges().await;
    assert_eq!(charges.len(), 1);
    assert!(charges[0].cancelled && !charges[0].captured, "{charges:?}");
    second.stop().await;
}

#[rstest]
#[actix_web::test]
async fn everything_handled_again_from_the_beginning_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let first = world.start(settings()).await;
    let captured = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(captured).await;
    let refunded = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(refunded).await;
    first.post(&format!("/{refunded}/refund"), Some(json!({"reason": "broken"}))).await;
    world.credit(refunded, "119.76").await;
    world.until::<PaymentRefunded>(refunded).await;
    first.stop().await;
    let (charges, head) = (world.charges().await, world.environment.store.head().await.unwrap());

    world.forget_read_models().await;
    let second = world.start(settings()).await;
    // Events are handled in order per payment: after these, all earlier ones are handled too.
    let marker = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(marker).await;
    world
        .eventually("the reactor has passed everything", async || {
            let at = world.checkpoint(&second, "payments.provider-calls").await;
            at >= head
        })
        .await;
    assert_eq!(world.story(captured).await.len(), 2);
    assert_eq!(world.story(refunded).await.len(), 5);
    let before: Vec<_> = charges.iter().map(|charge| charge.idempotency_key).collect();
    let after: Vec<_> = world
        .charges()
        .await
        .into_iter()
        .filter(|charge| charge.payment_id != Some(marker))
        .map(|charge| charge.idempotency_key)
        .collect();
    assert_eq!(before, after, "nothing was charged again");
    assert_eq!(second.view(&world, refunded).await["status"], "refunded");
    second.stop().await;
}

#[rstest]
#[actix_web::test]
async fn many_payments_go_on_beside_a_silent_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([("charge", Does::Hangs)]);
    let running = world.start_with(provider.clone()).await;
    let silent = world.issue("card").await;
    provider.called("charge", 1).await;
    let others = [world.issue("card").await, world.issue("card").await];
    for other in others {
        world.until::<PaymentCaptured>(other).await;
    }
    world.until::<PaymentCaptured>(silent).await;
    running.stop().await;
}
