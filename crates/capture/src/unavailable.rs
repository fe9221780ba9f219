//! The placeholder that Debezium writes for a value that an update did not change and the log does not
//! repeat: a text, or the connector's conversion of that text to another type (its class
//! `UnchangedToastedPlaceholder`).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use serde_json::Value;
use uuid::Builder;

/// The forms of the placeholder.
#[derive(Debug, Clone)]
pub(crate) struct Placeholder {
    /// As texts: the text itself, its bytes in base64 and hexadecimal, its UUID.
    texts: Vec<String>,
    /// The same as written in JSON.
    quoted: Vec<String>,
    /// The bytes of the text as numbers, for arrays of numbers.
    numbers: Vec<u8>,
    /// The beginnings of those texts, up to the first character that JSON may escape.
    marks: Vec<String>,
}

impl Placeholder {
    pub(crate) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        // As Java's `UUID.nameUUIDFromBytes`, which has no namespace.
        let uuid = Builder::from_md5_bytes(Md5::digest(bytes).into()).into_uuid();
        let pair = serde_json::json!({ text: text }).to_string();
        let texts = [
            text.to_owned(),
            BASE64_STANDARD.encode(bytes),
            hex::encode(bytes),
            uuid.to_string(),
            // An hstore that is written as text.
            pair,
        ];
        let numbers = bytes.to_vec();
        let plain = |text: &String| -> String {
            text.chars()
                .take_while(|one| one.is_ascii_alphanumeric() || "_-+/ ".contains(*one))
                .collect()
        };
        // An empty beginning matches every text: then each value is checked.
        let marks = texts[..4].iter().map(plain).collect();
        let quoted = texts.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
        Self { texts: texts.into(), quoted, numbers, marks }
    }

    /// Returns whether a JSON text may contain the placeholder, as a quick test.
    pub(crate) fn may_stand_in(&self, raw: &str) -> bool {
        if raw.starts_with('"') {
            return self.quoted.iter().any(|form| form == raw);
        }
        if raw.starts_with('[') && raw.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
            return true;
        }
        self.marks.iter().any(|mark| raw.contains(mark.as_str()))
    }

    /// Returns whether a value, or a part of it, is the placeholder: the record does not contain the
    /// value.
    pub(crate) fn stands_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.texts.iter().any(|form| form == text),
            Value::Array(items) => {
                self.is_in_numbers(items) || items.iter().any(|item| self.stands_in(item))
            }
            Value::Object(members) => members.values().any(|member| self.stands_in(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn is_in_numbers(&self, items: &[Value]) -> bool {
        let same = |(item, byte): (&Value, &u8)| item.as_f64() == Some(f64::from(*byte));
        items.len() == self.numbers.len() && items.iter().zip(&self.numbers).all(same)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Kinds: `debezium/debezium#4136`, `#4137`, `#4778`, `#7815`.
    #[test]
    fn a_value_that_is_not_repeated_is_recognised_in_every_type() {
        let text = "__debezium_unavailable_value";
        let placeholder = Placeholder::new(text);
        let numbers: Vec<i64> = text.bytes().map(i64::from).collect();
        for value in [
            json!(text),
            json!("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="),
            json!("5f5f646562657a69756d5f756e617661696c61626c655f76616c7565"),
            json!([text]),
            json!(["X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="]),
            json!(["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]),
            json!(numbers),
            json!({ text: text }),
            json!("{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}"),
            json!({ "wkb": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", "srid": null }),
        ] {
            assert!(placeholder.stands_in(&value), "{value}");
        }
        for value in [json!("x"), json!([]), json!({}), json!(null), json!([95, 95]), json!(["a"])]
        {
            assert!(!placeholder.stands_in(&value), "{value}");
        }
    }
}
