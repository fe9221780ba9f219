//! What requests and answers say of the legacy system: which system owns something, and where it comes
//! from.

use std::borrow::Cow;

use kernel::sync::{LONGEST_KEY, LegacyReference};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::field::{Field, Invalid, LineRule, Rule};

/// The system that owns a resource and decides about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// This system: the resource is changed here.
    Bascule,
    /// The legacy system that the resource was imported from: it is changed there only.
    Legacy,
}

impl Owner {
    /// The name it has in the API and in read models.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bascule => "bascule",
            Self::Legacy => "legacy",
        }
    }
}

/// Where something imported comes from, and what is irregular about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Legacy {
    /// The legacy system's name in the mapping.
    #[schema(example = "tryton")]
    pub source: String,
    /// The key there. Where the mapping gives `ids` a name, that name and `/` stand before it.
    #[schema(example = "17")]
    pub id: String,
    /// What is irregular about it, in short words.
    #[serde(default)]
    #[schema(required = true)]
    pub flags: Vec<String>,
}

impl Legacy {
    /// What a legacy system is referred to by, with what is irregular.
    pub fn new(reference: &LegacyReference, flags: &[String]) -> Self {
        let LegacyReference { source, id } = reference.clone();
        Self { source, id, flags: flags.to_vec() }
    }
}

/// A key of a legacy system by which a list is filtered: one line of text, as [`Legacy::id`] shows it.
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
        // PostgreSQL takes no NUL in a text.
        for refused in ["", " ", "a\0", "a\nb", &"k".repeat(LONGEST_KEY + 1)] {
            assert!(read(refused.to_owned()).is_err(), "{refused:?}");
        }
    }
}
