//! Forwards requests to a module that runs in another service, and returns its responses, so that
//! the public API stays complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload as Stream, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONNECTION, HeaderName, HeaderValue, VIA};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _, web};
use kernel::seams::new_id;
use reqwest::{Client, Url};
use tokio::sync::watch;

use crate::body;
use crate::context::RequestContext;
use crate::hosts::OF_THE_PAGE;
use crate::problem::{Problem, ProblemKind};

/// Time limit for connecting to the other service.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Maximum time without data from it.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Time after which idle connections are closed, before the other service may close them.
const IDLE: Duration = Duration::from_secs(4);
/// The pseudonym of this service in `Via` (RFC 9110 §7.6.3).
const PSEUDONYM: &str = "bascule";
/// The `Via` value with the protocol version.
const VIA_US: &str = "1.1 bascule";
/// Time limit for testing an address before requests go to it.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
/// Headers of a single connection (RFC 9110 §7.6.1), or created anew for the next one.
const OF_ONE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The destination of a module's requests, which may change while the server runs; `None` while this
/// process handles them.
pub type Route = watch::Receiver<Option<Url>>;

/// Forwards the requests that this process does not handle.
#[derive(Clone)]
pub struct Forwarding {
    client: Client,
    routes: Arc<BTreeMap<String, Route>>,
}

/// The address is not the base URL of an HTTP service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the address of a service: expected an address such as http://payments:8080")]
pub struct InvalidService(String);

/// Parses the address of a service: `http`, host and port only. Services do not use TLS, and neither
/// does this client.
pub fn service(address: &str) -> Result<Url, InvalidService> {
    let is_bare = |url: &Url| {
        url.scheme() == "http"
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    let url = Url::parse(address).ok().filter(is_bare);
    url.ok_or_else(|| InvalidService(database::redacted(address)))
}

impl Forwarding {
    /// Creates the forwarding for these modules, by name.
    pub fn new(routes: impl IntoIterator<Item = (String, Route)>) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(ANSWER_WITHIN)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, routes: Arc::new(routes.into_iter().collect()) })
    }

    /// Returns the module of a path, and the destination of its requests.
    fn target(&self, path: &str) -> Option<(&str, Url)> {
        let module = path.strip_prefix("/api/v1/")?.split('/').next()?;
        let (module, route) = self.routes.get_key_value(module)?;
        let target = route.borrow().clone()?;
        Some((module, target))
    }

    /// Forwards a request and streams the response back.
    async fn send(
        &self,
        request: &HttpRequest,
        stream: Stream,
        module: &str,
        target: &Url,
    ) -> Result<HttpResponse, Problem> {
        let url = onward(target, module, request)?;
        let body = body::collect(request, stream).await?;
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes());
        let mut onward = self.client.request(method.map_err(Problem::internal)?, url);
        let told = request.headers().get_all(CONNECTION).map(HeaderValue::as_bytes);
        let of_connection = named_by_connection(told);
        for (name, value) in request.headers() {
            let name_of = name.as_str();
            let is_kept = ![OF_ONE_CONNECTION, OF_THE_PAGE].concat().contains(&name_of);
            if is_kept && !of_connection.contains(name_of) {
                onward = onward.header(name.as_str(), value.as_bytes());
            }
        }
        let mut named = reqwest::header::HeaderMap::new();
        if let Some(context) = request_context(request) {
            for (name, value) in context.headers() {
                let name = reqwest::header::HeaderName::from_bytes(name.as_str().as_bytes());
                let value = reqwest::header::HeaderValue::from_bytes(value.as_bytes());
                if let (Ok(name), Ok(value)) = (name, value) {
                    named.insert(name, value);
                }
            }
        }
        named.insert("via", reqwest::header::HeaderValue::from_static(VIA_US));
        let answer = onward.headers(named).body(body).send().await;
        let answer = answer.map_err(|error| does_not_answer(module, error))?;
        let status = StatusCode::from_u16(answer.status().as_u16());
        let status = status.map_err(Problem::internal)?;
        if status.is_informational() {
            return Err(Problem::unavailable(format!(
                "The service that {module} runs in sent the unexpected status {status}."
            )));
        }
        let mut response = HttpResponse::build(status);
        let told = answer.headers().get_all("connection").iter().map(|value| value.as_bytes());
        let of_connection = named_by_connection(told);
        for (name, value) in answer.headers() {
            let name = HeaderName::from_bytes(name.as_str().as_bytes());
            let value = HeaderValue::from_bytes(value.as_bytes());
            if let (Ok(name), Ok(value)) = (name, value)
                && !OF_ONE_CONNECTION.contains(&name.as_str())
                && !of_connection.contains(name.as_str())
            {
                response.append_header((name, value));
            }
        }
        // These statuses have no body (RFC 9110 §6.4.1), not even an empty chunked one.
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(response.finish());
        }
        Ok(response.streaming(answer.bytes_stream()))
    }
}

/// Returns the destination URL of a request. Only paths of the module are forwarded: a path that
/// leaves it through `..` is rejected.
fn onward(target: &Url, module: &str, request: &HttpRequest) -> Result<Url, Problem> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let url = target.join(path).map_err(Problem::internal)?;
    let of_module = url.path().strip_prefix("/api/v1/").and_then(|path| path.split('/').next());
    if of_module == Some(module) {
        return Ok(url);
    }
    Err(Problem::not_found(format!("The module {module} has no such path.")))
}

/// Returns the headers that the sender declares as specific to its connection (RFC 9110 §7.6.1).
fn named_by_connection<'v>(told: impl Iterator<Item = &'v [u8]>) -> BTreeSet<String> {
    let named = told.filter_map(|value| std::str::from_utf8(value).ok());
    named.flat_map(|names| names.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// Why requests cannot be forwarded to an address.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The address does not respond.
    #[error("no response from {0}")]
    Silent(Url, #[source] reqwest::Error),
    /// Another kind of service responds.
    #[error(
        "the service at {0} is not a bascule API ({1}): check that it is the address of its `listen`"
    )]
    Foreign(Url, reqwest::StatusCode),
}

/// Checks that a bascule API responds at an address, by reading the events of a correlation id that
/// does not exist.
pub async fn reach(target: &Url) -> Result<(), Unreachable> {
    let silent = |error: reqwest::Error| Unreachable::Silent(target.clone(), error.without_url());
    let client = Client::builder().timeout(REACHED_WITHIN).no_proxy().build().map_err(silent)?;
    let path = format!("/api/v1/correlations/{}", new_id());
    let url = target.join(&path).unwrap_or_else(|_| target.clone());
    let asked = client.get(url).header("via", VIA_US).send().await.map_err(silent)?;
    let status = asked.status();
    match asked.json::<serde_json::Value>().await {
        Ok(answer) if status.is_success() && answer.get("items").is_some() => Ok(()),
        _ => Err(Unreachable::Foreign(target.clone(), status)),
    }
}

fn request_context(request: &HttpRequest) -> Option<RequestContext> {
    request.extensions().get::<RequestContext>().cloned()
}

fn does_not_answer(module: &str, error: reqwest::Error) -> Problem {
    let detail = format!(
        "The service that {module} runs in does not respond. Retry; repeat a change with the same \
         Idempotency-Key."
    );
    Problem::new(ProblemKind::Unavailable, detail).retry_after(1).with_source(error.into())
}

/// Returns whether the request was already forwarded once: it is never forwarded again, so that two
/// services that disagree about a module's location do not forward it in circles.
fn was_forwarded(request: &ServiceRequest) -> bool {
    request.headers().get_all(VIA).any(|via| {
        via.to_str().is_ok_and(|via| via.split_whitespace().any(|word| word == PSEUDONYM))
    })
}

/// Forwards a request to the service that handles its module, unless this process does. For
/// [`actix_web::middleware::from_fn`].
pub async fn forward<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let forwarding = request.app_data::<web::Data<Forwarding>>().cloned();
    let target = forwarding.as_ref().and_then(|forwarding| forwarding.target(request.path()));
    let (Some(forwarding), Some((module, target)), false) =
        (&forwarding, target, was_forwarded(&request))
    else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let stream = request.take_payload();
    let sent = forwarding.send(request.request(), stream, module, &target).await;
    let response = sent.unwrap_or_else(|problem| problem.error_response());
    Ok(request.into_response(response))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::{named_by_connection, onward, service};

    #[test]
    fn what_is_about_the_callers_connection_is_not_sent_on() {
        let request = TestRequest::default()
            .append_header(("Connection", "keep-alive, X-Hop"))
            .append_header(("Connection", "x-other"))
            .to_http_request();
        let told = request.headers().get_all("Connection").map(|value| value.as_bytes());
        let named: Vec<String> = named_by_connection(told).into_iter().collect();
        assert_eq!(named, ["keep-alive", "x-hop", "x-other"]);
    }

    #[test]
    fn only_what_is_the_modules_is_asked_for() {
        let target = service("http://payments:8080").unwrap();
        let asked =
            |uri: &str| onward(&target, "payments", &TestRequest::with_uri(uri).to_http_request());
        for path in ["/api/v1/payments", "/api/v1/payments/7?a=/..", "/api/v1/payments/a/../b"] {
            assert!(asked(path).is_ok(), "{path}");
        }
        for path in [
            "/api/v1/payments/../orders",
            "/api/v1/payments/%2e%2e/%2E./../docs/",
            "/api/v1/payments/..\\..\\..\\docs/",
            "/api/v1/payments/..",
        ] {
            assert!(asked(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_service_is_scheme_host_and_port() {
        for right in ["http://payments:8080", "http://payments.example.org/", "http://[::1]:1"] {
            assert!(service(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "payments",
            "payments:8080",
            "https://x",
            "http://a/b",
            "http://a?b",
            "http://u:p@a",
        ] {
            assert!(service(wrong).is_err(), "{wrong}");
        }
    }
}
