//! Reads: parameters, entity tags, pages, positions and histories.

use serde_json::Value;
use uuid::Uuid;

use crate::sample::{Answer, Call, House};

const LAMPS: &str = "/api/v1/lamps";

async fn get(uri: &str) -> Answer {
    Call::get(uri).send(&House::new().await).await
}

#[actix_web::test]
async fn a_bad_parameter_answers_400_and_is_named() {
    for (uri, field, code) in [
        ("/api/v1/lamps/7", "id", "value"),
        ("/api/v1/lamps/%ff", "id", "value"),
        ("/api/v1/lamps/%00", "id", "value"),
        ("/api/v1/lamps/nil/history", "id", "value"),
        ("/api/v1/lamps?colour=red", "colour", "unknown"),
        ("/api/v1/lamps?limit=0", "limit", "value"),
        ("/api/v1/lamps?limit=201", "limit", "value"),
        ("/api/v1/lamps?limit=-1", "limit", "value"),
        ("/api/v1/lamps?limit=99999999999", "limit", "value"),
        ("/api/v1/lamps?limit=ten", "limit", "value"),
        ("/api/v1/lamps?limit=", "limit", "value"),
        ("/api/v1/lamps?limit=1&limit=2", "limit", "duplicate"),
        ("/api/v1/lamps?cursor=abc", "cursor", "value"),
        ("/api/v1/lamps?cursor=", "cursor", "value"),
        ("/api/v1/lamps?light=blue", "light", "value"),
        ("/api/v1/lamps?%ff=1", "\u{fffd}", "unknown"),
        ("/api/v1/correlations/x", "id", "value"),
    ] {
        let answer = get(uri).await;
        answer.is_problem(400, "invalid-parameter");
        assert_eq!(answer.errors(), [(field, code)], "{uri}");
    }
}

#[actix_web::test]
async fn a_list_leads_from_page_to_page() {
    let mut uri = format!("{LAMPS}?light=out&limit=3");
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let answer = get(&uri).await;
        assert_eq!(answer.status, 200, "{uri} {answer:?}");
        pages += 1;
        for item in answer.body["items"].as_array().unwrap() {
            assert_eq!(item["lit"], false, "the filter stays");
            seen.push(item["id"].as_str().unwrap().parse::<Uuid>().unwrap().as_u128());
        }
        let Some(link) = answer.headers.get("link") else {
            break;
        };
        let link = link.to_str().unwrap();
        let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        assert!(next.starts_with("/api/v1/lamps?light=out&limit=3&cursor="), "{next}");
        next.clone_into(&mut uri);
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(pages, 3);
    assert!(!get(LAMPS).await.headers.contains_key("link"), "seven fit on one page");
}

#[actix_web::test]
async fn an_entity_tag_saves_sending_again() {
    let house = House::new().await;
    let lit = Call::post(LAMPS, r#"{"place":"hall"}"#).send(&house).await;
    let uri = format!("{LAMPS}/{}", lit.body["id"].as_str().unwrap());
    let read = async |tag: &str| Call::get(&uri).header("If-None-Match", tag).send(&house).await;
    let answer = Call::get(&uri).send(&house).await;
    let known = answer.header("etag").to_owned();
    assert_eq!((answer.status.as_u16(), known.starts_with("\"0-")), (200, true), "{known}");
    assert_eq!(answer.body["lit"], true);
    for tag in [&known, &format!("W/{known}"), &format!("\"7\", {known}"), "*"] {
        let answer = read(tag).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (304, &Value::Null), "{tag}");
        assert_eq!(answer.header("etag"), known);
    }
    for tag in ["\"0\"", "\"1\"", "0", "", "\"0-AAAAAAAAAAAAAAAA\"", "x y"] {
        assert_eq!(read(tag).await.status, 200, "{tag}");
    }
}

#[actix_web::test]
async fn a_request_for_another_host_or_from_another_origin_is_refused() {
    let house = House::new().await;
    for (name, value) in [
        ("Host", "evil.example"),
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        for uri in [LAMPS, "/api/v1/correlations/x", "/no/such/route"] {
            let answer = Call::get(uri).header(name, value).send(&house).await;
            answer.is_problem(403, "forbidden");
            assert!(
                answer.body["detail"].as_str().unwrap().contains("allowed_hosts"),
                "{answer:?}"
            );
        }
        let answer =
            Call::post(LAMPS, r#"{"place":"hall"}"#).header(name, value).send(&house).await;
        answer.is_problem(403, "forbidden");
    }
    assert_eq!(Call::get(LAMPS).header("Host", "localhost:80").send(&house).await.status, 200);
}

#[actix_web::test]
async fn an_unknown_resource_answers_404() {
    let id = Uuid::from_u128(7);
    get(&format!("{LAMPS}/{id}")).await.is_problem(404, "not-found");
    get(&format!("{LAMPS}/{id}/history")).await.is_problem(404, "not-found");
}

#[actix_web::test]
async fn a_read_that_cannot_see_enough_says_so() {
    let house = House::new().await;
    let lit = Call::post(LAMPS, r#"{"place":"hall"}"#).send(&house).await;
    let uri = format!("{LAMPS}/{}", lit.body["id"].as_str().unwrap());
    let read = async |position: &str| {
        Call::get(&uri).header("Bascule-Min-Position", position).send(&house).await
    };
    assert_eq!(read("0").await.status, 200);
    for malformed in ["", "-1", "+1", "1.0", "one", "1-", "1-one", "9223372036854775808"] {
        let answer = read(malformed).await;
        answer.is_problem(400, "invalid-parameter");
        assert_eq!(answer.errors(), [("Bascule-Min-Position", "value")], "{malformed}");
    }
    // Another event stands there by now than the one that was seen.
    let seen = lit.header("bascule-position");
    let (position, event) = seen.split_once('-').unwrap();
    let other = u32::from_str_radix(event, 16).unwrap() ^ 1;
    read(&format!("{position}-{other:08x}")).await.is_problem(412, "precondition-failed");
    // The log ends at 1: nobody was told of more.
    let answer = read("2").await;
    answer.is_problem(412, "precondition-failed");
    assert_eq!((&answer.body["expected"], &answer.body["actual"]), (&2.into(), &1.into()));
}

#[actix_web::test]
async fn a_read_model_that_lags_makes_a_read_stale() {
    let house = House::new().await;
    let lit = Call::post(LAMPS, r#"{"place":"hall"}"#).send(&house).await;
    let uri = format!("{LAMPS}/{}", lit.body["id"].as_str().unwrap());
    let call = Call::get(&uri).header("Bascule-Min-Position", lit.header("bascule-position"));
    // The read model stands still; so does the clock, until there is nothing left but to wait.
    tokio::time::pause();
    let answer = call.send(&house).await;
    answer.is_problem(503, "stale-read");
    assert_eq!(answer.header("retry-after"), "1");
}

#[actix_web::test]
async fn a_history_tells_what_happened_and_why() {
    let house = House::new().await;
    let correlation = Uuid::from_u128(0x77).to_string();
    let lit = Call::post(LAMPS, r#"{"place":"hall"}"#).header("X-Request-Id", &correlation);
    let lit = lit.send(&house).await;
    let id = lit.body["id"].as_str().unwrap();
    Call::post(&format!("{LAMPS}/{id}/put-out"), "").send(&house).await;
    let page = Call::get(&format!("{LAMPS}/{id}/history?limit=1")).send(&house).await;
    let entry = &page.body["items"][0];
    assert_eq!(entry["type"], "house.LampLit.v1");
    assert_eq!(entry["stream"], format!("lamp-{id}"));
    assert_eq!(entry["data"]["place"], "hall");
    assert_eq!(entry["correlation_id"], correlation);
    assert_eq!((&entry["revision"], &entry["position"]), (&0.into(), &1.into()));
    assert_eq!((&entry["actor"], &entry["causation_id"]), (&"anonymous".into(), &Value::Null));
    assert_eq!(entry["traceparent"], lit.header("traceparent"));
    let next = page.header("link").strip_prefix('<').unwrap().split('>').next().unwrap();
    let page = Call::get(next).send(&house).await;
    assert_eq!(page.body["items"][0]["type"], "house.LampPutOut.v1");
    assert!(!page.headers.contains_key("link"));
    let found = Call::get(&format!("/api/v1/correlations/{correlation}")).send(&house).await;
    let items = found.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "only what that request caused: {items:?}");
    assert_eq!(items[0]["stream"], format!("lamp-{id}"));
    let none = Call::get(&format!("/api/v1/correlations/{}", Uuid::nil())).send(&house).await;
    assert_eq!((none.status.as_u16(), &none.body["items"]), (200, &Value::Array(vec![])));
}
