//! The routes as a client meets them.

use actix_web::App;
use actix_web::test::TestRequest;
use database::Engine;
use kernel::seams::new_id;
use payments_contract::{PaymentCaptured, PaymentDeclined, PaymentId, PaymentRefunded};
use rstest::rstest;
use serde_json::{Value, json};
use utoipa_actix_web::AppExt as _;

use crate::world::{Running, World, settings};

async fn captured(world: &World) -> PaymentId {
    let payment = world.issue("sandbox:ok").await;
    world.until::<PaymentCaptured>(payment).await;
    payment
}

fn ids(page: &Value) -> Vec<PaymentId> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| serde_json::from_value(item["id"].clone()).unwrap()).collect()
}

async fn list(running: &Running, world: &World, query: &str) -> Vec<PaymentId> {
    let answer = running.get(world, query).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    ids(&answer.body)
}

#[rstest]
#[actix_web::test]
async fn what_does_not_exist_is_not_found(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let unknown = new_id();
    let refund = Some(json!({"reason": "x"}));
    for answer in [
        running.get(&world, &format!("/{unknown}")).await,
        running.get(&world, &format!("/{unknown}/history")).await,
        running.post(&format!("/{unknown}/cancel"), None).await,
        running.post(&format!("/{unknown}/refund"), refund).await,
    ] {
        assert_eq!(answer.status, 404, "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert_eq!(running.get(&world, "/nonsense").await.status, 400);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn lists_are_filtered_and_paged_newest_first(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.insert(0, captured(&world).await);
    }
    let declined = world.issue("sandbox:declined").await;
    world.until::<PaymentDeclined>(declined).await;
    let invoice = world.invoice_of(declined).await;

    let everything: Vec<_> = [declined].into_iter().chain(all.iter().copied()).collect();
    assert_eq!(list(&running, &world, "").await, everything);
    assert_eq!(list(&running, &world, "?status=captured").await, all);
    assert_eq!(list(&running, &world, &format!("?invoice_id={invoice}")).await, [declined]);
    assert_eq!(list(&running, &world, "?owner=bascule&status=declined").await, [declined]);
    assert_eq!(list(&running, &world, "?owner=legacy").await, [] as [PaymentId; 0]);
    assert_eq!(list(&running, &world, "?legacy_id=line%2F7").await, [] as [PaymentId; 0]);

    let first = running.get(&world, "?status=captured&limit=2").await;
    assert_eq!(ids(&first.body), all[..2]);
    let link = first.header("link");
    assert!(link.ends_with("rel=\"next\"") && link.contains("status=captured"), "{link}");
    let next = link.trim_start_matches("</api/v1/payments").split('>').next().unwrap();
    let second = running.get(&world, next).await;
    assert_eq!(ids(&second.body), all[2..]);
    assert!(!second.headers.contains_key("link"));

    for bad in [
        "?status=lost",
        "?limit=0",
        "?colour=red",
        "?invoice_id=1",
        "?legacy_id=",
        "?legacy_id=a%00",
    ] {
        assert_eq!(running.get(&world, bad).await.status, 400, "{bad}");
    }
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn a_refund_is_asked_for_once_per_key(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = captured(&world).await;
    let ask = |reason: &str| {
        TestRequest::post()
            .uri(&format!("/api/v1/payments/{payment}/refund"))
            .insert_header(("Idempotency-Key", "refund-1"))
            .set_json(json!({"reason": reason}))
    };
    let asked = running.call(ask("broken")).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    assert_eq!(asked.body["revision"], 2);
    assert_eq!(asked.header("etag"), "\"2\"");
    let position: u64 =
        asked.header("bascule-position").split('-').next().unwrap().parse().unwrap();
    assert!(position > 0);
    world.credit(payment, "119.76").await;
    world.until::<PaymentRefunded>(payment).await;
    assert_eq!(running.call(ask("broken")).await.status, 200);
    assert_eq!(
        running.call(ask("another")).await.status,
        422,
        "the key belongs to another request"
    );
    // Without a key, too, asking twice changes nothing.
    let again = running.post(&format!("/{payment}/refund"), Some(json!({"reason": "x"}))).await;
    assert_eq!(again.status, 200);
    assert_eq!(world.story(payment).await.len(), 5);
    let reason = world.data::<payments_contract::RefundProposed>(payment).await["reason"].clone();
    assert_eq!(reason, "broken");
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn commands_honour_the_revision_the_caller_expects(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = captured(&world).await;
    let ask = |revision: &str| {
        TestRequest::post()
            .uri(&format!("/api/v1/payments/{payment}/refund"))
            .insert_header(("If-Match", revision))
            .set_json(json!({"reason": "broken"}))
    };
    assert_eq!(running.call(ask("\"0\"")).await.status, 412);
    assert_eq!(world.story(payment).await.len(), 2);
    assert_eq!(running.call(ask("\"1\"")).await.status, 200);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn refusals_say_what_is_in_the_way(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = captured(&world).await;
    let answer = running.post(&format!("/{payment}/cancel"), None).await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.body["type"], "/problems/refused/already-captured");

    let declined = world.issue("sandbox:declined").await;
    world.until::<PaymentDeclined>(declined).await;
    let answer = running.post(&format!("/{declined}/cancel"), None).await;
    assert_eq!(answer.body["type"], "/problems/refused/already-over");
    let answer = running.post(&format!("/{declined}/refund"), Some(json!({"reason": "x"}))).await;
    assert_eq!(answer.body["type"], "/problems/refused/nothing-to-refund");
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn bad_bodies_are_named_field_by_field(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = captured(&world).await;
    let path = format!("/{payment}/refund");
    for (body, field) in [
        (json!({}), "reason"),
        (json!({"reason": ""}), "reason"),
        (json!({"reason": " "}), "reason"),
        (json!({"reason": "two\nlines"}), "reason"),
        (json!({"reason": "x".repeat(201)}), "reason"),
        (json!({"reason": 1}), "reason"),
        (json!({"reason": "x", "amount": "1"}), "amount"),
    ] {
        let answer = running.post(&path, Some(body.clone())).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.body);
        assert_eq!(answer.body["errors"][0]["field"], field, "{body}");
    }
    assert_eq!(world.story(payment).await.len(), 2);
    running.stop().await;
}

#[rstest]
#[actix_web::test]
async fn one_payment_has_a_tag_and_a_history(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let running = world.start(settings()).await;
    let payment = captured(&world).await;
    let answer = running.get(&world, &format!("/{payment}")).await;
    let tag = answer.header("etag").to_owned();
    assert!(tag.starts_with("\"1-"), "{tag}");
    let known = TestRequest::get()
        .uri(&format!("/api/v1/payments/{payment}"))
        .insert_header(("If-None-Match", tag));
    assert_eq!(running.call(known).await.status, 304);

    let history = running.get(&world, &format!("/{payment}/history")).await;
    assert_eq!(history.status, 200, "{}", history.body);
    let types: Vec<_> =
        history.body["items"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(types, ["payments.PaymentRequested.v1", "payments.PaymentCaptured.v1"]);
    running.stop().await;
}

/// Every `$ref` below a value.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                found.push(reference.clone());
            }
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[actix_web::test]
async fn the_routes_describe_themselves_without_a_store() {
    let app = App::new().into_utoipa_app().configure(payments::routes);
    let (_, document) = app.split_for_parts();
    let document = serde_json::to_value(web_api::openapi::completed(document)).unwrap();
    let operations: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    assert_eq!(operations.len(), 10, "{operations:?}");
    let is_ours = |id: &&str| id.contains("payment") || id.contains("refund");
    assert!(operations.iter().all(is_ours), "{operations:?}");

    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.iter().any(|reference| reference.ends_with("/PaymentStatus")));
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    // Names are shared by all modules: ours say whose they are, so that they never collide. (`Owner`
    // and `Legacy` are not ours: all modules show the same ones.)
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for general in ["Status", "RefundProgress"] {
        assert!(!schemas.contains_key(general), "{general}");
    }
}
