//! The rights of accounts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One right of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Right {
    /// Read every stream and the log; personal data stays encrypted.
    Read,
    /// Write streams that belong neither to a module nor to the system.
    Append,
    /// Write the streams of this module, and encrypt personal data in them.
    Module(String),
    /// Read personal data.
    PersonalData,
    /// Destroy the keys of erased people.
    Erase,
    /// Write streams whose name begins with `$`.
    System,
}

/// The text is not the name of a right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a right: expected read, append, module:<name>, pii:read, pii:erase or system"
)]
pub struct UnknownRight(String);

impl FromStr for Right {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        match text {
            "read" => Ok(Self::Read),
            "append" => Ok(Self::Append),
            "pii:read" => Ok(Self::PersonalData),
            "pii:erase" => Ok(Self::Erase),
            "system" => Ok(Self::System),
            _ => match text.strip_prefix("module:") {
                Some(module) if !module.is_empty() => Ok(Self::Module(module.to_owned())),
                _ => Err(UnknownRight(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => formatter.write_str("read"),
            Self::Append => formatter.write_str("append"),
            Self::Module(module) => write!(formatter, "module:{module}"),
            Self::PersonalData => formatter.write_str("pii:read"),
            Self::Erase => formatter.write_str("pii:erase"),
            Self::System => formatter.write_str("system"),
        }
    }
}

impl TryFrom<String> for Right {
    type Error = UnknownRight;

    fn try_from(text: String) -> Result<Self, UnknownRight> {
        text.parse()
    }
}

impl From<Right> for String {
    fn from(right: Right) -> Self {
        right.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_written_as_they_are_read() {
        for text in ["read", "append", "module:orders", "pii:read", "pii:erase", "system"] {
            assert_eq!(text.parse::<Right>().unwrap().to_string(), text);
        }
        for text in ["", "write", "module:", "module", "Read"] {
            assert!(text.parse::<Right>().is_err(), "{text}");
        }
    }
}
