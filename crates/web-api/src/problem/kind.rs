//! All kinds of problems of the API, in one table; the documentation is generated from it.

use actix_web::http::StatusCode;

/// A kind of problem. Its `type` is stable: clients may branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The body is not JSON, or incomplete.
    MalformedJson,
    /// A parameter of the path, the query or a header is invalid.
    InvalidParameter,
    /// Fields of the body are missing, unknown, of another type or out of range.
    Validation,
    /// Authentication required: the credentials are missing or invalid.
    Unauthorized,
    /// The request is not allowed, with any credentials.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// No operation has this path.
    NoSuchRoute,
    /// The path has no operation with this method; `Allow` lists the available ones.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// A business rule forbids the command. The `type` ends with the rule:
    /// `/problems/refused/<code>`.
    Refused,
    /// The same operation is already in progress.
    Busy,
    /// The legacy system owns the resource; it is changed there.
    OwnedByLegacy,
    /// The resource is not at the revision in `If-Match`, or the log does not contain the position
    /// in `Bascule-Min-Position`.
    PreconditionFailed,
    /// The body exceeds the size limit.
    PayloadTooLarge,
    /// The body is not `application/json`, or has an unsupported encoding.
    UnsupportedMediaType,
    /// The `Idempotency-Key` was used for another request.
    IdempotencyMismatch,
    /// The `cursor` belongs to a list with another sort or other filters.
    CursorMismatch,
    /// The position in `Bascule-Min-Position` is not visible yet. Retry.
    StaleRead,
    /// The server has too many requests at once. Retry.
    Overloaded,
    /// The backlog of earlier orders is too old: new orders are rejected until it is shorter. Retry
    /// after `Retry-After`.
    Backlog,
    /// A dependency of the server does not respond. Retry.
    Unavailable,
    /// A defect of the server. The log has the details under the response's `request_id`.
    Internal,
}

impl ProblemKind {
    /// All kinds, in the order of their status.
    pub const ALL: [Self; 22] = [
        Self::MalformedJson,
        Self::InvalidParameter,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::NoSuchRoute,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Refused,
        Self::Busy,
        Self::OwnedByLegacy,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::Validation,
        Self::IdempotencyMismatch,
        Self::CursorMismatch,
        Self::Internal,
        Self::StaleRead,
        Self::Overloaded,
        Self::Backlog,
        Self::Unavailable,
    ];

    /// Returns the `type`: a reference relative to the server's root (RFC 9457 §3.1.1). It is an
    /// identifier and need not be retrievable.
    pub fn problem_type(self) -> &'static str {
        self.row().0
    }

    /// Returns the default status.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// Returns a short summary, the same for every occurrence.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::MalformedJson => {
                ("/problems/malformed-json", S::BAD_REQUEST, "The body is not valid JSON")
            }
            Self::InvalidParameter => {
                ("/problems/invalid-parameter", S::BAD_REQUEST, "A parameter is invalid")
            }
            Self::Validation => {
                ("/problems/validation", S::UNPROCESSABLE_ENTITY, "Some fields are invalid")
            }
            Self::Unauthorized => {
                ("/problems/unauthorized", S::UNAUTHORIZED, "Authentication required")
            }
            Self::Forbidden => ("/problems/forbidden", S::FORBIDDEN, "The request is not allowed"),
            Self::NotFound => ("/problems/not-found", S::NOT_FOUND, "The resource does not exist"),
            Self::NoSuchRoute => {
                ("/problems/no-such-route", S::NOT_FOUND, "No operation has this path")
            }
            Self::MethodNotAllowed => (
                "/problems/method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "The path does not support this method",
            ),
            Self::RequestTimeout => {
                ("/problems/request-timeout", S::REQUEST_TIMEOUT, "The body did not arrive in time")
            }
            Self::Refused => {
                ("/problems/refused", S::CONFLICT, "A business rule forbids the command")
            }
            Self::Busy => {
                ("/problems/busy", S::CONFLICT, "The same operation is already in progress")
            }
            Self::OwnedByLegacy => (
                "/problems/owned-by-legacy",
                S::CONFLICT,
                "The resource is owned by the legacy system",
            ),
            Self::PreconditionFailed => (
                "/problems/precondition-failed",
                S::PRECONDITION_FAILED,
                "A precondition of the request is not met",
            ),
            Self::PayloadTooLarge => {
                ("/problems/payload-too-large", S::PAYLOAD_TOO_LARGE, "The body is too large")
            }
            Self::UnsupportedMediaType => (
                "/problems/unsupported-media-type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The body's media type is not supported",
            ),
            Self::IdempotencyMismatch => (
                "/problems/idempotency-mismatch",
                S::UNPROCESSABLE_ENTITY,
                "The idempotency key was used for another request",
            ),
            Self::CursorMismatch => (
                "/problems/cursor-mismatch",
                S::UNPROCESSABLE_ENTITY,
                "The cursor belongs to another list",
            ),
            Self::StaleRead => (
                "/problems/stale-read",
                S::SERVICE_UNAVAILABLE,
                "The requested position is not visible yet",
            ),
            Self::Overloaded => {
                ("/problems/overloaded", S::SERVICE_UNAVAILABLE, "The server is overloaded")
            }
            Self::Backlog => (
                "/problems/backlog",
                S::SERVICE_UNAVAILABLE,
                "The backlog of earlier orders is too old",
            ),
            Self::Unavailable => (
                "/problems/unavailable",
                S::SERVICE_UNAVAILABLE,
                "A dependency of the server does not respond",
            ),
            Self::Internal => {
                ("/problems/internal", S::INTERNAL_SERVER_ERROR, "Internal server error")
            }
        }
    }
}
