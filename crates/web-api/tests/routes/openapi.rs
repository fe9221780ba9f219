//! The OpenAPI document: complete, and of the same opinion as the handlers.

use actix_web::App;
use serde_json::{Value, json};
use utoipa::PartialSchema as _;
use utoipa_actix_web::AppExt as _;
use web_api::{DecimalText, Percentage, ProblemKind};

use crate::sample::{House, routes};

async fn document() -> Value {
    let house = House::new().await;
    let app = App::new().into_utoipa_app();
    let app = app.configure(|config| routes(config, &house)).configure(web_api::history::routes);
    let (_, document) = app.split_for_parts();
    serde_json::to_value(web_api::openapi::completed(document)).unwrap()
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[actix_web::test]
async fn every_reference_leads_somewhere() {
    let document = document().await;
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.contains(&"#/components/responses/Conflict"));
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[actix_web::test]
async fn operations_have_their_headers_and_problems() {
    let document = document().await;
    let operation = &document["paths"]["/api/v1/lamps/{id}/put-out"]["post"];
    let parameters = operation["parameters"].as_array().unwrap();
    let names: Vec<_> =
        parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["id", "Idempotency-Key", "If-Match"]);
    assert!(parameters.iter().skip(1).all(|parameter| parameter["required"] == false));
    let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        statuses,
        ["200", "400", "403", "404", "408", "409", "412", "413", "415", "422", "500", "503"]
    );
    let conflict = &document["components"]["responses"]["Conflict"];
    assert_eq!(
        conflict["content"]["application/problem+json"]["schema"]["$ref"],
        "#/components/schemas/Problem"
    );
    let listing = &document["paths"]["/api/v1/lamps"]["get"]["parameters"];
    let limit = listing.as_array().unwrap().iter().find(|one| one["name"] == "limit").unwrap();
    assert!(limit.to_string().contains("Limit"), "{limit}");
}

#[actix_web::test]
async fn answers_have_the_headers_that_are_sent_with_them() {
    let document = document().await;
    let headers = |path: &str, method: &str, status: &str| -> Vec<String> {
        let headers = &document["paths"][path][method]["responses"][status]["headers"];
        headers.as_object().unwrap().keys().cloned().collect()
    };
    let lit = headers("/api/v1/lamps", "post", "201");
    assert_eq!(lit, ["Bascule-Position", "ETag", "Location"]);
    let out = headers("/api/v1/lamps/{id}/put-out", "post", "200");
    assert_eq!(out, ["Bascule-Position", "ETag"]);
    assert_eq!(headers("/api/v1/lamps/{id}", "get", "200"), ["ETag"]);
    assert_eq!(headers("/api/v1/lamps", "get", "200"), ["Link"]);
}

#[actix_web::test]
async fn a_problem_needs_only_what_it_always_has() {
    let problem = &document().await["components"]["schemas"]["Problem"];
    assert_eq!(problem["required"], json!(["type", "title", "status", "detail"]));
    assert!(problem.get("additionalProperties").is_none(), "{problem}");
}

#[test]
fn schemas_have_the_patterns_that_are_checked() {
    for (schema, pattern) in
        [(DecimalText::schema(), DecimalText::PATTERN), (Percentage::schema(), Percentage::PATTERN)]
    {
        let schema = serde_json::to_value(schema).unwrap();
        assert_eq!((&schema["type"], &schema["pattern"]), (&"string".into(), &pattern.into()));
    }
}

#[actix_web::test]
async fn a_field_refers_to_the_schema_of_its_rule() {
    let document = document().await;
    let schemas = &document["components"]["schemas"];
    let place = &schemas["LightLamp"]["properties"]["place"];
    assert_eq!(place["$ref"], "#/components/schemas/Line20");
    let line = &schemas["Line20"];
    assert_eq!((&line["minLength"], &line["maxLength"]), (&json!(1), &json!(20)));
    assert!(line["pattern"].is_string(), "{line}");
}

#[test]
fn problem_types_are_stable_and_distinct() {
    let types: Vec<_> = ProblemKind::ALL.iter().map(|kind| kind.problem_type()).collect();
    let mut distinct = types.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), types.len());
    assert!(types.iter().all(|one| one.starts_with("/problems/")));
}
