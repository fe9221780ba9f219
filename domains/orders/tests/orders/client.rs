//! A client of the module's routes.

use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, call_service, read_body};
use customers_contract::{CustomerKind, CustomerRegistered};
use kernel::seams::new_id;
use orders::projections::CustomerEvent;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::World;

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    pub fn id(&self) -> Uuid {
        self.body["id"].as_str().unwrap().parse().unwrap()
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// A problem of this type, with problem+json around it.
    #[track_caller]
    pub fn problem(self, status: u16, kind: &str) -> Self {
        assert_eq!(self.body["type"], format!("/problems/{kind}"), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        self.is(status)
    }
}

/// A client of the module's routes.
macro_rules! client {
    ($world:expr) => {{
        let configure = std::sync::Arc::clone(&$world.module.configure);
        let app = utoipa_actix_web::AppExt::into_utoipa_app(actix_web::App::new());
        let app = app.configure(|config| configure(config));
        let (app, document) = app.split_for_parts();
        let service = actix_web::test::init_service(http::finish(app, &document)).await;
        $crate::client::Client { service, request: actix_web::test::TestRequest::to_request }
    }};
}

pub(crate) use client;

/// `R` is actix's request, whose name is not exported.
pub struct Client<S, R> {
    pub service: S,
    pub request: fn(TestRequest) -> R,
}

impl<S, R> Client<S, R>
where
    S: Service<R, Response = ServiceResponse<BoxBody>, Error = actix_web::Error>,
{
    pub async fn send(&self, request: TestRequest) -> Answer {
        let response = call_service(&self.service, (self.request)(request)).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read_body(response).await;
        let body =
            if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Answer { status, headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(TestRequest::get().uri(path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(TestRequest::post().uri(path).set_json(body)).await
    }

    pub async fn act(&self, id: Uuid, action: &str) -> Answer {
        self.send(TestRequest::post().uri(&format!("/api/v1/orders/{id}/{action}"))).await
    }

    pub async fn place(&self, customer_id: Uuid) -> Answer {
        self.post("/api/v1/orders", order_of(customer_id)).await
    }

    /// The order as it is after another answer.
    pub async fn order_after(&self, answer: &Answer) -> Answer {
        let path = format!("/api/v1/orders/{}", answer.id());
        let position = answer.header("bascule-position").to_owned();
        let request =
            TestRequest::get().uri(&path).insert_header(("Bascule-Min-Position", position));
        self.send(request).await.is(200)
    }
}

pub fn order_of(customer_id: Uuid) -> Value {
    json!({
        "customer_id": customer_id,
        "currency": "EUR",
        "payment_method": "sandbox:ok",
        "lines": [{ "sku": "CH-1", "description": "Chaise", "quantity": "2", "unit_price": "49.90", "vat_rate": "20" }]
    })
}

pub async fn customer(world: &World) -> Uuid {
    let customer_id = new_id();
    let registered = CustomerRegistered {
        customer_id,
        kind: CustomerKind::Person,
        name: "Ada Martin".to_owned().into(),
        email: "ada@exemple.fr".to_owned().into(),
        phone: None,
        address: customers_contract::Address::default().into(),
        vat_number: None,
    };
    world.happened("customer", customer_id, CustomerEvent::from(registered)).await;
    customer_id
}
