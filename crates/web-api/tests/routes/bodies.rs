//! Bad bodies: each kind has its status, and names the field.

use crate::sample::{Answer, Call, House};

const LAMPS: &str = "/api/v1/lamps";

async fn post(body: impl Into<actix_web::web::Bytes>) -> Answer {
    Call::post(LAMPS, body).send(&House::new().await).await
}

#[actix_web::test]
async fn a_body_that_is_no_json_answers_400() {
    let deep = "[".repeat(100_000);
    let deep_field = format!(r#"{{"place":{}"#, "{\"a\":".repeat(50_000));
    let bodies: [&[u8]; 12] = [
        b" ",
        b"{",
        b"{\"place\":\"hall\"",
        b"{\"place\":\"hall\"} x",
        b"{\"place\":\"hall\"}{}",
        b"{'place':'hall'}",
        b"{\"place\":\"ha\nll\"}",
        b"{\"place\":\"\\ud800\"}",
        b"{\"place\":\"\xff\xfe\"}",
        b"\xef\xbb\xbf{\"place\":\"hall\"}",
        b"{\"watts\":01}",
        b"nul",
    ];
    for body in bodies {
        post(body).await.is_problem(400, "malformed-json");
    }
    for body in [deep, deep_field] {
        let answer = post(body).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
}

#[actix_web::test]
async fn an_invalid_field_answers_422_and_is_named() {
    for (body, field, code) in [
        ("[]", ".", "type"),
        (r#"["hall", 60, []]"#, ".", "type"),
        ("null", ".", "type"),
        ("7", ".", "type"),
        ("{}", "place", "required"),
        (r#"{"place":7}"#, "place", "type"),
        (r#"{"place":null}"#, "place", "type"),
        (r#"{"place":"hall","colour":"red"}"#, "colour", "unknown"),
        (r#"{"place":"hall","place":"hall"}"#, "place", "duplicate"),
        (r#"{"place":"hall","watts":-1}"#, "watts", "value"),
        (r#"{"place":"hall","watts":1.5}"#, "watts", "type"),
        (r#"{"place":"hall","watts":99999999999999999999}"#, "watts", "type"),
        (r#"{"place":"hall","watts":"60"}"#, "watts", "type"),
        (r#"{"place":"hall","watts":0}"#, "watts", "range"),
        (r#"{"place":""}"#, "place", "length"),
        (r#"{"place":"  "}"#, "place", "text"),
        (r#"{"place":"a\u0000b"}"#, "place", "text"),
        (r#"{"place":"hall","bulbs":[{"socket":"E27"},{}]}"#, "bulbs[1].socket", "required"),
        (r#"{"place":"hall","bulbs":[{"socket":"E27","size":1}]}"#, "bulbs[0].size", "unknown"),
        (r#"{"place":"hall","bulbs":[{"socket":"E27","price":1.5}]}"#, "bulbs[0].price", "type"),
        (r#"{"place":"hall","bulbs":[{"socket":"E27","price":"1e3"}]}"#, "bulbs[0].price", "value"),
        (
            r#"{"place":"hall","bulbs":[{"socket":"E27"},{"socket":"\n"}]}"#,
            "bulbs[1].socket",
            "text",
        ),
        (r#"{"place":"hall","bulbs":{}}"#, "bulbs", "type"),
    ] {
        let answer = post(body).await;
        answer.is_problem(422, "validation");
        assert_eq!(answer.errors()[0], (field, code), "{body} {answer:?}");
    }
}

#[actix_web::test]
async fn a_body_that_is_wrong_as_a_whole_is_called_the_body() {
    let answer = post("[]").await;
    assert_eq!(answer.body["detail"], "The body is invalid: expected a JSON object.");
    let answer = post("{}").await;
    assert_eq!(answer.body["detail"], "The field place is invalid: this field is required.");
}

#[actix_web::test]
async fn every_invalid_field_has_an_entry() {
    let body = r#"{"place":" ","watts":9999,"bulbs":[{"socket":""},{"socket":"E27","price":"1e3"},{"socket":"\n"}]}"#;
    let answer = post(body).await;
    answer.is_problem(422, "validation");
    let expected = [
        ("bulbs[0].socket", "length"),
        ("bulbs[1].price", "value"),
        ("bulbs[2].socket", "text"),
        ("place", "text"),
        ("watts", "range"),
    ];
    assert_eq!(answer.errors(), expected);
    let price = answer.body["errors"][1]["message"].as_str().unwrap();
    assert!(price.starts_with("invalid value: string \"1e3\", expected a decimal"), "{price}");
    let answer = post(r#"{"place":"abcdefghijklmnopqrstu","bulbs":[{"socket":"a"},{"socket":"b"},{"socket":"c"},{"socket":""}]}"#).await;
    let expected = [("bulbs", "length"), ("bulbs[3].socket", "length"), ("place", "length")];
    assert_eq!(answer.errors(), expected);
    assert!(answer.body["errors"][0]["message"].as_str().unwrap().contains("at most 3"));
    // What stops the reading has an entry beside those of what was read before.
    let answer = post(r#"{"place":"","watts":"60"}"#).await;
    assert_eq!(answer.errors(), [("place", "length"), ("watts", "type")]);
    // A body that is no JSON is called that, whatever is in it.
    post(r#"{"place":""} x"#).await.is_problem(400, "malformed-json");
}

#[actix_web::test]
async fn entries_are_in_the_order_of_their_paths_and_bounded() {
    let socket = |index| {
        if index == 9 || index == 10 { r#"{"socket":""}"# } else { r#"{"socket":"E27"}"# }
    };
    let body = |bulbs: Vec<&str>| format!(r#"{{"place":"hall","bulbs":[{}]}}"#, bulbs.join(","));
    let answer = post(body((0..12).map(socket).collect())).await;
    let fields: Vec<_> = answer.errors().iter().map(|(field, _)| (*field).to_owned()).collect();
    assert_eq!(fields, ["bulbs", "bulbs[9].socket", "bulbs[10].socket"]);
    let answer = post(body(vec![r#"{"socket":""}"#; 1000])).await;
    assert_eq!(answer.errors().len(), 51, "fifty texts and the length of the list");
    assert_eq!(answer.errors()[50], ("bulbs[49].socket", "length"));
}

#[actix_web::test]
async fn what_a_problem_repeats_is_short() {
    let answer = post(format!(r#"{{"place":"hall","watts":"{}"}}"#, "x".repeat(10_000))).await;
    answer.is_problem(422, "validation");
    assert!(answer.body.to_string().len() < 2_000);
}

#[actix_web::test]
async fn other_media_types_answer_415() {
    let house = House::new().await;
    let body = r#"{"place":"hall"}"#;
    for media_type in ["text/plain", "application/xml", "application/json; charset=utf-16", ""] {
        let call = Call::new("POST", LAMPS).header("Content-Type", media_type).body(body);
        call.send(&house).await.is_problem(415, "unsupported-media-type");
    }
    let answer = Call::new("POST", LAMPS).body(body).send(&house).await;
    answer.is_problem(415, "unsupported-media-type");
    let answer = Call::post(LAMPS, body).header("Content-Encoding", "gzip").send(&house).await;
    answer.is_problem(415, "unsupported-media-type");
    for media_type in ["application/json; charset=UTF-8", "application/vnd.lamp+json"] {
        let call = Call::new("POST", LAMPS).header("Content-Type", media_type).body(body);
        assert_eq!(call.send(&house).await.status, 201, "{media_type}");
    }
}

#[actix_web::test]
async fn a_body_over_the_limit_answers_413() {
    let house = House::new().await;
    let large = format!(r#"{{"place":"{}"}}"#, "x".repeat(256 * 1024));
    let answer = Call::post(LAMPS, large.clone()).send(&house).await;
    answer.is_problem(413, "payload-too-large");
    assert_eq!(answer.body["limit"], 256 * 1024);
    // Whatever is announced.
    let answer = Call::post(LAMPS, large).announcing("10").send(&house).await;
    answer.is_problem(413, "payload-too-large");
    let call = Call::post(LAMPS, r#"{"place":"hall"}"#).announcing("999999999999");
    call.send(&house).await.is_problem(413, "payload-too-large");
}

#[actix_web::test]
async fn an_action_takes_no_body_or_an_empty_object() {
    let house = House::new().await;
    for body in ["", "{}", " { } "] {
        let lit = Call::post(LAMPS, r#"{"place":"hall"}"#).send(&house).await;
        let path = format!("{LAMPS}/{}/put-out", lit.body["id"].as_str().unwrap());
        assert_eq!(Call::post(&path, body).send(&house).await.status, 200, "{body}");
    }
    let lit = Call::post(LAMPS, r#"{"place":"hall"}"#).send(&house).await;
    let path = format!("{LAMPS}/{}/put-out", lit.body["id"].as_str().unwrap());
    let answer = Call::post(&path, r#"{"now":true}"#).send(&house).await;
    answer.is_problem(422, "validation");
    assert_eq!(answer.errors(), [("now", "unknown")]);
    Call::post(&path, "[1]").send(&house).await.is_problem(422, "validation");
    Call::post(&path, "now").send(&house).await.is_problem(400, "malformed-json");
    let text = Call::new("POST", &path).header("Content-Type", "text/plain").body("now");
    text.send(&house).await.is_problem(415, "unsupported-media-type");
    let bare = Call::new("POST", &path).send(&house).await;
    assert_eq!(bare.status, 200, "without a body no media type is needed");
}
