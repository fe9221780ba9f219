//! Every kind of problem the API answers with, in one table: documentation is made from it.

use actix_web::http::StatusCode;

/// A kind of problem. Its `type` is stable: clients may decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The body is not JSON, or not complete.
    MalformedJson,
    /// A parameter of the path, the query or a header cannot be understood.
    InvalidParameter,
    /// Fields of the body are missing, unknown, of another type or out of range.
    Validation,
    /// The caller does not say who they are, or not rightly.
    Unauthorized,
    /// Nobody may do this here.
    Forbidden,
    /// There is no such resource.
    NotFound,
    /// No operation has this path.
    NoSuchRoute,
    /// The path has no operation with this method; `Allow` has those it has.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// A rule of the business forbids it. The `type` ends with the rule: `/problems/refused/<code>`.
    Refused,
    /// The same thing is being worked on already.
    Busy,
    /// The legacy system owns the resource; it is changed there.
    OwnedByLegacy,
    /// The resource is not at the revision that `If-Match` names, or the log has not come as far as
    /// `Bascule-Min-Position` says.
    PreconditionFailed,
    /// The body is larger than what is accepted.
    PayloadTooLarge,
    /// The body is not `application/json`, or is encoded in a way that is not accepted.
    UnsupportedMediaType,
    /// The `Idempotency-Key` was used for another request.
    IdempotencyMismatch,
    /// The `cursor` belongs to another list: its sort or its filters are others.
    CursorMismatch,
    /// What `Bascule-Min-Position` asks for is not visible yet. Try again.
    StaleRead,
    /// Too much is being asked at once. Try again.
    Overloaded,
    /// Earlier orders still wait for their turn: nothing new is begun until they are handled. Try again
    /// after `Retry-After`.
    Backlog,
    /// Something the server needs does not answer. Try again.
    Unavailable,
    /// A defect of the server. The log has the details, under the answer's `request_id`.
    Internal,
}

impl ProblemKind {
    /// All of them, in the order of their status.
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

    /// The `type`: a reference relative to the server's root (RFC 9457 §3.1.1). It identifies; it
    /// need not be retrieved.
    pub fn problem_type(self) -> &'static str {
        self.row().0
    }

    /// The status it is answered with, unless the module says otherwise.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// What it is, in a few words; the same for every occurrence.
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
                ("/problems/unauthorized", S::UNAUTHORIZED, "Who asks is not known")
            }
            Self::Forbidden => ("/problems/forbidden", S::FORBIDDEN, "This is not allowed here"),
            Self::NotFound => ("/problems/not-found", S::NOT_FOUND, "There is no such resource"),
            Self::NoSuchRoute => {
                ("/problems/no-such-route", S::NOT_FOUND, "No operation has this path")
            }
            Self::MethodNotAllowed => (
                "/problems/method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "The path has no such method",
            ),
            Self::RequestTimeout => {
                ("/problems/request-timeout", S::REQUEST_TIMEOUT, "The body did not arrive in time")
            }
            Self::Refused => {
                ("/problems/refused", S::CONFLICT, "A rule of the business forbids it")
            }
            Self::Busy => {
                ("/problems/busy", S::CONFLICT, "The same thing is being worked on already")
            }
            Self::OwnedByLegacy => (
                "/problems/owned-by-legacy",
                S::CONFLICT,
                "The resource is owned by the legacy system",
            ),
            Self::PreconditionFailed => (
                "/problems/precondition-failed",
                S::PRECONDITION_FAILED,
                "A precondition of the request does not hold",
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
                "What is asked for is not visible yet",
            ),
            Self::Overloaded => {
                ("/problems/overloaded", S::SERVICE_UNAVAILABLE, "The server is overloaded")
            }
            Self::Backlog => (
                "/problems/backlog",
                S::SERVICE_UNAVAILABLE,
                "Earlier orders still wait for their turn",
            ),
            Self::Unavailable => (
                "/problems/unavailable",
                S::SERVICE_UNAVAILABLE,
                "Something the server needs does not answer",
            ),
            Self::Internal => ("/problems/internal", S::INTERNAL_SERVER_ERROR, "The server failed"),
        }
    }
}
