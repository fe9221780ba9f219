//! The body of an error, and its schema.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The path of a body as a whole.
pub(crate) const WHOLE_BODY: &str = ".";

/// Maximum length of `detail` or `message`, in characters: both may repeat client input.
const LONGEST_TEXT: usize = 300;

/// An invalid field or parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Its path, such as `lines[0].quantity`; `.` is the body as a whole.
    #[schema(example = "lines[0].quantity")]
    pub field: String,
    /// The error code, for programs: `required`, `unknown`, `duplicate`, `type`, `value`, `length`,
    /// `range`, `email`, … .
    #[schema(example = "value")]
    pub code: String,
    /// The error message, for display.
    #[schema(example = "expected a decimal number such as 49.90")]
    pub message: String,
}

impl FieldError {
    /// Creates the error of one field.
    pub fn new(
        field: impl Into<String>,
        code: impl Into<String>,
        message: impl AsRef<str>,
    ) -> Self {
        Self { field: field.into(), code: code.into(), message: shortened(message.as_ref()) }
    }
}

/// The body of an error (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// The kind of problem: a stable reference relative to the server's root.
    #[serde(rename = "type")]
    #[schema(example = "/problems/validation")]
    pub problem_type: String,
    /// A short summary of the kind of problem.
    #[schema(example = "Some fields are invalid")]
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    pub status: u16,
    /// The details of this occurrence.
    #[schema(example = "1 field is invalid.")]
    pub detail: String,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/api/v1/orders")]
    pub instance: Option<String>,
    /// The request's `X-Request-Id`: quote it when you report the error to the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "0190c5a4-7c1b-7def-8a55-0f4a8d3e2b10")]
    pub request_id: Option<String>,
    /// One entry per invalid field or parameter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
    /// Further members of some types, such as `expected` and `actual`.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extensions: Map<String, Value>,
}

/// Shortens a text that may repeat client input.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
