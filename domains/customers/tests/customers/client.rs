//! A client of `/api/v1/customers`.

use actix_web::test::TestRequest;
use kernel::sync::{LegacyReference, LegacyState, SyncRequest};
use serde_json::{Value, json};
use testkit::{Answer, Client};
use uuid::Uuid;

use crate::world::{World, request};

pub const CUSTOMERS: &str = "/api/v1/customers";

pub async fn send(world: &World, request: TestRequest) -> Answer {
    Client::of(&world.module).send(request).await
}

pub async fn post(world: &World, path: &str, body: &Value) -> Answer {
    send(world, TestRequest::post().uri(&format!("{CUSTOMERS}{path}")).set_json(body)).await
}

/// Reads, once the read model has caught up with the log.
pub async fn get(world: &World, path: &str) -> Answer {
    let head = world.environment.store.head().await.unwrap();
    let request = TestRequest::get().uri(&format!("{CUSTOMERS}{path}"));
    send(world, request.insert_header(("Bascule-Min-Position", head.to_string()))).await
}

pub fn ada() -> Value {
    json!({
        "kind": "person", "name": "Ada Martin", "email": "ada@exemple.fr",
        "address": {
            "line1": "1 rue de la Paix", "postal_code": "75002", "city": "Paris", "country": "FR"
        }
    })
}

pub fn ada_at(email: &str) -> Value {
    let mut ada = ada();
    ada["email"] = email.into();
    ada
}

pub async fn registered(world: &World, body: &Value) -> String {
    let answer = post(world, "", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["id"].as_str().unwrap().to_owned()
}

pub async fn import(world: &World, id: Uuid, state: Value) {
    let legacy = LegacyReference { source: "tryton".to_owned(), id: "party_party/7".to_owned() };
    let state = LegacyState::Present(state);
    let request = SyncRequest { id, legacy, state, cause: request() };
    world.module.sync_targets[0].sync(request).await.unwrap();
}
