//! The context of a request: request id, correlation id, trace context, principal.

use std::future::{Ready, ready};

use actix_web::dev::Payload as Stream;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use kernel::execution::Cause;
use kernel::seams::new_id;
use uuid::Uuid;

use crate::problem::Problem;

/// Identifies a request, in requests and responses. A request without a valid id receives a new one.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Identifies the chain of events that a request starts, in responses.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("bascule-correlation-id");
/// W3C trace context, in requests and responses (<https://www.w3.org/TR/trace-context/>).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Maximum length of a request id that is accepted.
const LONGEST_REQUEST_ID: usize = 128;

/// The metadata of a request. An extractor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The caller's `X-Request-Id`, or a new one.
    pub request_id: String,
    /// The request id if it is a UUID, otherwise a new one.
    pub correlation_id: Uuid,
    /// The caller's trace with a new span, or a new trace.
    pub traceparent: String,
    /// The principal that sent the request.
    pub principal: String,
}

impl RequestContext {
    /// Reads the headers of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| {
            let mut values = headers.get_all(name);
            let value = values.next()?.to_str().ok()?;
            values.next().is_none().then_some(value)
        };
        let request_id = text(&X_REQUEST_ID).filter(|id| is_request_id(id));
        let correlation_id = request_id.and_then(|id| id.parse().ok()).unwrap_or_else(new_id);
        Self {
            request_id: request_id.map_or_else(|| correlation_id.to_string(), str::to_owned),
            correlation_id,
            traceparent: continued(text(&TRACEPARENT)),
            principal: principal(headers),
        }
    }

    /// Returns the cause of the events that follow from this request.
    pub fn cause(&self) -> Cause {
        let mut cause = Cause::request(self.correlation_id, self.principal.clone());
        cause.traceparent = Some(self.traceparent.clone());
        cause
    }

    /// Returns the headers that identify this request: every response carries them, and so does the
    /// forwarded request to another service.
    pub(crate) fn headers(&self) -> [(HeaderName, HeaderValue); 3] {
        // All three are visible ASCII: checked above or generated here.
        let value = |text: &str| {
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
        };
        [
            (X_REQUEST_ID, value(&self.request_id)),
            (CORRELATION_ID, value(&self.correlation_id.to_string())),
            (TRACEPARENT, value(&self.traceparent)),
        ]
    }
}

/// Returns the principal. Authentication will be added here and nowhere else.
fn principal(_headers: &HeaderMap) -> String {
    "anonymous".to_owned()
}

fn is_request_id(id: &str) -> bool {
    (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns the trace of a `traceparent` with a new span id, or a new, unsampled trace.
fn continued(traceparent: Option<&str>) -> String {
    let span = hex::encode(&new_id().as_bytes()[8..]);
    match traceparent.and_then(trace_of) {
        Some((trace, flags)) => format!("00-{trace}-{span}-{flags}"),
        None => format!("00-{}-{span}-00", new_id().simple()),
    }
}

/// Returns trace id and flags of a valid `traceparent` (W3C Trace Context §3.2.2), the only parts
/// that later versions guarantee.
fn trace_of(traceparent: &str) -> Option<(&str, &str)> {
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length: usize| is_hex(text, length) && text.bytes().any(|b| b != b'0');
    let mut parts = traceparent.splitn(5, '-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_complete = version != "00" || parts.next().is_none();
    let is_valid = is_hex(version, 2)
        && version != "ff"
        && is_complete
        && is_id(trace, 32)
        && is_id(span, 16)
        && is_hex(flags, 2);
    is_valid.then_some((trace, flags))
}

impl FromRequest for RequestContext {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Stream) -> Self::Future {
        let known = request.extensions().get::<Self>().cloned();
        ready(Ok(known.unwrap_or_else(|| Self::of(request.headers()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> RequestContext {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        RequestContext::of(&headers)
    }

    #[test]
    fn a_uuid_as_request_id_is_the_correlation_id() {
        let id = "0190c5a4-7c1b-7def-8a55-0f4a8d3e2b10";
        let context = with(X_REQUEST_ID, id);
        assert_eq!(context.request_id, id);
        assert_eq!(context.correlation_id.to_string(), id);
        let context = with(X_REQUEST_ID, "call-7");
        assert_eq!(context.request_id, "call-7");
        assert_eq!(context.correlation_id.get_version_num(), 7);
    }

    #[test]
    fn an_unusable_request_id_is_replaced() {
        let too_long: &'static str = Box::leak("x".repeat(129).into_boxed_str());
        for id in ["", "two words", "tab\there", too_long] {
            let context = with(X_REQUEST_ID, id);
            assert_eq!(context.request_id, context.correlation_id.to_string(), "{id}");
        }
    }

    #[test]
    fn a_trace_goes_on_with_a_new_span() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let ours = with(TRACEPARENT, parent).traceparent;
        assert_eq!(&ours[..36], &parent[..36]);
        assert_ne!(&ours[36..52], &parent[36..52]);
        assert_eq!(&ours[52..], "-01");
        assert!(trace_of(&ours).is_some());
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(&with(TRACEPARENT, later).traceparent[..36], &parent[..36]);
    }

    #[test]
    fn an_invalid_trace_is_replaced() {
        for parent in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            let ours = with(TRACEPARENT, parent).traceparent;
            assert!(trace_of(&ours).is_some(), "{ours}");
            assert!(!ours.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{parent}");
        }
    }
}
