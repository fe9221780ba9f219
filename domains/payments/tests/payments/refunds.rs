//! Refunds in parts, and further payments of an invoice.

use billing_contract::{CollectionRequested, DenialReason, InvoiceCredited};
use database::Engine;
use event_contract::Sample as _;
use payments::{attempt_of, payment_of};
use payments_contract::{
    PaymentCancelled, PaymentCaptured, PaymentDeclined, PaymentId, PaymentRefunded, RefundFailed,
    RefundRefused,
};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::scripted::{Does, Scripted};
use crate::world::{Running, World, settings};

async fn captured(world: &World) -> PaymentId {
    let payment = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(payment).await;
    payment
}

async fn asked(running: &Running, payment: PaymentId, body: Value) -> Value {
    let answer = running.post(&format!("/{payment}/refunds"), Some(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

#[rstest]
#[actix_web::test]
async fn money_goes_back_in_parts_until_nothing_is_left(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = captured(&world).await;
    let first = asked(&running, payment, json!({"reason": "broken", "amount": "20"})).await;
    world.credit(payment, "20.00").await;
    world.until::<PaymentRefunded>(payment).await;
    let path = format!("/{payment}/refunds/{}", first["id"].as_str().unwrap());
    let refund = running.get(&world, &path).await.body;
    assert_eq!((&refund["status"], &refund["amount"]), (&json!("done"), &json!("20.00")));
    assert_eq!(refund["cause"], "requested");
    let view = running.view(&world, payment).await;
    assert_eq!((&view["status"], &view["refunded"]), (&json!("captured"), &json!("20.00")));

    let too_much = json!({"reason": "broken", "amount": "99.77"});
    let refused = running.post(&format!("/{payment}/refunds"), Some(too_much)).await;
    assert_eq!(refused.body["type"], "/problems/refused/refund-exceeds-payment");
    assert!(refused.body["detail"].as_str().unwrap().contains("99.76 EUR"), "{}", refused.body);

    let lines = json!([{"line": 1, "quantity": "1"}]);
    let second = asked(&running, payment, json!({"reason": "broken", "lines": lines})).await;
    world.credit(payment, "99.76").await;
    let path = format!("/{payment}/refunds/{}", second["id"].as_str().unwrap());
    world
        .eventually("everything is back", async || {
            running.view(&world, payment).await["status"] == "refunded"
        })
        .await;
    assert_eq!(running.get(&world, &path).await.body["lines"], lines);
    let list = running.get(&world, &format!("/{payment}/refunds")).await.body;
    let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&second["id"], &first["id"]]);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn refunds_of_all_payments_are_found_by_how_far_they_are(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let provider = Scripted::new([("refund", Does::Refuses)]);
    let running = world.start_with(provider).await;
    let mut refunds = Vec::new();
    for _ in 0..3 {
        let payment = world.issue("card").await;
        world.until::<PaymentCaptured>(payment).await;
        let refund = asked(&running, payment, json!({"reason": "broken"})).await;
        refunds.insert(0, (payment, refund["id"].clone()));
    }
    let [(_, pending), (done_of, done), (failed_of, failed)] = &refunds[..] else { panic!() };
    world.credit(*failed_of, "119.76").await;
    world.until::<RefundFailed>(*failed_of).await;
    world.credit(*done_of, "119.76").await;
    world.until::<PaymentRefunded>(*done_of).await;

    let list = async |query: &str| running.get(&world, &format!("/refunds{query}")).await;
    let found = async |query: &str| {
        let page = list(query).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let items = page.body["items"].as_array().unwrap().iter();
        items.map(|refund| refund["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, [pending.clone(), done.clone(), failed.clone()]);
    for (status, one) in [("pending", pending), ("done", done), ("failed", failed)] {
        assert_eq!(
            found(&format!("?status={status}")).await,
            std::slice::from_ref(one),
            "{status}"
        );
    }
    assert!(found("?status=refused").await.is_empty());
    let failed_one = &list("?status=failed").await.body["items"][0];
    assert_eq!(failed_one["payment_id"], failed_of.to_string(), "where to retry it");

    let first = list("?limit=2").await;
    let link = first.header("link");
    let next = link.trim_start_matches("</api/v1/payments/refunds").split('>').next().unwrap();
    assert_eq!(found(next).await, std::slice::from_ref(failed));
    for bad in ["?status=lost", "?limit=0", "?colour=red"] {
        assert_eq!(list(bad).await.status, 400, "{bad}");
    }
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn what_billing_cannot_credit_is_refused_and_asked_for_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = captured(&world).await;
    let lines = json!([{"line": 7, "quantity": "1"}]);
    let refund = asked(&running, payment, json!({"reason": "broken", "lines": lines})).await;
    world.deny(payment, DenialReason::NoSuchLine).await;
    world.until::<RefundRefused>(payment).await;
    let path = format!("/{payment}/refunds/{}", refund["id"].as_str().unwrap());
    let view = running.get(&world, &path).await.body;
    assert_eq!((&view["status"], &view["code"]), (&json!("refused"), &json!("no_such_line")));
    let events = world.events(payment).await.len();
    let retried = running.post(&format!("{path}/retry"), None).await;
    assert_eq!(retried.status, 409, "{}", retried.body);
    assert_eq!(retried.body["type"], "/problems/refused/refund-refused");
    assert_eq!(world.events(payment).await.len(), events);
    asked(&running, payment, json!({"reason": "broken"})).await;
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn what_cannot_be_a_refund_names_its_field(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = captured(&world).await;
    let lines = json!([{"line": 1, "quantity": "1"}]);
    for (body, status) in [
        (json!({}), 422),
        (json!({"reason": "x", "amount": "0"}), 422),
        (json!({"reason": "x", "amount": "1.001"}), 422),
        (json!({"reason": "x", "lines": []}), 422),
        (json!({"reason": "x", "lines": null}), 422),
        (json!({"reason": "x", "amount": null}), 422),
        (json!({"reason": "x", "lines": [{"line": 0, "quantity": "1"}]}), 422),
        (json!({"reason": "x", "amount": "1", "lines": lines}), 422),
    ] {
        let answer = running.post(&format!("/{payment}/refunds"), Some(body.clone())).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    let unknown = format!("/{payment}/refunds/{}", Uuid::nil());
    assert_eq!(running.get(&world, &unknown).await.status, 404);
    assert_eq!(running.post(&format!("{unknown}/retry"), None).await.status, 404);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_further_payment_is_collected_and_ends_with_its_invoice(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = world.issue("sandbox:declined").await;
    world.until::<PaymentDeclined>(payment).await;
    let invoice = world.invoice_of(payment).await;
    let again = CollectionRequested { invoice_id: invoice, ..CollectionRequested::sample() };
    world.publish(invoice, again.into()).await;
    let second = attempt_of(invoice, 2);
    assert_ne!(second, payment);
    assert_eq!(attempt_of(invoice, 1), payment_of(invoice));
    world.until::<PaymentCaptured>(second).await;
    world.void(invoice).await;
    world.until::<PaymentRefunded>(second).await;
    assert!(world.parked().await.is_empty());
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn nothing_is_collected_of_an_invoice_that_is_credited_altogether(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = world.issue("sandbox:never").await;
    world.until::<payments_contract::PaymentRequested>(payment).await;
    let invoice_id = world.invoice_of(payment).await;
    let credited = |amount: &str, due: &str| InvoiceCredited {
        invoice_id,
        amount: amount.parse().unwrap(),
        due: due.parse().unwrap(),
        ..InvoiceCredited::sample()
    };
    world.publish(invoice_id, credited("19.76", "100.00").into()).await;
    world.publish(invoice_id, credited("100.00", "0.00").into()).await;
    world.until::<PaymentCancelled>(payment).await;
    assert_eq!(world.story(payment).await, ["PaymentRequested", "PaymentCancelled"]);
    running.stop().await;
}
