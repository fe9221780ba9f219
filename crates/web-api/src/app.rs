//! Wraps every handler: request context, span, metrics, the host and origin check, and problems for
//! requests without a handler.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpMessage as _, HttpRequest, web};
use kernel::outage::{Outage, milliseconds, with_sources};
use tracing::Instrument as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

use crate::context::RequestContext;
use crate::hosts::{Hosts, guard};
use crate::problem::{Problem, answer_for_status};

/// Completes an application after all routes are added: gives every request its context, span and
/// metrics, and answers unknown paths and methods with problems.
///
/// `document` describes the routes and provides the methods for 405 and `Allow`. `hosts` determines
/// which requests the listener accepts.
pub fn finish<T, B>(
    app: App<T>,
    document: &OpenApi,
    hosts: &Arc<Hosts>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    > + use<T, B>,
>
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let methods = Arc::new(AllowedMethods::of(document));
    let fallback = web::to(move |request: HttpRequest| {
        let problem = methods.problem(&request);
        async move { Err::<&'static str, _>(problem) }
    });
    let hosts = Arc::clone(hosts);
    let guarded = from_fn(move |request, next| guard(Arc::clone(&hosts), request, next));
    app.wrap(guarded).wrap(from_fn(surround)).default_service(fallback)
}

/// The methods of each path, by its pattern.
struct AllowedMethods(BTreeMap<String, String>);

impl AllowedMethods {
    fn of(document: &OpenApi) -> Self {
        let methods = |item: &PathItem| {
            let operations = [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("PATCH", &item.patch),
                ("DELETE", &item.delete),
            ];
            let there = operations.into_iter().filter(|(_, operation)| operation.is_some());
            there.map(|(method, _)| method).collect::<Vec<_>>().join(", ")
        };
        let paths = document.paths.paths.iter();
        Self(paths.map(|(pattern, item)| (pattern.clone(), methods(item))).collect())
    }

    /// Returns the problem of a request without a handler.
    fn problem(&self, request: &HttpRequest) -> Problem {
        match request.match_pattern().and_then(|pattern| self.0.get(&pattern)) {
            Some(allowed) => Problem::method_not_allowed(allowed),
            None => Problem::no_such_route(),
        }
    }
}

async fn surround<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let context = RequestContext::of(request.headers());
    let method = method_name(request.method());
    if request.method() == Method::HEAD {
        // HEAD is handled as GET; the server omits the body (RFC 9110 §9.3.2).
        request.head_mut().method = Method::GET;
    }
    let route = request.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let span = tracing::info_span!(
        "request",
        correlation_id = %context.correlation_id,
        request_id = %context.request_id,
        method,
        route,
    );
    request.extensions_mut().insert(context.clone());
    async {
        let mut response = as_problem(next.call(request).await?, &context);
        for (name, value) in context.headers() {
            response.headers_mut().insert(name, value);
        }
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        tracing::debug!(status, elapsed_ms = milliseconds(elapsed), "answered");
        let labels = [("method", method.to_owned()), ("route", route.clone())];
        metrics::histogram!("http_request_duration_seconds", &labels).record(elapsed.as_secs_f64());
        let [method, route] = labels;
        let labels = [method, route, ("status", status.to_string())];
        metrics::counter!("http_requests_total", &labels).increment(1);
        Ok(response)
    }
    .instrument(span)
    .await
}

/// Returns the response unchanged, or as a problem if it is an error.
fn as_problem<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
    context: &RequestContext,
) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let path = response.request().path().to_owned();
    let error = response.response().error();
    let is_bare = status.is_client_error() || status.is_server_error();
    let is_bare =
        is_bare && matches!(response.response().body().size(), BodySize::Sized(0) | BodySize::None);
    let answer = match error.and_then(|error| error.as_error::<Problem>()) {
        Some(problem) => {
            log(problem);
            problem.answer(Some(&path), Some(&context.request_id))
        }
        None if error.is_some() || is_bare => {
            if let Some(error) = error.filter(|_| status.is_server_error()) {
                tracing::error!(%error, "internal server error");
            }
            let headers: &HeaderMap = response.headers();
            answer_for_status(status, headers, &path, &context.request_id)
        }
        None => {
            FAILING.ends_if_quiet();
            return response.map_into_boxed_body();
        }
    };
    response.into_response(answer)
}

/// Requests that fail because a dependency is unavailable. `http_requests_total` counts each of them
/// by status.
static FAILING: Outage =
    Outage::new("requests_failed", "requests fail because a dependency is unavailable");

/// Logs the details that the client does not receive.
fn log(problem: &Problem) {
    let Some(source) = problem.source() else {
        return;
    };
    let error: &(dyn std::error::Error + 'static) = &**source;
    if problem.document().status == 500 {
        tracing::error!(error = with_sources(error), "internal server error");
    } else {
        FAILING.occurs("", error);
    }
}

/// Methods are free text: metrics distinguish only the common ones, so that their number stays
/// bounded.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
