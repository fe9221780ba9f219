//! From order to cash across four modules, over HTTP.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::modules::is_of_the_saga;
use crate::server::{Data, Server};

/// The only invoice (not the credit note) of an order.
async fn invoice_of(server: &Server, order: &str) -> Value {
    let path = format!("/api/v1/billing/invoices?order_id={order}&kind=invoice");
    let found = server.until(&path, |page| page["items"].as_array().unwrap().len() == 1).await;
    found["items"][0].clone()
}

/// The only payment of an invoice, once it has a status.
async fn payment_is(server: &Server, invoice: &Value, status: &str) -> Value {
    let path = format!("/api/v1/payments?invoice_id={}", invoice["id"].as_str().unwrap());
    let found = server
        .until(&path, |page| {
            let items = page["items"].as_array().unwrap();
            items.len() == 1 && items[0]["status"] == status
        })
        .await;
    found["items"][0].clone()
}

async fn invoice_is(server: &Server, invoice: &Value, status: &str) -> Value {
    let path = format!("/api/v1/billing/invoices/{}", invoice["id"].as_str().unwrap());
    server.until(&path, |invoice| invoice["status"] == status).await
}

#[tokio::test]
async fn a_paid_order_is_confirmed_and_its_story_is_one_correlation() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let answer = server
        .try_post("/api/v1/orders", &crate::server::order(&customer, "sandbox:ok"), None)
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    let correlation = answer.headers()["Bascule-Correlation-Id"].to_str().unwrap().to_owned();
    let placed: Value = answer.json().await.unwrap();
    let id = placed["id"].as_str().unwrap();
    let order = server.order_is(id, "confirmed").await;
    assert_eq!(order["total_net"], "99.80");
    assert_eq!(order["total_vat"], "19.96");
    assert_eq!(order["total"], "119.76");
    assert_eq!(order["owner"], "bascule");
    let invoice = invoice_is(&server, &invoice_of(&server, id).await, "paid").await;
    assert_eq!(invoice["total"], "119.76");
    assert_eq!(invoice["paid"], "119.76");
    let year = invoice["issue_date"].as_str().unwrap()[..4].to_owned();
    assert_eq!(invoice["number"], format!("{year}-000001"));
    let payment = payment_is(&server, &invoice, "captured").await;
    assert_eq!(payment["amount"], "119.76");

    let story = [
        "orders.OrderPlaced.v1",
        "billing.InvoiceIssued.v1",
        "billing.NumberTaken.v1",
        "payments.PaymentRequested.v1",
        "payments.PaymentCaptured.v1",
        "billing.InvoicePaid.v1",
        "orders.OrderConfirmed.v1",
    ];
    let told = server.get_ok(&format!("/api/v1/correlations/{correlation}")).await;
    let types: Vec<&str> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| is_of_the_saga(event))
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, story);
    // The command line tells the same story, beside the running server.
    let printed = data.run_ok(&["events", "correlation", &correlation, "--json"]);
    let types: Vec<String> = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(is_of_the_saga)
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types, story);
}

#[tokio::test]
async fn a_declined_payment_gives_a_credit_note_and_cancels_the_order() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let id = server.place_order(&customer, "sandbox:declined").await;
    let order = server.order_is(&id, "cancelled").await;
    assert_eq!(order["cancellation"]["cause"], "payment_declined");
    let invoice = invoice_is(&server, &invoice_of(&server, &id).await, "voided").await;
    assert_eq!(invoice["credited_by"].as_array().unwrap().len(), 1);
    let note = invoice["credited_by"][0].as_str().unwrap();
    let note = server.get_ok(&format!("/api/v1/billing/invoices/{note}")).await;
    assert_eq!(note["kind"], "credit_note");
    assert_eq!(note["total"], "-119.76");
    assert!(note["number"].as_str().unwrap().ends_with("-000002"));
    payment_is(&server, &invoice, "declined").await;
}

#[tokio::test]
async fn an_unanswered_payment_expires_at_its_deadline() {
    let data = Data::new().with_short_deadline();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let id = server.place_order(&customer, "sandbox:never").await;
    let order = server.order_is(&id, "cancelled").await;
    assert_eq!(order["cancellation"]["cause"], "payment_expired");
    let invoice = invoice_is(&server, &invoice_of(&server, &id).await, "voided").await;
    payment_is(&server, &invoice, "expired").await;
}

#[tokio::test]
async fn a_flaky_or_slow_provider_is_paid_all_the_same() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    for method in ["sandbox:flaky", "sandbox:slow"] {
        let id = server.place_order(&customer, method).await;
        server.order_is(&id, "confirmed").await;
    }
}

#[tokio::test]
async fn cancelling_before_the_capture_takes_no_money() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let id = server.place_order(&customer, "sandbox:never").await;
    let invoice = invoice_of(&server, &id).await;
    payment_is(&server, &invoice, "pending").await;
    server
        .post_ok(&format!("/api/v1/orders/{id}/cancel"), &json!({"reason": "changed my mind"}))
        .await;
    server.order_is(&id, "cancelled").await;
    let invoice = invoice_is(&server, &invoice, "voided").await;
    payment_is(&server, &invoice, "cancelled").await;
    assert_eq!(invoice["paid"], "0.00");
}

#[tokio::test]
async fn cancelling_after_the_capture_gives_the_money_back() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let id = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&id, "confirmed").await;
    let invoice = invoice_is(&server, &invoice_of(&server, &id).await, "paid").await;
    server.post_ok(&format!("/api/v1/orders/{id}/cancel"), &json!({"reason": "too late"})).await;
    let invoice = invoice_is(&server, &invoice, "voided").await;
    payment_is(&server, &invoice, "refunded").await;
    let path = format!("/api/v1/billing/invoices/{}", invoice["id"].as_str().unwrap());
    server.until(&path, |invoice| invoice["paid"] == "0.00").await;
}

/// Sums of an order that is at rest: what was invoiced and not credited is what was captured and not
/// refunded, and what is open.
async fn agrees(server: &Server, order: &str) {
    let amount = |value: &Value| value.as_str().unwrap_or("0").parse::<Decimal>().unwrap();
    let path = format!("/api/v1/billing/invoices?order_id={order}");
    let documents = server.get_ok(&path).await["items"].as_array().unwrap().clone();
    let (mut documented, mut open, mut money) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
    for document in &documents {
        documented += amount(&document["total"]);
        open += amount(&document["open"]);
        let path = format!("/api/v1/payments?invoice_id={}", document["id"].as_str().unwrap());
        for payment in server.get_ok(&path).await["items"].as_array().unwrap() {
            if payment.get("provider_reference").is_some() {
                money += amount(&payment["amount"]) - amount(&payment["refunded"]);
            }
        }
    }
    assert_eq!(documented, money + open, "{documents:?}");
}

#[tokio::test]
async fn a_payment_cancelled_by_hand_cancels_its_order() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let id = server.place_order(&customer, "sandbox:never").await;
    let invoice = invoice_of(&server, &id).await;
    let payment = payment_is(&server, &invoice, "pending").await;
    let path = format!("/api/v1/payments/{}/cancel", payment["id"].as_str().unwrap());
    server.post_ok(&path, &json!({})).await;
    let order = server.order_is(&id, "cancelled").await;
    assert_eq!(order["cancellation"]["cause"], "payment_cancelled");
    let invoice = invoice_is(&server, &invoice, "voided").await;
    assert_eq!(invoice["voided_reason"], "payment_cancelled");
    agrees(&server, &id).await;
}

#[tokio::test]
async fn an_order_carried_out_unpaid_keeps_its_invoice_due_until_it_is_collected() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let id = server.place_order(&customer, "sandbox:never").await;
    for step in ["confirm", "fulfil"] {
        server.post_ok(&format!("/api/v1/orders/{id}/{step}"), &json!({})).await;
    }
    // Whichever of the confirmation and the payment's end is heard first, one invoice stands.
    let payment = payment_is(&server, &invoice_of(&server, &id).await, "pending").await;
    let path = format!("/api/v1/payments/{}/cancel", payment["id"].as_str().unwrap());
    server.post_ok(&path, &json!({})).await;
    let path = format!("/api/v1/billing/invoices?order_id={id}&status=issued&kind=invoice");
    let found = server.until(&path, |page| page["items"][0]["collection"] == "failed").await;
    let due = found["items"][0].clone();
    assert_eq!((&due["open"], &due["deferred"]), (&json!("119.76"), &json!(true)));
    server.order_is(&id, "fulfilled").await;
    agrees(&server, &id).await;
    let invoice = due["id"].as_str().unwrap();
    let collect = json!({"payment_method": "sandbox:ok"});
    server.post_ok(&format!("/api/v1/billing/invoices/{invoice}/collect"), &collect).await;
    let paid = invoice_is(&server, &due, "paid").await;
    assert_eq!((&paid["paid"], &paid["open"]), (&json!("119.76"), &json!("0.00")));
    agrees(&server, &id).await;
}

#[tokio::test]
async fn what_is_refunded_in_part_and_returned_leaves_books_that_agree() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let id = server.place_order(&customer, "sandbox:ok").await;
    server.order_is(&id, "confirmed").await;
    let invoice = invoice_is(&server, &invoice_of(&server, &id).await, "paid").await;
    let payment = payment_is(&server, &invoice, "captured").await;
    let refunds = format!("/api/v1/payments/{}/refunds", payment["id"].as_str().unwrap());
    let body = json!({"reason": "scratched", "amount": "19.76"});
    let (status, refund) = server.post(&refunds, &body).await;
    assert_eq!(status, 201, "{refund}");
    let one = format!("{refunds}/{}", refund["id"].as_str().unwrap());
    let refund = server.until(&one, |refund| refund["status"] == "done").await;
    let note = format!("/api/v1/billing/invoices/{}", refund["credit_note_id"].as_str().unwrap());
    let note = server.until(&note, |note| note["status"] == "settled").await;
    assert_eq!((&note["total"], &note["refunded"]), (&json!("-19.76"), &json!("19.76")));
    assert_eq!(note.get("paid"), None);
    agrees(&server, &id).await;

    server.post_ok(&format!("/api/v1/orders/{id}/fulfil"), &json!({})).await;
    let returned = json!({"reason": "broken", "lines": [{"line": 1, "quantity": "1"}]});
    server.post_ok(&format!("/api/v1/orders/{id}/return"), &returned).await;
    let path = format!("/api/v1/billing/invoices/{}", invoice["id"].as_str().unwrap());
    server.until(&path, |invoice| invoice["paid"] == "40.12").await;
    agrees(&server, &id).await;
    server.post_ok(&format!("/api/v1/orders/{id}/return"), &json!({"reason": "broken"})).await;
    let order = server.order_is(&id, "returned").await;
    assert_eq!(order["lines"][0]["returned"], "2");
    let invoice = server
        .until(&path, |invoice| invoice["status"] == "credited" && invoice["open"] == "0.00")
        .await;
    assert_eq!((&invoice["paid"], &invoice["credited"]), (&json!("0.00"), &json!("119.76")));
    payment_is(&server, &invoice, "refunded").await;
    agrees(&server, &id).await;
    let more = json!({"reason": "once more", "amount": "1"});
    let (status, problem) = server.post(&refunds, &more).await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("/problems/refused/refund-exceeds-payment"))
    );
}

#[tokio::test]
async fn of_many_orders_at_once_every_one_is_invoiced_and_numbers_have_no_hole() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let placing = (0..40).map(|number| {
        let method = if number % 4 == 0 { "sandbox:declined" } else { "sandbox:ok" };
        server.place_order(&customer, method)
    });
    let orders = futures::future::join_all(placing).await;
    for (number, id) in orders.iter().enumerate() {
        let status = if number % 4 == 0 { "cancelled" } else { "confirmed" };
        server.order_is(id, status).await;
    }
    // 40 invoices and 10 credit notes.
    let page = server
        .until("/api/v1/billing/invoices?limit=200", |page| {
            page["items"].as_array().unwrap().len() == 50
        })
        .await;
    let mut numbers: Vec<u32> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["number"].as_str().unwrap()[5..].parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=50).collect::<Vec<u32>>());
}

#[tokio::test]
async fn an_order_of_an_unknown_or_closed_customer_is_refused() {
    let data = Data::new();
    let server = data.serve();
    let unknown = crate::server::order("0190b5a0-0000-7000-8000-000000000000", "sandbox:ok");
    let (status, problem) = server.post("/api/v1/orders", &unknown).await;
    assert_eq!(status, 409, "{problem}");
    // At once, again and again: orders learns of it only by its events.
    for round in 0..20 {
        let customer = server.register_customer(&format!("ada{round}@exemple.fr")).await;
        let reason = json!({"reason": "moved away"});
        server.post_ok(&format!("/api/v1/customers/{customer}/close"), &reason).await;
        let order = crate::server::order(&customer, "sandbox:ok");
        let (status, problem) = server.post("/api/v1/orders", &order).await;
        assert_eq!(status, 409, "{problem}");
    }
}

#[tokio::test]
async fn whoever_began_it_is_known_in_every_event_of_every_module() {
    let data = Data::new();
    let server = data.serve();
    let customer = server.register_customer("ada@exemple.fr").await;
    let request_id = "0190b5a0-1111-7000-8000-000000000001";
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let response = reqwest::Client::new()
        .post(format!("{}/api/v1/orders", server.http))
        .header("X-Request-Id", request_id)
        .header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"))
        .json(&crate::server::order(&customer, "sandbox:ok"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["X-Request-Id"], request_id);
    assert!(response.headers()["traceparent"].to_str().unwrap().contains(trace_id));
    let order: Value = response.json().await.unwrap();
    server.order_is(order["id"].as_str().unwrap(), "confirmed").await;

    let printed = data.run_ok(&["events", "correlation", request_id, "--json"]);
    let events: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in &events {
        let metadata = &event["metadata"];
        assert_eq!(metadata["$correlationId"], request_id, "{event}");
        assert!(metadata["traceparent"].as_str().unwrap().contains(trace_id), "{event}");
        assert_eq!(metadata["origin_system"], "bascule", "{event}");
    }
    // Each event names the one it reacts to, back to the request.
    let events: Vec<&Value> = events.iter().filter(|event| is_of_the_saga(event)).collect();
    assert_eq!(events.len(), 7);
    let actor_and_cause = |number: usize| {
        let metadata = &events[number]["metadata"];
        (metadata["actor"].as_str().unwrap(), &metadata["$causationId"])
    };
    assert_eq!(actor_and_cause(0), ("anonymous", &Value::Null));
    assert_eq!(actor_and_cause(1), ("billing.invoicing", &events[0]["id"]));
    assert_eq!(actor_and_cause(3), ("payments.collection", &events[1]["id"]));
    assert_eq!(actor_and_cause(4), ("payments.provider-calls", &events[3]["id"]));
    assert_eq!(actor_and_cause(5), ("billing.settlement", &events[4]["id"]));
    assert_eq!(actor_and_cause(6), ("orders.payment-outcome", &events[5]["id"]));
}

#[tokio::test]
async fn a_list_can_be_read_page_by_page_while_it_grows() {
    let data = Data::new();
    let server = data.serve();
    for number in 0..7 {
        server.register_customer(&format!("ada{number}@exemple.fr")).await;
    }
    let all = server
        .until("/api/v1/customers", |page| page["items"].as_array().unwrap().len() == 7)
        .await;
    let (first, next) = server.get_page("/api/v1/customers?limit=3").await;
    server.register_customer("grace@exemple.fr").await;
    let (second, next) = server.get_page(&next.unwrap()).await;
    let (third, next) = server.get_page(&next.unwrap()).await;
    assert!(next.is_none());
    let read: Vec<&Value> = [&first, &second, &third]
        .into_iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .collect();
    assert_eq!(read, all["items"].as_array().unwrap().iter().collect::<Vec<_>>());
}
