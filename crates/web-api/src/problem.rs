//! Errors as clients receive them: `application/problem+json` (RFC 9457).
//!
//! Use the constructor for the situation. The internal cause is kept as the source: it goes to the
//! log, never to the client.

mod convert;
mod document;
mod kind;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use actix_web::{HttpResponse, ResponseError};
use kernel::admission::Backlogged;
use kernel::event::{Position, Revision};
use kernel::execution::ExpectedAt;
use kernel::store::BoxError;
use serde_json::{Map, Value};

pub(crate) use self::document::WHOLE_BODY;
use self::document::shortened;
pub use self::document::{FieldError, ProblemDocument};
pub use self::kind::ProblemKind;

/// The media type of RFC 9457.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error with its HTTP response.
pub struct Problem(Box<Inner>);

struct Inner {
    kind: ProblemKind,
    document: ProblemDocument,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<BoxError>,
}

impl Problem {
    /// Creates a problem of a kind.
    pub fn new(kind: ProblemKind, detail: impl AsRef<str>) -> Self {
        Self(Box::new(Inner {
            kind,
            document: ProblemDocument {
                problem_type: kind.problem_type().to_owned(),
                title: kind.title().to_owned(),
                status: kind.status().as_u16(),
                detail: shortened(detail.as_ref()),
                instance: None,
                request_id: None,
                errors: Vec::new(),
                extensions: Map::new(),
            },
            headers: Vec::new(),
            source: None,
        }))
    }

    /// The body is not JSON (400).
    pub fn malformed_json(detail: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::MalformedJson, detail)
    }

    /// A parameter of the path, the query or a header is invalid (400).
    pub fn invalid_parameter(error: FieldError) -> Self {
        Self::new(
            ProblemKind::InvalidParameter,
            format!("The parameter {} is invalid: {}.", error.field, error.message),
        )
        .with_errors(vec![error])
    }

    /// Fields of the body are invalid (422).
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.field == WHOLE_BODY => format!("The body is invalid: {}.", one.message),
            [one] => format!("The field {} is invalid: {}.", one.field, one.message),
            several => format!("{} fields are invalid.", several.len()),
        };
        Self::new(ProblemKind::Validation, detail).with_errors(errors)
    }

    /// One field of the body is invalid (422).
    pub fn invalid_field(
        field: impl Into<String>,
        code: impl Into<String>,
        message: impl AsRef<str>,
    ) -> Self {
        Self::validation(vec![FieldError::new(field, code, message)])
    }

    /// The resource does not exist (404).
    pub fn not_found(detail: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    /// A business rule forbids the command: 409, `/problems/refused/<code>`. The code is in
    /// kebab-case and stable.
    pub fn refused(code: &'static str, detail: impl AsRef<str>) -> Self {
        let mut problem = Self::new(ProblemKind::Refused, detail);
        problem.0.document.problem_type = format!("{}/{code}", ProblemKind::Refused.problem_type());
        problem
    }

    /// A refusal that no route can provoke: only a policy, a reactor or an import issues such a
    /// command. If it reaches a client, it is a defect (500); the log has the refusal.
    pub fn unexpected_refusal(refusal: impl Into<BoxError>) -> Self {
        Self::internal(UnexpectedRefusal(refusal.into()))
    }

    /// The legacy system owns the resource (409).
    pub fn owned_by_legacy(detail: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::OwnedByLegacy, detail)
    }

    /// The resource is at another revision (412). The member `expected` is a number, or a list if
    /// the request has several or none.
    pub fn precondition_failed(expected: &ExpectedAt, actual: Option<Revision>) -> Self {
        let found = actual.map_or("none".to_owned(), |actual| actual.to_string());
        let detail = if expected.revisions().is_empty() {
            format!(
                "No entity tag in If-Match can match: weak tags (W/\"…\") never match, and tags of other \
                 servers contain no revision. Send the ETag of a response unchanged, without W/. Found: \
                 {found}."
            )
        } else {
            format!("Expected {expected}, found {found}.")
        };
        Self::new(ProblemKind::PreconditionFailed, detail)
            .with(
                "expected",
                match expected.revisions() {
                    [one] => Value::from(*one),
                    several => Value::from(several),
                },
            )
            .with("actual", actual)
    }

    /// The caller's position is beyond the end of the log (412): the log was replaced or restored,
    /// or the position is invalid. Waiting would not help.
    pub fn beyond_the_log(position: Position, head: Position) -> Self {
        Self::new(
            ProblemKind::PreconditionFailed,
            format!("The log ends at position {head}, before position {position}."),
        )
        .with("expected", position)
        .with("actual", head)
    }

    /// The caller's event is no longer in the log (412): the log went back to an earlier state
    /// since. Data that the caller read before may not exist any more.
    pub fn not_in_the_log(position: Position) -> Self {
        Self::new(
            ProblemKind::PreconditionFailed,
            format!(
                "The log has another event at position {position}: it went back to an earlier state. Read again without Bascule-Min-Position."
            ),
        )
        .with("expected", position)
    }

    /// The body is larger than `limit` bytes (413).
    pub fn payload_too_large(limit: usize) -> Self {
        Self::new(ProblemKind::PayloadTooLarge, format!("The limit is {limit} bytes."))
            .with("limit", limit)
    }

    /// The body is of another media type (415).
    pub fn unsupported_media_type(detail: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::UnsupportedMediaType, detail)
    }

    /// The idempotency key was used for another request (422).
    pub fn idempotency_mismatch() -> Self {
        Self::new(
            ProblemKind::IdempotencyMismatch,
            "This Idempotency-Key came with another method, path or body before. Use a new key.",
        )
    }

    /// The requested position is not visible yet (503).
    pub fn stale_read(position: u64) -> Self {
        Self::new(ProblemKind::StaleRead, format!("Position {position} is not visible yet. Retry."))
            .retry_after(1)
    }

    /// The server has too many requests at once (503).
    pub fn overloaded(detail: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::Overloaded, detail).retry_after(1)
    }

    /// The backlog is too old (503).
    pub fn backlog(refused: Backlogged) -> Self {
        let detail = format!("Retry in {} s.", refused.retry_after);
        let seconds = u16::try_from(refused.retry_after).unwrap_or(u16::MAX);
        Self::new(ProblemKind::Backlog, detail).retry_after(seconds)
    }

    /// A dependency of the server is unavailable (503). The source goes to the log.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::new(ProblemKind::Unavailable, "Retry later.")
            .retry_after(2)
            .with_source(source.into())
    }

    /// A defect (500). The source goes to the log, not to the client.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::new(ProblemKind::Internal, "The details are in the server's log.")
            .with_source(source.into())
    }

    /// No operation has this path (404).
    pub fn no_such_route() -> Self {
        Self::new(ProblemKind::NoSuchRoute, "See /openapi.json for the available paths.")
    }

    /// The path has no operation with this method (405).
    pub fn method_not_allowed(allowed: &str) -> Self {
        let problem = Self::new(ProblemKind::MethodNotAllowed, format!("Allowed: {allowed}."));
        match HeaderValue::from_str(allowed) {
            Ok(value) => problem.with_header(ALLOW, value),
            Err(_) => problem,
        }
    }

    /// Replaces the status, if a module has a reason.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.document.status = status.as_u16();
        self
    }

    /// Adds entries for fields.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.document.errors = errors;
        self
    }

    /// Adds an extension member.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.document.extensions.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(crate) fn retry_after(self, seconds: u16) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(crate) fn with_source(mut self, source: BoxError) -> Self {
        self.0.source = Some(source);
        self
    }

    /// Returns the problem's kind.
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// Returns the body.
    pub fn document(&self) -> &ProblemDocument {
        &self.0.document
    }

    /// Returns the internal cause, for the log.
    pub fn source(&self) -> Option<&BoxError> {
        self.0.source.as_ref()
    }

    /// Returns the response to a request.
    pub(crate) fn answer(&self, instance: Option<&str>, request_id: Option<&str>) -> HttpResponse {
        let mut document = self.0.document.clone();
        document.instance = instance.map(str::to_owned);
        document.request_id = request_id.map(str::to_owned);
        respond(&document, self.0.headers.iter().cloned())
    }
}

/// The log entry of a refusal that no route can provoke.
#[derive(Debug, thiserror::Error)]
#[error("a route caused a refusal that no route should provoke")]
struct UnexpectedRefusal(#[source] BoxError);

/// A response with a problem's document.
fn respond(
    document: &ProblemDocument,
    headers: impl Iterator<Item = (HeaderName, HeaderValue)>,
) -> HttpResponse {
    let status = StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for header in headers {
        response.append_header(header);
    }
    response.insert_header((CONTENT_TYPE, MEDIA_TYPE));
    // A document of texts and JSON values always serialises.
    response.body(serde_json::to_vec(document).unwrap_or_default())
}

/// Returns the response to an error of the framework: a problem with the same status and headers.
pub(crate) fn answer_for_status(
    status: StatusCode,
    headers: &HeaderMap,
    instance: &str,
    request_id: &str,
) -> HttpResponse {
    let kind = ProblemKind::ALL.into_iter().find(|kind| kind.status() == status);
    let title = status.canonical_reason().unwrap_or("The request failed");
    let document = ProblemDocument {
        problem_type: kind.map_or("about:blank", ProblemKind::problem_type).to_owned(),
        title: kind.map_or(title, ProblemKind::title).to_owned(),
        status: status.as_u16(),
        detail: format!("{title}."),
        instance: Some(instance.to_owned()),
        request_id: Some(request_id.to_owned()),
        errors: Vec::new(),
        extensions: Map::new(),
    };
    let kept = [ALLOW, RETRY_AFTER]
        .into_iter()
        .filter_map(|name| headers.get(&name).map(|value| (name, value.clone())));
    respond(&document, kept.collect::<Vec<_>>().into_iter())
}

impl fmt::Debug for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Problem")
            .field("document", &self.0.document)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.document.title, self.0.document.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.answer(None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpected_refusal_is_told_to_the_log_only() {
        let problem = Problem::unexpected_refusal("the order is not the legacy system's");
        assert_eq!(problem.status_code(), StatusCode::INTERNAL_SERVER_ERROR);
        let shown = serde_json::to_string(problem.document()).unwrap();
        assert!(!shown.contains("legacy"), "{shown}");
        let refusal = problem.source().unwrap().source().unwrap();
        assert_eq!(refusal.to_string(), "the order is not the legacy system's");
    }
}
