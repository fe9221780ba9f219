//! The host names that a listener accepts, and the origins whose pages may send requests to it.
//!
//! A page in a browser can reach every address that its user can reach. Two checks keep it from
//! acting on the user's behalf:
//!
//! - **Host.** A site may let its own name resolve to this machine (DNS rebinding); its pages then
//!   have the same origin. A listener on a loopback address accepts only loopback names and configured
//!   names. Any other listener accepts every name unless names are configured.
//! - **Origin.** A request from a page of another origin is rejected, whatever its method: by
//!   `Sec-Fetch-Site`, and by `Origin` if the browser omits that
//!   (<https://www.w3.org/TR/fetch-metadata/>, <https://fetch.spec.whatwg.org/#origin-header>).
//!   Following a link is allowed: the linking page cannot read the response.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use actix_web::middleware::Next;
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, ProblemKind};

/// Headers that identify the page that sent a request. The first service checks them; a forwarded
/// request does not carry them.
pub(crate) const OF_THE_PAGE: &[&str] =
    &["origin", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user"];

/// A host name or an IP address, without a port. Case-insensitive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// The error for a text that is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a host name: expected a name or an IP address, without scheme and port, such as \
     shop.example"
)]
pub struct InvalidHostName(String);

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        let is_name = |text: &str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            (1..=253).contains(&text.len()) && text.bytes().all(is_part)
        };
        let unbracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        match unbracketed.unwrap_or(text).parse::<IpAddr>() {
            Ok(address) => Ok(Self(address.to_string())),
            Err(_) if is_name(text) => Ok(Self(without_final_dot(text).to_ascii_lowercase())),
            Err(_) => Err(InvalidHostName(text.to_owned())),
        }
    }
}

impl TryFrom<String> for HostName {
    type Error = InvalidHostName;

    fn try_from(text: String) -> Result<Self, InvalidHostName> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Removes the final dot: `shop.example.` is the fully qualified form of `shop.example` (RFC 3986
/// §3.2.2).
fn without_final_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// The hosts that one listener accepts.
#[derive(Debug, Clone)]
pub struct Hosts {
    is_loopback: bool,
    allowed: Vec<HostName>,
}

impl Hosts {
    /// Creates the hosts of a listener. `allowed` are additional names under which it is reached,
    /// and whose pages may send requests to it.
    pub fn of(listener: SocketAddr, allowed: &[HostName]) -> Arc<Self> {
        Arc::new(Self { is_loopback: listener.ip().is_loopback(), allowed: allowed.to_vec() })
    }

    /// Rejects a request with another host, or from a page of another origin.
    fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or(""));
        let (host, origin) = (text(HOST), text(ORIGIN));
        if let Some(host) = host.filter(|host| !self.answers_to(host)) {
            return Err(foreign_host(host));
        }
        if self.is_cross_site(method, headers, host, origin) {
            return Err(foreign_page(origin));
        }
        Ok(())
    }

    /// Returns whether the listener accepts a `Host` header. Browsers always send one.
    fn answers_to(&self, host: &str) -> bool {
        let Ok(name) = without_port(host).parse::<HostName>() else {
            return false;
        };
        if self.allowed.contains(&name) || name.0 == "localhost" {
            return true;
        }
        match name.0.parse::<IpAddr>() {
            // No name server controls an address, so DNS rebinding does not apply. Probes are sent
            // to addresses.
            Ok(address) => !self.is_loopback || address.is_loopback(),
            Err(_) => !self.is_loopback && self.allowed.is_empty(),
        }
    }

    fn is_cross_site(
        &self,
        method: &Method,
        headers: &HeaderMap,
        host: Option<&str>,
        origin: Option<&str>,
    ) -> bool {
        let header = |name| headers.get(name).map(HeaderValue::as_bytes);
        let authority = origin.map(|origin| authority_of(origin).unwrap_or_default());
        let is_allowed = authority.is_some_and(|authority| {
            without_port(authority).parse().is_ok_and(|name| self.allowed.contains(&name))
        });
        if is_allowed {
            return false;
        }
        match header("Sec-Fetch-Site") {
            Some(b"same-origin" | b"none") => false,
            Some(_) => {
                let is_link = method.is_safe()
                    && header("Sec-Fetch-Mode") == Some(b"navigate")
                    && header("Sec-Fetch-Dest") == Some(b"document");
                !is_link
            }
            None => authority.is_some_and(|authority| host != Some(authority)),
        }
    }
}

/// Returns the host of a `Host` header, without its port (RFC 9110 §7.2).
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Returns host and port of an `Origin` header; `None` if it is opaque. The scheme is not compared,
/// because a proxy may terminate TLS for this server.
fn authority_of(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

fn foreign_host(host: &str) -> Problem {
    let detail = format!(
        "This server does not accept the host `{host}`. If clients reach it under that name, \
         add the name to `allowed_hosts` in the configuration, or to BASCULE_ALLOWED_HOSTS."
    );
    Problem::new(ProblemKind::Forbidden, detail)
}

fn foreign_page(origin: Option<&str>) -> Problem {
    let origin = origin.map(|origin| format!(" ({origin})")).unwrap_or_default();
    let detail = format!(
        "A page of another origin{origin} sent this request. If its pages may use this server, add \
         its host name to `allowed_hosts` in the configuration, or to BASCULE_ALLOWED_HOSTS."
    );
    Problem::new(ProblemKind::Forbidden, detail)
}

/// Handles a request unless it has another host or comes from a page of another origin.
pub(crate) async fn guard<B: MessageBody + 'static>(
    hosts: Arc<Hosts>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match hosts.check(request.method(), request.headers()) {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Err(problem) => Ok(request.error_response(problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listener: &str, allowed: &[&str]) -> Arc<Hosts> {
        let allowed: Vec<HostName> = allowed.iter().map(|name| name.parse().unwrap()).collect();
        Hosts::of(listener.parse().unwrap(), &allowed)
    }

    fn is_taken(hosts: &Hosts, method: &Method, headers: &[(&str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.parse().unwrap(), value.parse().unwrap());
        }
        hosts.check(method, &map).is_ok()
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_are_answered_to() {
        for listener in ["127.0.0.1:8080", "[::1]:8080"] {
            let plain = hosts(listener, &[]);
            let behind_a_proxy = hosts(listener, &["Shop.Example"]);
            for (host, expected, expected_behind) in [
                ("localhost:9090", true, true),
                ("LOCALHOST", true, true),
                ("127.0.0.1:9090", true, true),
                ("127.0.0.1", true, true),
                ("[::1]:9090", true, true),
                ("[::1]", true, true),
                ("shop.example", false, true),
                ("SHOP.example.:8443", false, true),
                ("evil.example:9090", false, false),
                ("shop.example.evil.example", false, false),
                ("localhost.evil.example", false, false),
                ("192.0.2.1:9090", false, false),
                ("user@localhost", false, false),
                ("", false, false),
            ] {
                let headers = [("host", host)];
                assert_eq!(is_taken(&plain, &Method::GET, &headers), expected, "{host}");
                assert_eq!(is_taken(&behind_a_proxy, &Method::GET, &headers), expected_behind);
            }
            assert!(is_taken(&plain, &Method::GET, &[]), "HTTP/1.0 has no Host");
        }
    }

    #[test]
    fn off_loopback_probes_by_address_go_on_working() {
        let (open, closed) = (hosts("0.0.0.0:80", &[]), hosts("0.0.0.0:80", &["shop.example"]));
        for (host, expected, expected_closed) in [
            ("10.1.2.3:8080", true, true),
            ("[2001:db8::1]:8080", true, true),
            ("localhost:8080", true, true),
            ("shop.example", true, true),
            ("bascule.default.svc", true, false),
        ] {
            assert_eq!(is_taken(&open, &Method::GET, &[("host", host)]), expected, "{host}");
            assert_eq!(is_taken(&closed, &Method::GET, &[("host", host)]), expected_closed);
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let hosts = hosts("127.0.0.1:9090", &["front.example"]);
        let host = ("host", "localhost:9090");
        for method in [Method::GET, Method::POST, Method::DELETE] {
            for (site, expected) in
                [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)]
            {
                let headers = [host, ("sec-fetch-site", site)];
                assert_eq!(is_taken(&hosts, &method, &headers), expected, "{site}");
            }
            for (origin, expected) in [
                ("http://localhost:9090", true),
                ("https://localhost:9090", true),
                ("http://localhost:3000", false),
                ("http://evil.example", false),
                ("null", false),
                ("", false),
                ("https://front.example", true),
            ] {
                let headers = [host, ("origin", origin)];
                assert_eq!(is_taken(&hosts, &method, &headers), expected, "{origin}");
            }
        }
        // Behind a proxy that replaces Host with its own name, the browser's Sec-Fetch-Site decides.
        let headers =
            [host, ("sec-fetch-site", "same-origin"), ("origin", "https://other.example")];
        assert!(is_taken(&hosts, &Method::POST, &headers));
    }

    #[test]
    fn a_link_may_be_followed_and_a_form_may_not_be_sent() {
        let hosts = hosts("127.0.0.1:8080", &[]);
        let navigation = |destination| {
            [
                ("host", "127.0.0.1:8080"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", destination),
            ]
        };
        assert!(is_taken(&hosts, &Method::GET, &navigation("document")));
        assert!(!is_taken(&hosts, &Method::POST, &navigation("document")));
        assert!(!is_taken(&hosts, &Method::GET, &navigation("iframe")));
    }

    #[test]
    fn a_host_name_has_no_scheme_and_no_port() {
        for wrong in ["", "http://shop.example", "shop.example:80", "shop example", "*"] {
            assert!(wrong.parse::<HostName>().is_err(), "{wrong}");
        }
        assert_eq!("[::1]".parse::<HostName>().unwrap().to_string(), "::1");
    }
}
