//! Commands: what they answer, `If-Match`, and `Idempotency-Key` over a real database.

use std::sync::atomic::Ordering;

use actix_web::web::Data;
use chrono::TimeDelta;
use database::Statement;
use kernel::event::EventFilter;
use kernel::seams::new_id;
use uuid::Uuid;

use crate::sample::{Answer, Call, House};

const LAMPS: &str = "/api/v1/lamps";
const HALL: &str = r#"{"place":"hall"}"#;

async fn light(house: &Data<House>, key: &str, body: &'static str) -> Answer {
    Call::post(LAMPS, body).header("Idempotency-Key", key).send(house).await
}

async fn put_out(house: &Data<House>, id: &str, if_match: &str) -> Answer {
    let path = format!("{LAMPS}/{id}/put-out");
    Call::post(&path, "").header("If-Match", if_match).send(house).await
}

#[actix_web::test]
async fn a_creation_says_where_and_at_what_revision() {
    let house = House::new().await;
    let answer = Call::post(LAMPS, HALL).send(&house).await;
    assert_eq!(answer.status, 201);
    let id = answer.body["id"].as_str().unwrap();
    assert_eq!(answer.body["revision"], 0);
    assert_eq!(answer.header("location"), format!("{LAMPS}/{id}"));
    assert_eq!(answer.header("etag"), "\"0\"");
    assert!(answer.header("bascule-position").starts_with("1-"));
    let answer = put_out(&house, id, "*").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"1\""));
    assert!(answer.header("bascule-position").starts_with("2-"));
    assert!(!answer.headers.contains_key("location"));
}

#[actix_web::test]
async fn a_refusal_has_a_type_of_its_own() {
    let house = House::new().await;
    let lit = Call::post(LAMPS, HALL).send(&house).await;
    let id = lit.body["id"].as_str().unwrap();
    put_out(&house, id, "*").await;
    put_out(&house, id, "*").await.is_problem(409, "refused/out-already");
    let unknown = Uuid::from_u128(7).to_string();
    put_out(&house, &unknown, "*").await.is_problem(404, "not-found");
}

#[actix_web::test]
async fn if_match_holds_the_caller_to_a_revision() {
    let house = House::new().await;
    let lit = Call::post(LAMPS, HALL).send(&house).await;
    let id = lit.body["id"].as_str().unwrap();
    let answer = put_out(&house, id, "\"3\"").await;
    answer.is_problem(412, "precondition-failed");
    assert_eq!((&answer.body["expected"], &answer.body["actual"]), (&3.into(), &0.into()));
    // Tags of other servers, and weak ones, never match (RFC 9110 §13.1.1).
    for unmet in
        ["\"three\"", "W/\"0\"", "\"3\", W/\"0\"", "\"-1\"", "\"99999999999999999999\"", "\"\""]
    {
        put_out(&house, id, unmet).await.is_problem(412, "precondition-failed");
    }
    let weak = put_out(&house, id, "W/\"0\"").await;
    let detail = weak.body["detail"].as_str().unwrap();
    assert!(detail.contains("weak tags (W/\"…\") never match"), "{detail}");
    let answer = put_out(&house, id, "\"3\", \"4\"").await;
    assert_eq!(answer.body["expected"], serde_json::json!([3, 4]));
    for malformed in ["", "3.0", "three", "\"0", "W/0", "\"0\" \"1\"", "*, \"0\""] {
        let answer = put_out(&house, id, malformed).await;
        answer.is_problem(400, "invalid-parameter");
        assert_eq!(answer.errors(), [("If-Match", "value")], "{malformed}");
    }
    // The quotes may be missing.
    put_out(&house, id, "3").await.is_problem(412, "precondition-failed");
    let read = Call::get(&format!("{LAMPS}/{id}")).send(&house).await;
    let listed = format!("\"7\", {}", read.header("etag"));
    assert_eq!(put_out(&house, id, &listed).await.status, 200, "the tag that a read returned");
}

#[actix_web::test]
async fn the_same_key_is_carried_out_once() {
    let house = House::new().await;
    let first = light(&house, "k1", HALL).await;
    let second = light(&house, "k1", HALL).await;
    assert_eq!(first.status, 201);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(second.status, 201);
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(first.body, second.body);
    for header in ["location", "etag", "bascule-position"] {
        assert_eq!(first.header(header), second.header(header));
    }
    assert_eq!(house.carried_out.load(Ordering::SeqCst), 1);
    assert_eq!(house.environment.store.head().await.unwrap(), 1);
    let other = light(&house, "k2", HALL).await;
    assert_ne!(other.body["id"], first.body["id"]);
}

/// Restored to an earlier backup, the log has another event where the answer said, or none.
#[actix_web::test]
async fn what_the_log_has_lost_is_not_answered_from_memory() {
    const ANOTHER: Statement =
        Statement::Same("UPDATE idempotency SET event_id = $1 WHERE position = 1");
    let house = House::new().await;
    let first = light(&house, "k1", HALL).await;
    let changed = house.database.write(&ANOTHER).bind(new_id()).execute().await.unwrap();
    assert_eq!(changed, 1);
    let second = light(&house, "k1", HALL).await;
    assert!(!second.headers.contains_key("idempotency-replayed"));
    assert_eq!(house.carried_out.load(Ordering::SeqCst), 2);
    assert_eq!(second.body["id"], first.body["id"]);
}

#[actix_web::test]
async fn the_same_key_with_another_request_answers_422() {
    let house = House::new().await;
    let lit = light(&house, "k1", HALL).await;
    light(&house, "k1", r#"{"place":"attic"}"#).await.is_problem(422, "idempotency-mismatch");
    let path = format!("{LAMPS}/{}/put-out", lit.body["id"].as_str().unwrap());
    let answer = Call::post(&path, "").header("Idempotency-Key", "k1").send(&house).await;
    answer.is_problem(422, "idempotency-mismatch");
    assert_eq!(house.environment.store.head().await.unwrap(), 1);
}

#[actix_web::test]
async fn an_action_with_a_key_may_be_repeated() {
    let house = House::new().await;
    let lit = Call::post(LAMPS, HALL).send(&house).await;
    let path = format!("{LAMPS}/{}/put-out", lit.body["id"].as_str().unwrap());
    for body in ["", "{}"] {
        let answer = Call::post(&path, body).header("Idempotency-Key", "off").send(&house).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["revision"], 1);
    }
    // Without a key it is a new request, which is refused.
    put_out(&house, lit.body["id"].as_str().unwrap(), "*")
        .await
        .is_problem(409, "refused/out-already");
}

#[actix_web::test]
async fn a_request_may_command_two_aggregates_and_is_carried_out_once() {
    let house = House::new().await;
    let lit = Call::post(LAMPS, HALL).send(&house).await;
    let path = format!("{LAMPS}/{}/replace", lit.body["id"].as_str().unwrap());
    let replace = async || Call::post(&path, "").header("Idempotency-Key", "k1").send(&house).await;
    let first = replace().await;
    assert_eq!(first.status, 201, "{first:?}");
    let page = house.environment.store.read_log(1, &EventFilter::all(), 9).await.unwrap();
    let types: Vec<_> = page.events.iter().map(|event| &*event.event_type).collect();
    assert_eq!(types, ["house.LampPutOut.v1", "house.LampLit.v1"]);
    assert_ne!(page.events[0].id, page.events[1].id);

    // Also when only the log knows of it.
    let later = house.environment.clock.now() + TimeDelta::days(8);
    assert_eq!(web_api::idempotency::prune(&house.database, later).await.unwrap(), 1);
    let second = replace().await;
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    assert_eq!(house.environment.store.head().await.unwrap(), 3);
}

#[actix_web::test]
async fn the_log_recognises_a_repetition_even_when_the_row_is_lost() {
    let house = House::new().await;
    let first = light(&house, "k1", HALL).await;
    let later = house.environment.clock.now() + TimeDelta::days(8);
    assert_eq!(web_api::idempotency::prune(&house.database, later).await.unwrap(), 1);
    let second = light(&house, "k1", HALL).await;
    assert_eq!(house.carried_out.load(Ordering::SeqCst), 2);
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    assert_eq!(house.environment.store.head().await.unwrap(), 1);
    // Another request with the key is then judged by itself: that lamp is lit.
    let later = house.environment.clock.now() + TimeDelta::days(8);
    web_api::idempotency::prune(&house.database, later).await.unwrap();
    light(&house, "k1", r#"{"place":"attic"}"#).await.is_problem(409, "refused/lit-already");
}

#[actix_web::test]
async fn a_refused_request_may_be_repeated_with_its_key() {
    let house = House::new().await;
    let lamp = Uuid::from_u128(7);
    let path = format!("{LAMPS}/{lamp}/put-out");
    let call = || Call::post(&path, "").header("Idempotency-Key", "off");
    call().send(&house).await.is_problem(404, "not-found");
    call().send(&house).await.is_problem(404, "not-found");
}

#[actix_web::test]
async fn young_keys_are_kept() {
    let house = House::new().await;
    light(&house, "k1", HALL).await;
    let before = house.environment.clock.now() - web_api::idempotency::REMEMBERED;
    assert_eq!(web_api::idempotency::prune(&house.database, before).await.unwrap(), 0);
}

#[actix_web::test]
async fn nothing_of_the_body_or_the_key_is_kept() {
    let house = House::new().await;
    light(&house, "secret-key", r#"{"place":"secret place"}"#).await;
    let statement = Statement::Same("SELECT key_hash, fingerprint, status FROM idempotency");
    let rows = house.database.query(&statement).fetch_all().await.unwrap();
    assert_eq!(rows.len(), 1);
    let (key, fingerprint): (&[u8], &[u8]) =
        (rows[0].get("key_hash").unwrap(), rows[0].get("fingerprint").unwrap());
    assert_eq!((key.len(), fingerprint.len()), (32, 32));
    assert_eq!(rows[0].get::<i64>("status").unwrap(), 201);
    assert_ne!(key, fingerprint);
}

#[actix_web::test]
async fn a_malformed_key_answers_400() {
    let house = House::new().await;
    let too_long = "k".repeat(256);
    for key in ["", "two words", &too_long] {
        let call = Call::post(LAMPS, HALL).header("Idempotency-Key", key);
        let answer = call.send(&house).await;
        answer.is_problem(400, "invalid-parameter");
        assert_eq!(answer.errors(), [("Idempotency-Key", "value")], "{key}");
    }
    let twice =
        Call::post(LAMPS, HALL).header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    let answer = twice.send(&house).await;
    assert_eq!(answer.errors(), [("Idempotency-Key", "duplicate")]);
    let longest = "k".repeat(255);
    let call = Call::post(LAMPS, HALL).header("Idempotency-Key", &longest);
    assert_eq!(call.send(&house).await.status, 201);
}

#[actix_web::test]
async fn requests_with_one_key_at_the_same_time_make_one_lamp() {
    let house = House::new().await;
    let answers = futures::future::join_all((0..8).map(|_| light(&house, "k1", HALL))).await;
    for answer in &answers {
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.body["id"], answers[0].body["id"]);
    }
    assert_eq!(house.environment.store.head().await.unwrap(), 1);
}
