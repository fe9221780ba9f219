//! Commands over HTTP.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use database::Engine;
use kernel::seams::new_id;
use rstest::rstest;
use serde_json::{Value, json};

use crate::client::{CUSTOMERS, ada, ada_at, get, post, registered, send};
use crate::world::World;

#[rstest]
#[actix_web::test]
async fn a_customer_is_registered_and_read(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let answer = post(&world, "", &ada()).await;
    assert_eq!(answer.status, 201);
    let id = answer.body["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("{CUSTOMERS}/{id}"));
    assert_eq!(answer.header("etag"), "\"0\"");
    assert!(answer.header("bascule-position").starts_with("2-"));

    let found = get(&world, &format!("/{id}")).await;
    let tag = found.header("etag").to_owned();
    assert_eq!((found.status, tag.starts_with("\"0-")), (200, true));
    assert_eq!(
        found.body,
        json!({
            "id": id, "kind": "person", "status": "open", "name": "Ada Martin",
            "email": "ada@exemple.fr", "phone": null, "address": ada()["address"],
            "vat_number": null, "owner": "bascule",
            "registered_at": found.body["registered_at"], "revision": 0,
        })
    );
    let known =
        TestRequest::get().uri(&format!("{CUSTOMERS}/{id}")).insert_header(("If-None-Match", tag));
    assert_eq!(send(&world, known).await.status, 304);
}

#[rstest]
#[actix_web::test]
async fn input_that_is_not_acceptable_names_its_field(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let long = "x".repeat(201);
    for (field, value) in [
        ("kind", json!("firm")),
        ("name", json!("")),
        ("name", json!(" ")),
        ("name", json!(long)),
        ("name", json!(7)),
        ("email", json!("ada")),
        ("email", json!("ada@")),
        ("email", json!("ada@xn--a.fr")),
        ("email", json!(format!("ada@{}.fr", ["x".repeat(60).as_str(); 5].join(".")))),
        ("phone", json!("call me")),
        ("phone", json!("123")),
        ("vat_number", json!("40303265045")),
        ("address.line1", json!("")),
        ("address.line2", json!("a\nb")),
        ("address.postal_code", json!("1".repeat(17))),
        ("address.city", json!("")),
        ("address.country", json!("fr")),
        ("address.country", json!("FRA")),
        ("address.town", json!("Paris")),
        ("nickname", json!("Ada")),
    ] {
        let mut body = ada();
        match field.split_once('.') {
            Some((outer, inner)) => body[outer][inner] = value,
            None => body[field] = value,
        }
        let answer = post(&world, "", &body).await;
        assert_eq!(answer.problem(422, "validation").fields(), [field]);
    }
    for field in ["kind", "name", "email", "address"] {
        let mut body = ada();
        body.as_object_mut().unwrap().remove(field);
        let answer = post(&world, "", &body).await;
        assert_eq!(answer.problem(422, "validation").fields(), [field]);
    }
    assert_eq!(world.story().await.len(), 0);
}

#[rstest]
#[actix_web::test]
async fn an_address_that_is_taken_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    registered(&world, &ada()).await;
    let taken = "refused/email-taken";
    let answer = post(&world, "", &ada_at("ADA@exemple.fr")).await;
    assert!(!answer.problem(409, taken).body.to_string().contains("xemple.fr"));

    let bob = registered(&world, &ada_at("bob@exemple.fr")).await;
    let path = format!("/{bob}/change-contact");
    post(&world, &path, &json!({"email": "ada@exemple.fr"})).await.problem(409, taken);
}

#[rstest]
#[actix_web::test]
async fn a_request_with_a_key_is_carried_out_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let with_key = |body: &Value| {
        let request = TestRequest::post().uri(CUSTOMERS).insert_header(("Idempotency-Key", "k-1"));
        send(&world, request.set_json(body))
    };
    let first = with_key(&ada()).await;
    let second = with_key(&ada()).await;
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!(first.body, second.body);
    assert_eq!(world.story().await.len(), 2);
    with_key(&ada_at("bob@exemple.fr")).await.problem(422, "idempotency-mismatch");
}

#[rstest]
#[actix_web::test]
async fn a_contact_changes_as_far_as_it_is_stated(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let mut body = ada();
    body["phone"] = "0102030405".into();
    let id = registered(&world, &body).await;
    let change = async |body: Value| {
        let answer = post(&world, &format!("/{id}/change-contact"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.body["revision"].clone(), get(&world, &format!("/{id}")).await.body)
    };
    let (revision, view) = change(json!({"email": "new@exemple.fr"})).await;
    assert_eq!((revision, &view["revision"]), (json!(1), &json!(1)));
    assert_eq!((&view["email"], &view["phone"]), (&json!("new@exemple.fr"), &json!("0102030405")));
    let (_, view) = change(json!({"email": "new@exemple.fr", "phone": null, "name": "A"})).await;
    assert_eq!((&view["name"], &view["phone"]), (&json!("A"), &json!(null)));
    let (revision, _) = change(json!({"email": "new@exemple.fr"})).await;
    assert_eq!(revision, 2, "nothing changed");

    let path = format!("/{id}/change-contact");
    for (field, body) in [
        ("phone", json!({"email": "new@exemple.fr", "phone": "x"})),
        ("phone", json!({"email": "new@exemple.fr", "phone": 1})),
        ("email", json!({})),
        ("name", json!({"email": "new@exemple.fr", "name": "\u{7}"})),
    ] {
        let answer = post(&world, &path, &body).await;
        assert_eq!(answer.problem(422, "validation").fields(), [field]);
    }
}

#[rstest]
#[actix_web::test]
async fn a_customer_moves_and_is_closed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = registered(&world, &ada()).await;
    let mut address = ada()["address"].clone();
    address["line1"] = "2 rue Basse".into();
    let path = format!("/{id}/change-address");
    assert_eq!(post(&world, &path, &json!({"address": address})).await.status, 200);
    let closed = post(&world, &format!("/{id}/close"), &json!({"reason": "moved away"})).await;
    assert_eq!((closed.status, closed.header("etag")), (200, "\"2\""));

    let view = get(&world, &format!("/{id}")).await.body;
    assert_eq!(view["address"], address);
    assert_eq!((&view["status"], &view["closed_reason"]), (&json!("closed"), &json!("moved away")));
    let answer = post(&world, &path, &json!({"address": ada()["address"]})).await;
    answer.problem(409, "refused/customer-closed");
    registered(&world, &ada()).await;
}

#[rstest]
#[actix_web::test]
async fn a_change_of_an_older_revision_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = registered(&world, &ada()).await;
    for (action, body) in [
        ("change-contact", json!({"email": "b@exemple.fr"})),
        ("change-address", json!({"address": ada()["address"]})),
        ("close", json!({"reason": "moved away"})),
    ] {
        let request = TestRequest::post()
            .uri(&format!("{CUSTOMERS}/{id}/{action}"))
            .insert_header(("If-Match", "\"7\""))
            .set_json(body);
        send(&world, request).await.problem(412, "precondition-failed");
    }
    assert_eq!(world.story().await.len(), 2);
}

#[rstest]
#[actix_web::test]
async fn who_does_not_exist_is_not_found(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = new_id();
    for (method, path, body) in [
        (Method::GET, format!("/{id}"), json!(null)),
        (Method::GET, format!("/{id}/history"), json!(null)),
        (Method::POST, format!("/{id}/close"), json!({"reason": "x"})),
        (Method::POST, format!("/{id}/change-contact"), json!({"email": "x@exemple.fr"})),
        (Method::POST, format!("/{id}/change-address"), json!({"address": ada()["address"]})),
    ] {
        let request = TestRequest::default().method(method).uri(&format!("{CUSTOMERS}{path}"));
        send(&world, request.set_json(body)).await.problem(404, "not-found");
    }
}
