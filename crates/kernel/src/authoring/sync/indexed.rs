//! Texts in what a legacy system says that read models look up by. PostgreSQL takes no entry of an
//! index over 2,704 bytes: a longer text could be recorded, but never shown.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use super::Coded;

/// The most characters of such a text, of up to four bytes each.
const LONGEST: usize = 600;
/// The most bytes of a legacy's key, with the name that may stand before it.
pub const LONGEST_KEY: usize = 2_400;

/// Reads a text that a read model looks up by.
pub fn indexed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Coded + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let value = T::deserialize(deserializer)?;
    match value.code() {
        Some(text) if text.chars().nth(LONGEST).is_some() => Err(D::Error::invalid_value(
            Unexpected::Other("a longer text"),
            &"at most 600 characters",
        )),
        _ => Ok(value),
    }
}
