//! Extracts the safe part of serde's error texts: they quote the value that failed to parse, which
//! may be personal data.

/// The part of a serde error text that contains only names and expectations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complaint<'t> {
    /// The name of a missing or unknown field: field names come from the contract or the mapping,
    /// not from the data.
    Field(&'t str),
    /// The type that serde expected.
    Expected(&'t str),
    /// No part of the text is safe to repeat.
    Other,
}

impl<'t> Complaint<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        for kind in ["unknown field `", "missing field `"] {
            if let Some(length) = text.strip_prefix(kind).and_then(|rest| rest.find('`')) {
                return Self::Field(&text[..=kind.len() + length]);
            }
        }
        match text.rsplit_once(", expected ") {
            Some((_, expected)) => Self::Expected(expected),
            None => Self::Other,
        }
    }
}

/// Returns the same error without the quoted value.
pub(crate) fn discreet(error: &serde_json::Error) -> serde_json::Error {
    let text = error.to_string();
    serde::de::Error::custom(match Complaint::of(&text) {
        Complaint::Field(which) => which.to_owned(),
        Complaint::Expected(what) => format!("expected {what}"),
        Complaint::Other => "cannot read a value".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_quoted_value_is_removed() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "never read successfully")]
        struct Person {
            name: BTreeMap<String, u8>,
            since: uuid::Uuid,
        }
        for (json, expected) in [
            (r#"{"name": "Ada, expected by all"}"#, "expected a map"),
            (r#"{"name": {"Ada": 1000}}"#, "expected u8"),
            (r#"{"name": {}, "since": "Ada"}"#, "cannot read a value"),
            (r#"{"nom": 1}"#, "unknown field `nom`"),
            (r#"{"name": {}}"#, "missing field `since`"),
        ] {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let error = serde_json::from_value::<Person>(value).unwrap_err();
            assert_eq!(discreet(&error).to_string(), expected, "{error}");
        }
    }
}
