//! Parses the state that a mapping's program returns. A value may be personal data, so no error text
//! ever quotes one.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::SyncError;
use crate::log::complaint::Complaint;

/// Parses the state that a mapping's program returned. An error names the path and what was expected
/// there, never the value found.
pub fn understand<S: DeserializeOwned>(state: &Value) -> Result<S, SyncError> {
    // serde would accept a list as the fields in their order.
    if !state.is_object() {
        return Err(SyncError::NotUnderstood("the state is not an object".to_owned()));
    }
    let read = serde_path_to_error::deserialize(state).map_err(|error| {
        let path = error.path().to_string();
        SyncError::NotUnderstood(explain(&path, &error.inner().to_string()))
    })?;
    // Every name in its path is a known field.
    if let Some(path) = nul_in(state) {
        let text = format!("`{path}` contains a NUL character, which texts must not contain");
        return Err(SyncError::NotUnderstood(text));
    }
    Ok(read)
}

/// Returns the path of the first text that contains a NUL character: PostgreSQL cannot store one, so
/// the event could be recorded but never shown.
fn nul_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(format!("[{index}]{}", below(nul_in(item)?)))),
        Value::Object(members) => members
            .iter()
            .find_map(|(name, member)| Some(format!("{name}{}", below(nul_in(member)?)))),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Returns the rest of a path after a member's name.
fn below(path: String) -> String {
    if path.is_empty() || path.starts_with('[') { path } else { format!(".{path}") }
}

/// Names the wrong field and what was expected, never the value found.
fn explain(path: &str, problem: &str) -> String {
    if let Some(rest) = problem.strip_prefix(UNKNOWN)
        && let Some((name, fields)) = rest.rsplit_once(", expected ")
    {
        return unknown(path, name.trim_end_matches('`'), fields);
    }
    match Complaint::of(problem) {
        Complaint::Field(which) => format!("{which} at `{path}`"),
        Complaint::Expected(what) => format!("`{path}` is invalid: expected {what}"),
        Complaint::Other if NO_TIME.contains(&problem) => format!(
            "`{path}` is invalid: expected a day such as 2008-02-29, or an instant such as \
             2008-02-29T12:00:00Z"
        ),
        Complaint::Other => format!("`{path}` is invalid"),
    }
}

/// chrono's error texts for invalid dates and times.
const NO_TIME: &[&str] = &[
    "input is out of range",
    "no possible date and time matching input",
    "input is not enough for unique date and time",
    "input contains invalid characters",
    "premature end of input",
    "trailing input",
];

/// The start of serde's text for an unknown field.
const UNKNOWN: &str = "unknown field `";

/// A program may turn data into field names, so a name is shown only if it is probably a misspelt
/// one.
fn unknown(path: &str, name: &str, fields: &str) -> String {
    let expected = fields.split('`').skip(1).step_by(2);
    if expected.into_iter().any(|field| is_misspelt(name, field)) {
        return format!("{UNKNOWN}{name}` at `{path}`, expected {fields}");
    }
    let within = path.strip_suffix(name).unwrap_or_default().trim_end_matches('.');
    let place = if within.is_empty() { "the state".to_owned() } else { format!("`{within}`") };
    format!("{place} holds a field that is not known, expected {fields}")
}

/// Returns whether the names differ by at most one inserted, deleted or replaced letter per three.
fn is_misspelt(name: &str, field: &str) -> bool {
    let most = name.chars().count().min(field.chars().count()) / 3;
    strsim::levenshtein(name, field) <= most
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;
    use serde::Deserialize;
    use serde_json::json;

    use super::super::Patch;
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Ship {
        name: Patch<String>,
        kind: Patch<Kind>,
        crew: Patch<Vec<Sailor>>,
        launched: Patch<chrono::NaiveDate>,

        note: Patch<Value>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Barge,
        Brig,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sailor {
        share: Decimal,
    }

    #[track_caller]
    fn complaint(state: &Value) -> String {
        understand::<Ship>(state).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (state, said) in [
            (
                json!({ "nam": "Ada" }),
                "unknown field `nam` at `nam`, expected one of `name`, `kind`, `crew`, `launched`, `note`",
            ),
            (
                json!({ "ok": 1 }),
                "the state holds a field that is not known, expected one of `name`, `kind`, `crew`, `launched`, `note`",
            ),
            (
                json!({ "crew": [{ "share": "1", "Ada Martin": 1 }] }),
                "`crew[0]` holds a field that is not known, expected `share`",
            ),
            (json!({ "name": 17 }), "`name` is invalid: expected a string"),
            (json!({ "kind": "Ada" }), "`kind` is invalid: expected `barge` or `brig`"),
            (json!({ "crew": [{}] }), "missing field `share` at `crew[0]`"),
            (
                json!({ "launched": "29/02/2008" }),
                "`launched` is invalid: expected a day such as 2008-02-29, or an instant such \
                 as 2008-02-29T12:00:00Z",
            ),
            (json!("Ada"), "the state is not an object"),
            (json!(["Ada"]), "the state is not an object"),
        ] {
            assert_eq!(complaint(&state), said);
        }
    }

    #[test]
    fn no_value_is_quoted_whatever_it_says() {
        for value in ["Ada", "Ada, expected Ada", "unknown field `Ada`", "`Ada`"] {
            for state in [
                json!({ "name": [value] }),
                json!({ "kind": value }),
                json!({ "crew": value }),
                json!({ "launched": value }),
                json!({ "crew": [{ "share": value }] }),
                json!({ value: 1 }),
                json!({ "crew": [{ value: "\0" }] }),
                json!({ format!("{value}\0"): 1 }),
            ] {
                let text = complaint(&state);
                assert!(!text.contains("Ada"), "{text:?} quotes a value");
            }
        }
    }

    #[test]
    fn a_nul_character_is_named_with_its_field() {
        for (state, path) in [
            (json!({ "name": "a\0b" }), "name"),
            (json!({ "note": ["", { "of": "\0" }] }), "note[1].of"),
        ] {
            let said = format!("`{path}` contains a NUL character, which texts must not contain");
            assert_eq!(complaint(&state), said);
        }
    }

    #[test]
    fn a_number_keeps_its_decimals_written_as_text_or_not() {
        for (share, read) in [(json!("0.50"), "0.50"), (json!(0.5), "0.5")] {
            let sailor: Sailor = understand(&json!({ "share": share })).unwrap();
            assert_eq!(sailor.share.to_string(), read);
        }
    }
}
