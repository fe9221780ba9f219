//! The process is killed at every step of the saga; whatever the step, it ends in a consistent
//! state after the next start. Needs the feature `crash-points`.

use serde_json::{Value, json};

use crate::server::{Data, Server, order};

/// Every event of an order that is placed, paid, cancelled and refunded.
const STEPS: &[&str] = &[
    "orders.OrderPlaced.v1",
    "billing.InvoiceIssued.v1",
    "payments.PaymentRequested.v1",
    "payments.PaymentCaptured.v1",
    "billing.InvoicePaid.v1",
    "orders.OrderConfirmed.v1",
];
const CANCELLING: &[&str] = &[
    "orders.OrderCancelled.v1",
    "billing.InvoiceVoided.v1",
    "payments.RefundRequested.v1",
    "payments.PaymentRefunded.v1",
    "billing.InvoiceRefunded.v1",
];
const DECLINING: &[&str] = &["payments.PaymentDeclined.v1", "billing.InvoiceVoided.v1"];

/// How a client goes on asking while the server comes and goes: the same request with the same
/// key until it is answered. The server is to meet its crash point, sooner or later; afterwards it
/// runs again, without one.
async fn post_across_the_crash(
    server: &mut Server,
    data: &Data,
    path: &str,
    body: &Value,
    key: &str,
) -> Value {
    let first = server.try_post(path, body, Some(key)).await;
    let answered = match first {
        Ok(response) => {
            assert!(response.status().is_success(), "{response:?}");
            response.json().await.ok()
        }
        Err(_) => None,
    };
    let status = server.wait_for_end();
    assert!(!status.success(), "it was to crash");
    *server = data.serve();
    if let Some(answer) = answered {
        return answer;
    }
    let again = server.try_post(path, body, Some(key)).await.unwrap();
    assert!(again.status().is_success(), "{again:?}");
    again.json().await.unwrap()
}

fn count(events: &str, event_type: &str) -> usize {
    events.lines().filter(|line| line.contains(&format!("\"{event_type}\""))).count()
}

/// The whole log, as the command line shows it.
fn log_of(data: &Data) -> String {
    data.run_ok(&["events", "tail", "-n", "100000", "--json"])
}

/// No step happened twice, and no number was lost.
fn assert_consistent(events: &str, once: &[&str]) {
    for step in once {
        assert_eq!(count(events, step), 1, "{step}\n{events}");
    }
    let numbers = count(events, "billing.NumberTaken.v1");
    let documents =
        count(events, "billing.InvoiceIssued.v1") + count(events, "billing.CreditNoteIssued.v1");
    assert_eq!(numbers, documents);
}

async fn crash_while_ordering(
    data: Data,
    (moment, step): (&str, &str),
    method: &str,
    ends: &str,
    once: &[&str],
) {
    let mut server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    assert!(server.stop().success());

    let place = format!("{moment}:{step}");
    let mut server = data.serve_with(&[("BASCULE_CRASH_AT", &place)]);
    let body = order(&customer, method);
    let placed =
        post_across_the_crash(&mut server, &data, "/api/v1/orders", &body, "one-order").await;
    server.order_is(placed["id"].as_str().unwrap(), ends).await;
    assert_consistent(&log_of(&data), once);
}

#[tokio::test]
async fn killed_at_every_step_of_a_paid_order_it_ends_confirmed_and_paid_once() {
    for step in STEPS {
        for moment in ["before", "after"] {
            let at = (moment, *step);
            crash_while_ordering(Data::new(), at, "sandbox:ok", "confirmed", STEPS).await;
        }
    }
}

#[tokio::test]
async fn killed_at_every_step_of_a_declined_order_it_ends_cancelled_with_one_credit_note() {
    let once = [
        "orders.OrderPlaced.v1",
        "billing.InvoiceIssued.v1",
        "billing.CreditNoteIssued.v1",
        "billing.InvoiceVoided.v1",
        "orders.OrderCancelled.v1",
    ];
    for step in DECLINING.iter().chain(&["orders.OrderCancelled.v1"]) {
        for moment in ["before", "after"] {
            let at = (moment, *step);
            crash_while_ordering(Data::new(), at, "sandbox:declined", "cancelled", &once).await;
        }
    }
}

#[tokio::test]
async fn killed_at_the_deadline_it_expires_once() {
    let once =
        ["payments.PaymentExpired.v1", "billing.InvoiceVoided.v1", "orders.OrderCancelled.v1"];
    for moment in ["before", "after"] {
        let data = Data::new().with_short_deadline();
        let at = (moment, "payments.PaymentExpired.v1");
        crash_while_ordering(data, at, "sandbox:never", "cancelled", &once).await;
    }
}

#[tokio::test]
async fn killed_at_every_step_of_a_cancellation_the_money_goes_back_once() {
    for step in CANCELLING {
        for moment in ["before", "after"] {
            let data = Data::new();
            let mut server = data.serve();
            let customer = server.register_customer("ada@exemple.fr").await;
            let id = server.place_order(&customer, "sandbox:ok").await;
            server.order_is(&id, "confirmed").await;
            assert!(server.stop().success());

            let place = format!("{moment}:{step}");
            let mut server = data.serve_with(&[("BASCULE_CRASH_AT", &place)]);
            let cancel = format!("/api/v1/orders/{id}/cancel");
            let reason = json!({"reason": "changed my mind"});
            post_across_the_crash(&mut server, &data, &cancel, &reason, "one-cancellation").await;
            let path = format!("/api/v1/billing/invoices?order_id={id}&kind=invoice");
            server
                .until(&path, |page| {
                    page["items"][0]["status"] == "voided" && page["items"][0]["paid"] == "0.00"
                })
                .await;
            assert_consistent(&log_of(&data), CANCELLING);
        }
    }
}

/// At moments nobody chose: while many orders are under way.
#[tokio::test]
async fn killed_at_random_moments_under_load_every_order_ends() {
    let data = Data::new();
    let mut server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let mut placed = Vec::new();
    for round in 0..5 {
        let keys: Vec<String> = (0..8).map(|number| format!("order-{round}-{number}")).collect();
        let body = order(&customer, "sandbox:ok");
        // The first answer ends the round: the others are somewhere on their way.
        {
            let asking = keys
                .iter()
                .map(|key| Box::pin(server.try_post("/api/v1/orders", &body, Some(key))));
            drop(futures::future::select_all(asking).await);
        }
        server.kill();
        server = data.serve();
        for key in &keys {
            let response = server.try_post("/api/v1/orders", &body, Some(key)).await.unwrap();
            assert_eq!(response.status(), 201);
            let order: Value = response.json().await.unwrap();
            placed.push(order["id"].as_str().unwrap().to_owned());
        }
    }
    for id in &placed {
        server.order_is(id, "confirmed").await;
    }
    placed.sort();
    placed.dedup();
    assert_eq!(placed.len(), 40);
    let events = log_of(&data);
    for step in STEPS {
        assert_eq!(count(&events, step), 40, "{step}");
    }
}
