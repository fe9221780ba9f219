//! Decimal numbers in requests: JSON strings, so that no precision is lost in binary fractions.
//!
//! The schema of each type contains the pattern that is checked.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::field::{Invalid, reading};

/// Maximum number of digits before the point.
const WHOLE: usize = 15;
/// Maximum number of digits after the point.
const FRACTION: usize = 6;

/// Parses `^-?\d{1,15}(\.\d{1,6})?$`.
fn parse(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let is_number = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_decimal =
        is_number(whole, WHOLE) && fraction.is_none_or(|fraction| is_number(fraction, FRACTION));
    // A `Decimal` holds 28 digits exactly, more than these 21.
    if is_decimal { text.parse().ok() } else { None }
}

macro_rules! decimal_text {
    ($(#[$meta:meta])* $name:ident, $pattern:literal, $longest:literal, $example:literal, $expected:literal, $accepts:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(Decimal);

        impl $name {
            /// The pattern that the text must match.
            pub const PATTERN: &str = $pattern;

            /// Parses the text. Returns `None` if it is invalid.
            pub fn parse(text: &str) -> Option<Self> {
                let accepts: fn(&str, Decimal) -> bool = $accepts;
                parse(text).filter(|value| accepts(text, *value)).map(Self)
            }

            /// Parses the text.
            ///
            /// # Errors
            ///
            /// Returns why the text is invalid.
            pub fn checked(text: &str) -> Result<Self, Invalid> {
                let found = de::Unexpected::Str(text);
                Self::parse(text).ok_or_else(|| {
                    Invalid::new("value", format!("invalid value: {found}, expected {}", $expected))
                })
            }

            /// Returns the number with the decimals of the text.
            pub fn value(self) -> Decimal {
                self.0
            }
        }

        impl Deref for $name {
            type Target = Decimal;
            fn deref(&self) -> &Decimal {
                &self.0
            }
        }

        impl From<$name> for Decimal {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::checked(text)
                            .or_else(|invalid| reading::refuse(invalid, $name::parse($example)))
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(concat!("A decimal number as text: ", $expected, ".")))
                    .min_length(Some(1))
                    .max_length(Some($longest))
                    .pattern(Some(Self::PATTERN))
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

decimal_text!(
    /// Any decimal number: up to 15 digits before and 6 after the point.
    DecimalText,
    r"^-?[0-9]{1,15}(\.[0-9]{1,6})?$",
    23,
    "49.90",
    "a decimal string such as \"49.90\", with up to 15 digits before and 6 after the point",
    |_, _| true
);

decimal_text!(
    /// A decimal number that is not negative.
    NonNegativeDecimal,
    r"^[0-9]{1,15}(\.[0-9]{1,6})?$",
    22,
    "49.90",
    "a decimal string such as \"49.90\", zero or more, with up to 15 digits before and 6 after the point",
    |text, _| !text.starts_with('-')
);

decimal_text!(
    /// A decimal number above zero.
    PositiveDecimal,
    r"^(?=.*[1-9])[0-9]{1,15}(\.[0-9]{1,6})?$",
    22,
    "2",
    "a decimal string such as \"2\" or \"1.5\", greater than zero, with up to 15 digits before and 6 after the point",
    |text, value| !text.starts_with('-') && !value.is_zero()
);

decimal_text!(
    /// A rate in percent, from 0 to 100, with up to four decimals.
    Percentage,
    r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)$",
    8,
    "20",
    "a decimal string such as \"20\" or \"5.5\", from 0 to 100, with up to 4 decimals",
    |text, value| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_short = whole.len() <= 2 || whole == "100";
        !text.starts_with('-') && is_short && fraction.len() <= 4 && value <= Decimal::ONE_HUNDRED
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        for text in ["0", "-1", "49.90", "007", "1.000000", "999999999999999.999999", "-0"] {
            let value = DecimalText::parse(text).unwrap().value();
            assert_eq!(value, text.parse().unwrap(), "{text}");
        }
        assert_eq!(
            serde_json::to_string(&DecimalText::parse("49.90").unwrap()).unwrap(),
            r#""49.90""#
        );
    }

    #[test]
    fn what_is_no_decimal_string_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "+1",
            "1e3",
            "1,5",
            "1 ",
            "٣",
            "1.0000000",
            "1000000000000000",
            "NaN",
            "1_0",
            "--1",
        ] {
            assert_eq!(DecimalText::parse(text), None, "{text}");
        }
        assert!(serde_json::from_str::<DecimalText>("49.90").is_err(), "numbers are not exact");
    }

    #[test]
    fn bounds_are_those_of_the_patterns() {
        assert!(NonNegativeDecimal::parse("0.00").is_some());
        assert!(NonNegativeDecimal::parse("-0").is_none());
        assert!(PositiveDecimal::parse("0.000001").is_some());
        assert!(PositiveDecimal::parse("0.00").is_none());
        assert!(PositiveDecimal::parse("-1").is_none());
        for rate in ["0", "5.5", "20", "99.9999", "100", "100.00"] {
            assert!(Percentage::parse(rate).is_some(), "{rate}");
        }
        for rate in ["100.01", "101", "020", "1.00000", "-1"] {
            assert!(Percentage::parse(rate).is_none(), "{rate}");
        }
    }
}
