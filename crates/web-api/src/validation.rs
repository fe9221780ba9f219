//! Converts the errors of serde and validator to entries that name the field.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use validator::{Validate, ValidationError, ValidationErrors, ValidationErrorsKind};

use crate::field::reading;
use crate::problem::{FieldError, Problem, WHOLE_BODY};

/// Parses an object from JSON text: 400 if the text is not JSON, 422 if it is not a valid object.
pub(crate) fn from_json<T: DeserializeOwned + Validate>(text: &[u8]) -> Result<T, Problem> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        // serde would accept an array as an object, field by field.
        let IgnoredAny = serde_json::from_slice(text).map_err(|error| malformed(&error))?;
        return Err(Problem::invalid_field(WHOLE_BODY, "type", "expected a JSON object"));
    }
    let (read, entries) = reading::read(|| {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let value = serde_path_to_error::deserialize(&mut deserializer)?;
        Ok((value, deserializer.end()))
    });
    let value = match read {
        Ok((value, end)) => {
            end.map_err(|error| malformed(&error))?;
            Ok(value)
        }
        Err(error) if error.inner().is_data() => {
            Err(field_error(&error.path().to_string(), &without_place(error.inner())))
        }
        Err(error) => return Err(malformed(error.inner())),
    };
    valid(value, entries).map_err(Problem::validation)
}

/// Returns a parsed value if it is valid, otherwise an entry for each invalid field in the order of
/// their paths. `entries` are those of the fields that were invalid when parsed.
pub(crate) fn valid<T: Validate>(
    value: Result<T, FieldError>,
    mut entries: Vec<FieldError>,
) -> Result<T, Vec<FieldError>> {
    let errors = match value {
        Ok(value) => match value.validate() {
            Ok(()) if entries.is_empty() => return Ok(value),
            Ok(()) => Vec::new(),
            Err(errors) => field_errors(&errors),
        },
        Err(error) => vec![error],
    };
    entries.extend(errors);
    entries.sort_by_cached_key(|entry| place(&entry.field));
    // If parsing stopped at an invalid field, the field already has its entry.
    entries
        .dedup_by(|second, first| second.field == first.field && second.message == first.message);
    Err(entries)
}

/// Returns the sort key of a path: `lines[10]` comes after `lines[9]`.
fn place(path: &str) -> Vec<(String, Option<usize>)> {
    let segment = |segment: &str| match segment.split_once('[') {
        Some((name, index)) => (name.to_owned(), index.trim_end_matches(']').parse().ok()),
        None => (segment.to_owned(), None),
    };
    path.split('.').map(segment).collect()
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::malformed_json(format!("The body is not JSON: {error}."))
}

/// Returns serde_json's message without "at line 1 column 7": the field's path is more useful.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).map_or(message.clone(), str::to_owned)
}

/// Returns the entry for serde's message about a path. serde has no error codes, but its messages
/// have fixed beginnings (`serde::de::Error`).
pub(crate) fn field_error(path: &str, message: &str) -> FieldError {
    let quoted = || message.split('`').nth(1).unwrap_or_default();
    let code = match message {
        m if m.starts_with("missing field") => {
            return FieldError::new(join(path, quoted()), "required", "this field is required");
        }
        m if m.starts_with("unknown field") => {
            let path =
                if ends_with(path, quoted()) { path.to_owned() } else { join(path, quoted()) };
            return FieldError::new(path, "unknown", message);
        }
        m if m.starts_with("duplicate field") => {
            let path =
                if ends_with(path, quoted()) { path.to_owned() } else { join(path, quoted()) };
            return FieldError::new(path, "duplicate", "this field is given twice");
        }
        m if m.starts_with("invalid type") => "type",
        m if m.starts_with("invalid length") => "length",
        _ => "value",
    };
    FieldError::new(if path.is_empty() { WHOLE_BODY } else { path }, code, message)
}

fn ends_with(path: &str, field: &str) -> bool {
    path == field || path.strip_suffix(field).is_some_and(|rest| rest.ends_with('.'))
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() || path == WHOLE_BODY { field.to_owned() } else { format!("{path}.{field}") }
}

/// Returns the entries for validator's errors, in the order of their paths.
fn field_errors(errors: &ValidationErrors) -> Vec<FieldError> {
    let mut entries = Vec::new();
    collect(errors, "", &mut entries);
    entries
}

fn collect(errors: &ValidationErrors, path: &str, entries: &mut Vec<FieldError>) {
    let sorted: BTreeMap<_, _> = errors.errors().iter().collect();
    for (field, kind) in sorted {
        // `__all__` is validator's name for a struct as a whole; `_tmp_validator` is its wrapper
        // around the errors of a list that is validated by itself.
        let field = match field.as_ref() {
            "__all__" | "_tmp_validator" => path.to_owned(),
            field => join(path, field.trim_start_matches("r#")),
        };
        match kind {
            ValidationErrorsKind::Field(errors) => {
                let field = if field.is_empty() { WHOLE_BODY } else { &field };
                entries.extend(errors.iter().map(|error| entry(field, error)));
            }
            ValidationErrorsKind::Struct(errors) => collect(errors, &field, entries),
            ValidationErrorsKind::List(items) => {
                for (index, errors) in items {
                    collect(errors, &format!("{field}[{index}]"), entries);
                }
            }
        }
    }
}

fn entry(field: &str, error: &ValidationError) -> FieldError {
    let message = match &error.message {
        Some(message) => message.to_string(),
        None => bounds(error),
    };
    FieldError::new(field, error.code.as_ref(), message)
}

/// Returns the message for a built-in validator.
fn bounds(error: &ValidationError) -> String {
    let bound = |name: &str| error.params.get(name).map(ToString::to_string);
    let what = match error.code.as_ref() {
        "length" => "a length",
        "range" => "a value",
        "email" => return "expected an e-mail address".to_owned(),
        "url" => return "expected a URL".to_owned(),
        "required" => return "this field is required".to_owned(),
        code => return format!("violates the rule `{code}`"),
    };
    match (bound("equal"), bound("min"), bound("max")) {
        (Some(equal), ..) => format!("expected {what} of exactly {equal}"),
        (_, Some(min), Some(max)) => format!("expected {what} from {min} to {max}"),
        (_, Some(min), None) => format!("expected {what} of at least {min}"),
        (_, None, Some(max)) => format!("expected {what} of at most {max}"),
        _ => format!("expected {what} within bounds"),
    }
}
