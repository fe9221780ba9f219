//! The erasure of a customer: the personal data is removed, and the log stays readable.

use actix_web::test::TestRequest;
use customers::domain::Refusal;
use database::Engine;
use kernel::execution::ExecuteError;
use kernel::keys::KeyHolder;
use kernel::seams::new_id;
use kernel::sync::{LegacyReference, LegacyState, SyncOutcome, SyncRequest};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{CUSTOMERS, ada, get, import, post, registered, send};
use crate::world::{World, request};

/// Personal data of Ada.
const DATA_OF_ADA: [&str; 4] = ["Ada Martin", "ada@exemple.fr", "rue de la Paix", "quarrelled"];

async fn erase(world: &World, id: Uuid) {
    world.customers.erase(id.into(), &request()).await.unwrap();
    world.settled(&[customers::erasure::NAME]).await;
}

/// Registers Ada with an idempotency key, and closes her with a reason that contains personal data.
async fn closed_ada(world: &World) -> Uuid {
    let keyed = TestRequest::post().uri(CUSTOMERS).insert_header(("Idempotency-Key", "ada-1"));
    let id = send(world, keyed.set_json(ada())).await.body["id"].as_str().unwrap().to_owned();
    let closed = post(world, &format!("/{id}/close"), &json!({"reason": "we quarrelled"})).await;
    assert_eq!(closed.status, 200, "{}", closed.body);
    get(world, &format!("/{id}")).await;
    id.parse().unwrap()
}

#[rstest]
#[actix_web::test]
async fn nothing_of_an_erased_customer_is_left_in_the_tables(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let bob = json!({ "kind": "person", "name": "Bob Durand", "email": "bob@exemple.fr",
        "address": { "line1": "2 rue Basse", "postal_code": "69002", "city": "Lyon", "country": "FR" } });
    registered(&world, &bob).await;
    let id = closed_ada(&world).await;
    for text in DATA_OF_ADA {
        assert!(world.tables.holds(text).await, "{text} is not in the tables before the erasure");
    }
    erase(&world, id).await;
    for text in DATA_OF_ADA {
        assert!(!world.tables.holds(text).await, "{text} is still in the tables");
    }
    assert!(world.tables.holds("Bob Durand").await);
    let holder = |purpose: &str| KeyHolder { subject: id, purpose: purpose.to_owned() };
    let codec = &world.environment.codec;
    assert!(codec.is_key_destroyed(&holder("orders")).await.unwrap());
    assert!(!codec.is_key_destroyed(&holder("billing")).await.unwrap(), "billing retains its data");
}

#[rstest]
#[actix_web::test]
async fn an_erased_customer_is_not_shown_and_takes_no_commands_and_its_history_is_readable(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = closed_ada(&world).await;
    erase(&world, id).await;
    assert_eq!(get(&world, &format!("/{id}")).await.status, 404);
    assert_eq!(get(&world, "").await.body["items"], json!([]));
    let refused = post(&world, &format!("/{id}/close"), &json!({"reason": "x"})).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.body["type"], "/problems/refused/customer-erased");

    let history = get(&world, &format!("/{id}/history")).await;
    let items = history.body["items"].as_array().unwrap().clone();
    let types: Vec<&Value> = items.iter().map(|item| &item["type"]).collect();
    assert_eq!(
        types,
        [
            "customers.CustomerRegistered.v1",
            "customers.CustomerClosed.v1",
            "customers.CustomerErased.v1"
        ]
    );
    assert_eq!(items[0]["data"]["name"], Value::Null);
    assert_eq!(items[1]["data"]["reason"], Value::Null);
}

#[rstest]
#[actix_web::test]
async fn erasing_twice_records_nothing_and_nobody_cannot_be_erased(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = closed_ada(&world).await;
    erase(&world, id).await;
    let head = world.environment.store.head().await.unwrap();
    let again = world.customers.erase(id.into(), &request()).await.unwrap();
    assert_eq!((again.recorded, again.position), (false, head));
    let error = world.customers.erase(new_id().into(), &request()).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Refused(Refusal::NoSuchCustomer)), "{error}");
}

#[rstest]
#[actix_web::test]
async fn the_address_of_an_erased_customer_is_free_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id: Uuid = registered(&world, &ada()).await.parse().unwrap();
    assert_eq!(post(&world, "", &ada()).await.status, 409);
    world.customers.erase(id.into(), &request()).await.unwrap();
    assert_eq!(world.story().await[2..], ["CustomerErased.v1", "EmailReleased.v1"]);
    assert_eq!(post(&world, "", &ada()).await.status, 201);
}

#[rstest]
#[actix_web::test]
async fn the_legacy_does_not_bring_an_erased_customer_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let world = World::new(engine).await;
    let id = new_id();
    import(&world, id, json!({ "name": "Ada Martin", "email": "ada@exemple.fr" })).await;
    erase(&world, id).await;
    let head = world.environment.store.head().await.unwrap();
    for state in [
        LegacyState::Present(json!({ "name": "Ada Martin" })),
        LegacyState::Absent { reason: "deleted".to_owned() },
    ] {
        let legacy = LegacyReference { source: "tryton".to_owned(), id: "7".to_owned() };
        let request = SyncRequest { id, legacy, state, cause: request() };
        let outcome = world.module.sync_targets[0].sync(request).await.unwrap();
        assert_eq!(outcome, SyncOutcome::Suppressed);
    }
    assert_eq!(world.environment.store.head().await.unwrap(), head);
    assert!(!world.tables.holds("Ada Martin").await);
}
