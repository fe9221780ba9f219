//! Currency codes in the states of a legacy system. Their form is checked, because amounts are
//! rounded and added per currency; whether a code is in use is not checked: old business used
//! currencies that no longer exist.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use super::Patch;

/// A value that may hold a text, such as a code.
pub trait Coded {
    /// Returns the text, if there is one.
    fn code(&self) -> Option<&str>;
}

impl Coded for Patch<String> {
    fn code(&self) -> Option<&str> {
        match self {
            Self::Set(code) => Some(code),
            Self::Keep | Self::Clear => None,
        }
    }
}

/// Deserializes a currency code: three capital letters, as in ISO 4217.
pub fn currency<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Coded + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let value = T::deserialize(deserializer)?;
    let has_form =
        |code: &str| code.len() == 3 && code.bytes().all(|letter| letter.is_ascii_uppercase());
    match value.code() {
        Some(code) if !has_form(code) => Err(D::Error::invalid_value(
            Unexpected::Other("another text"),
            &"three capital letters such as EUR, as in ISO 4217",
        )),
        _ => Ok(value),
    }
}
