//! Texts of a legacy system that read models use for look-ups. PostgreSQL rejects index entries over
//! 2,704 bytes: a longer text could be recorded, but never shown.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use super::Coded;

/// Maximum number of characters of such a text, each up to four bytes.
const LONGEST: usize = 600;
/// Maximum number of bytes of a legacy key, including the name that may precede it.
pub const LONGEST_KEY: usize = 2_400;

/// Deserializes a text that a read model uses for look-ups.
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
