//! A client of modules' routes, mounted as in the server.

use std::net::SocketAddr;
use std::rc::Rc;

use actix_web::App;
use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use module::{Configure, OpenModule};
use serde_json::Value;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt as _;
use uuid::Uuid;
use web_api::Hosts;

/// A client of a module's routes, which are mounted again for each request.
pub struct Client(Configure);

impl Client {
    /// Returns a client of this module.
    pub fn of(module: &OpenModule) -> Self {
        Self(Configure::clone(&module.configure))
    }

    /// Sends a request and returns the response.
    pub async fn send(&self, request: TestRequest) -> Answer {
        Mounted::of([&self.0]).await.send(request).await
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(TestRequest::get().uri(path)).await
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(TestRequest::post().uri(path).set_json(body)).await
    }

    /// Sends a POST without a body.
    pub async fn act(&self, path: &str) -> Answer {
        self.send(TestRequest::post().uri(path)).await
    }
}

/// The routes of several modules, mounted once for many requests.
pub struct Mounted {
    /// The OpenAPI document of the routes.
    pub document: OpenApi,
    send: Box<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Answer>>,
}

impl Mounted {
    /// Mounts the routes.
    pub async fn of<'a>(routes: impl IntoIterator<Item = &'a Configure>) -> Self {
        let app = routes.into_iter().fold(App::new().into_utoipa_app(), |app, configure| {
            app.configure(|config| configure(config))
        });
        let (app, document) = app.split_for_parts();
        let hosts = Hosts::of(SocketAddr::from(([127, 0, 0, 1], 80)), &[]);
        let service = Rc::new(init_service(web_api::finish(app, &document, &hosts)).await);
        let send = Box::new(move |request: TestRequest| {
            let service = Rc::clone(&service);
            let sending = async move {
                Answer::read(call_service(&*service, request.to_request()).await).await
            };
            sending.boxed_local()
        });
        Self { document, send }
    }

    /// Sends a request and returns the response. Several may be in flight.
    pub async fn send(&self, request: TestRequest) -> Answer {
        (self.send)(request).await
    }
}

/// A response.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null if it has none.
    pub body: Value,
}

impl Answer {
    async fn read(response: ServiceResponse<impl MessageBody>) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read_body(response).await;
        let body =
            if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Self { status, headers, body }
    }

    /// Returns a header, which must be present.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let Some(value) = self.headers.get(name) else {
            panic!("no {name}: {} {}", self.status, self.body)
        };
        value.to_str().unwrap()
    }

    /// Returns the id of the resource in the response.
    #[track_caller]
    pub fn id(&self) -> Uuid {
        self.body["id"].as_str().unwrap().parse().unwrap()
    }

    /// Returns the ids of a list.
    #[track_caller]
    pub fn ids(&self) -> Vec<Uuid> {
        let items = self.body["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Returns the fields of a problem's errors, each once.
    pub fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let mut fields: Vec<_> =
            errors.iter().filter_map(|error| error["field"].as_str()).collect();
        fields.dedup();
        fields
    }

    /// Returns the response, which must have this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Returns the response, which must be a problem of this type with the content type problem+json.
    #[track_caller]
    pub fn problem(self, status: u16, kind: &str) -> Self {
        assert_eq!(self.body["type"], format!("/problems/{kind}"), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        self.is(status)
    }
}
