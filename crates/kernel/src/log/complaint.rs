//! What serde says is wrong with data, without the data: its texts quote what they could not read,
//! and that may be about a person.

/// The part of one of serde's texts that speaks of names and expectations only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complaint<'t> {
    /// A field is missing or not known, by its name: those are the contract's or the mapping's.
    Field(&'t str),
    /// What was expected in the place of something else.
    Expected(&'t str),
    /// Nothing of it can be repeated.
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

/// The same error without what was found.
pub(crate) fn discreet(error: &serde_json::Error) -> serde_json::Error {
    let text = error.to_string();
    serde::de::Error::custom(match Complaint::of(&text) {
        Complaint::Field(which) => which.to_owned(),
        Complaint::Expected(what) => format!("expected {what}"),
        Complaint::Other => "a value is not understood".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_was_found_is_never_told() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "never read successfully")]
        struct Person {
            name: BTreeMap<String, u8>,
            since: uuid::Uuid,
        }
        for (json, told) in [
            (r#"{"name": "Ada, expected by all"}"#, "expected a map"),
            (r#"{"name": {"Ada": 1000}}"#, "expected u8"),
            (r#"{"name": {}, "since": "Ada"}"#, "a value is not understood"),
            (r#"{"nom": 1}"#, "unknown field `nom`"),
            (r#"{"name": {}}"#, "missing field `since`"),
        ] {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let error = serde_json::from_value::<Person>(value).unwrap_err();
            assert_eq!(discreet(&error).to_string(), told, "{error}");
        }
    }
}
