//! A client of `/api/v1/customers`.

use actix_web::App;
use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use kernel::sync::{LegacyReference, LegacyState, SyncRequest};
use serde_json::{Value, json};
use utoipa_actix_web::AppExt as _;
use uuid::Uuid;

use crate::harness::{Running, request};

pub const CUSTOMERS: &str = "/api/v1/customers";

/// An answer, read.
pub struct Answer {
    pub status: u16,
    pub headers: actix_web::http::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn refused(&self, status: u16, problem_type: &str) -> &Self {
        assert_eq!((self.status, &self.body["type"]), (status, &json!(problem_type)));
        assert_eq!(self.header("content-type"), "application/problem+json");
        self
    }

    /// The fields that errors are about.
    pub fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let mut fields: Vec<_> =
            errors.iter().filter_map(|error| error["field"].as_str()).collect();
        fields.dedup();
        fields
    }
}

pub async fn send(running: &Running, request: TestRequest) -> Answer {
    let configure = running.module.configure.clone();
    let app = App::new().into_utoipa_app().configure(|config| configure(config));
    let (app, document) = app.split_for_parts();
    let app = init_service(http::finish(app, &document)).await;
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = if status == 304 { Value::Null } else { read_body_json(response).await };
    Answer { status, headers, body }
}

pub async fn post(running: &Running, path: &str, body: &Value) -> Answer {
    send(running, TestRequest::post().uri(&format!("{CUSTOMERS}{path}")).set_json(body)).await
}

/// Reads once everything in the log is shown.
pub async fn get(running: &Running, path: &str) -> Answer {
    let head = running.environment.store.head().await.unwrap();
    let request = TestRequest::get().uri(&format!("{CUSTOMERS}{path}"));
    send(running, request.insert_header(("Bascule-Min-Position", head.to_string()))).await
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

pub async fn registered(running: &Running, body: &Value) -> String {
    let answer = post(running, "", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["id"].as_str().unwrap().to_owned()
}

pub async fn import(running: &Running, id: Uuid, state: Value) {
    let legacy = LegacyReference { source: "tryton".to_owned(), id: "party_party/7".to_owned() };
    let state = LegacyState::Present(state);
    let request = SyncRequest { id, legacy, state, cause: request() };
    running.module.sync_targets[0].sync(request).await.unwrap();
}
