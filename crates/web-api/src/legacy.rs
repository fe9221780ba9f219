//! The legacy system in requests and responses: the owner of a resource, and its origin.

use std::borrow::Cow;

use kernel::sync::{LONGEST_KEY, LegacyReference};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::field::{Field, Invalid, LineRule, Rule};

/// The system that owns a resource and decides on changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// This system: the resource is changed here.
    Bascule,
    /// The legacy system that the resource was imported from: it can only be changed there.
    Legacy,
}

impl Owner {
    /// Returns its name in the API and in read models.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bascule => "bascule",
            Self::Legacy => "legacy",
        }
    }
}

/// The origin of an imported resource, and its irregularities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Legacy {
    /// The legacy system's name in the mapping.
    #[schema(example = "tryton")]
    pub source: String,
    /// The key in the legacy system. If the mapping names its `ids`, that name and `/` precede the
    /// key.
    #[schema(example = "17")]
    pub id: String,
    /// Its irregularities, as short codes.
    #[serde(default)]
    #[schema(required = true)]
    pub flags: Vec<String>,
}

impl Legacy {
    /// Creates it from a legacy reference and the irregularities.
    pub fn new(reference: &LegacyReference, flags: &[String]) -> Self {
        let LegacyReference { source, id } = reference.clone();
        Self { source, id, flags: flags.to_vec() }
    }
}

/// A legacy key used as a filter of a list: one line of text, as in [`Legacy::id`].
pub type LegacyKey = Field<LegacyKeyRule>;

/// The rule of [`LegacyKey`].
pub enum LegacyKeyRule {}

impl Rule for LegacyKeyRule {
    type Value = String;
    const DESCRIPTION: &'static str = "A key of the legacy system.";
    const EXAMPLE: &'static str = "17";
    const MIN_LENGTH: Option<usize> = Some(1);
    const MAX_LENGTH: Option<usize> = Some(LONGEST_KEY);
    const PATTERN: Option<&'static str> = LineRule::<LONGEST_KEY>::PATTERN;

    fn name() -> Cow<'static, str> {
        "LegacyKey".into()
    }

    fn parse(text: &str) -> Result<String, Invalid> {
        LineRule::<LONGEST_KEY>::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_one_line_as_long_as_a_legacy_may_have() {
        let read = |text: String| serde_json::from_value::<LegacyKey>(json!(text));
        for key in ["17", "party_party/7", "a key", &"é".repeat(LONGEST_KEY)] {
            assert_eq!(read(key.to_owned()).unwrap().into_inner(), key);
        }
        // PostgreSQL rejects NUL characters in texts.
        for refused in ["", " ", "a\0", "a\nb", &"k".repeat(LONGEST_KEY + 1)] {
            assert!(read(refused.to_owned()).is_err(), "{refused:?}");
        }
    }
}
