//! Reads over HTTP, and the OpenAPI description of the routes.

use actix_web::App;
use actix_web::test::TestRequest;
use database::Engine;
use kernel::seams::new_id;
use rstest::rstest;
use serde_json::json;
use utoipa_actix_web::AppExt as _;
use uuid::Uuid;

use crate::client::{CUSTOMERS, ada, ada_at, get, import, post, registered, send};
use crate::world::World;

#[rstest]
#[actix_web::test]
async fn what_the_legacy_owns_is_shown_but_not_changed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = Uuid::from_u128(7);
    import(&world, id, json!({"kind": "company", "name": "Bocage", "flags": ["email_missing"]}))
        .await;
    let view = get(&world, &format!("/{id}")).await.body;
    assert_eq!(view["owner"], "legacy");
    assert_eq!(
        view["legacy"],
        json!({"source": "tryton", "id": "party_party/7", "flags": ["email_missing"]})
    );
    for (action, body) in [
        ("change-contact", json!({"email": "b@exemple.fr"})),
        ("change-address", json!({"address": ada()["address"]})),
        ("close", json!({"reason": "moved away"})),
    ] {
        let answer = post(&world, &format!("/{id}/{action}"), &body).await;
        answer.problem(409, "owned-by-legacy");
    }
}

#[rstest]
#[actix_web::test]
async fn customers_are_listed_newest_first_in_pages(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(registered(&world, &ada_at(&format!("c{number}@exemple.fr"))).await);
    }
    ids.reverse();
    let mut listed = Vec::new();
    let mut path = "?limit=2&status=open".to_owned();
    for expected in [2, 2, 1] {
        let page = get(&world, &path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let items = page.body["items"].as_array().unwrap();
        assert_eq!(items.len(), expected);
        listed.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let is_last = expected == 1;
        assert_eq!(page.headers.contains_key("link"), !is_last);
        if !is_last {
            let link = page.header("link");
            let next = link.trim_start_matches('<').split('>').next().unwrap();
            path = next.trim_start_matches(CUSTOMERS).to_owned();
        }
    }
    assert_eq!(listed, ids);
}

#[rstest]
#[actix_web::test]
async fn lists_are_filtered(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let world = World::new(engine).await;
    let ada = registered(&world, &ada()).await;
    let imported = Uuid::from_u128(7);
    let state = json!({"kind": "company", "status": "closed", "email": "Ada@Exemple.fr"});
    import(&world, imported, state).await;
    let imported = imported.to_string();
    for (filter, expected) in [
        ("", vec![&imported, &ada]),
        ("?status=closed", vec![&imported]),
        ("?kind=person", vec![&ada]),
        ("?owner=legacy", vec![&imported]),
        ("?legacy_id=party_party/7", vec![&imported]),
        ("?legacy_id=party_party/8", vec![]),
        ("?email=ADA@exemple.fr", vec![&imported, &ada]),
        ("?email=ada@exemple.fr&owner=bascule", vec![&ada]),
        ("?email=bob@exemple.fr", vec![]),
    ] {
        let page = get(&world, filter).await;
        let items = page.body["items"].as_array().unwrap();
        let found: Vec<_> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{filter}");
    }
    for refused in [
        "?status=shut",
        "?name=Ada",
        "?limit=0",
        "?cursor=x",
        "?email=",
        "?legacy_id=",
        "?legacy_id=a%00",
    ] {
        get(&world, refused).await.problem(400, "invalid-parameter");
    }
}

#[rstest]
#[actix_web::test]
async fn a_history_tells_what_happened_and_in_the_course_of_what(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = registered(&world, &ada()).await;
    let correlation = new_id().to_string();
    let request = TestRequest::post()
        .uri(&format!("{CUSTOMERS}/{id}/close"))
        .insert_header(("X-Request-Id", correlation.as_str()))
        .set_json(json!({"reason": "moved away"}));
    assert_eq!(send(&world, request).await.status, 200);

    let history = get(&world, &format!("/{id}/history")).await.body;
    let items = history["items"].as_array().unwrap();
    let types: Vec<_> = items.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["customers.CustomerRegistered.v1", "customers.CustomerClosed.v1"]);
    assert_eq!(items[0]["data"]["name"], "Ada Martin");
    assert_eq!(items[1]["correlation_id"], correlation.as_str());
}

#[test]
fn routes_describe_themselves_without_a_store() {
    let app = App::new().into_utoipa_app().configure(customers::routes);
    let document = serde_json::to_value(app.split_for_parts().1).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut operations: Vec<_> = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    operations.sort_unstable();
    assert_eq!(
        operations,
        [
            "change_customer_address",
            "change_customer_contact",
            "close_customer",
            "get_customer",
            "get_customer_history",
            "list_customers",
            "register_customer",
        ]
    );
    let schemas = &document["components"]["schemas"];
    let email = &schemas["RegisterCustomer"]["properties"]["email"];
    assert_eq!(email["$ref"], "#/components/schemas/Email");
    let email = &schemas["Email"];
    assert_eq!((&email["format"], &email["maxLength"]), (&json!("email"), &json!(254)));
    let required = &document["components"]["schemas"]["ChangeContact"]["required"];
    assert_eq!(required, &json!(["email"]));
}
