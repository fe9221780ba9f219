//! Decimal arithmetic and parsing that fails where `rust_decimal` rounds: a [`Decimal`] holds 28
//! digits (96 bits), and its operators and `FromStr` drop the last digits of longer values.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de};

use crate::authoring::sync::Patch;

/// Returns the product; `None` if it does not fit.
pub fn product(left: Decimal, right: Decimal) -> Option<Decimal> {
    if left.is_zero() || right.is_zero() {
        return Some(Decimal::ZERO);
    }
    let exact = |left: Decimal, right: Decimal| {
        let decimals = left.scale() + right.scale();
        left.checked_mul(right).filter(|product| product.scale() == decimals)
    };
    exact(left, right).or_else(|| exact(left.normalize(), right.normalize()))
}

/// Returns the sum; `None` if it does not fit.
pub fn sum(left: Decimal, right: Decimal) -> Option<Decimal> {
    let decimals = left.normalize().scale().max(right.normalize().scale());
    left.checked_add(right).filter(|sum| sum.scale() >= decimals)
}

/// Returns the difference; `None` if it does not fit.
pub fn difference(left: Decimal, right: Decimal) -> Option<Decimal> {
    sum(left, -right)
}

/// Returns a hundredth; `None` if it does not fit.
pub fn hundredth(amount: Decimal) -> Option<Decimal> {
    let shifted = |mut amount: Decimal| amount.set_scale(amount.scale() + 2).ok().map(|()| amount);
    shifted(amount).or_else(|| shifted(amount.normalize()))
}

/// Parses a decimal number, with or without an exponent; `None` if it is invalid or does not fit.
pub fn parse(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let Some((base, exponent)) = text.split_once(['e', 'E']) else {
        return Decimal::from_str_exact(text).ok();
    };
    // Other parsers round a base that does not fit.
    Decimal::from_str_exact(base).ok()?;
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    let value = Decimal::from_scientific(&format!("{base}e{exponent}")).ok()?;
    Some(value)
}

/// A decimal parsed by [`exactly`].
struct Exact(Decimal);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Exact;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a decimal number of at most 28 digits")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Exact, E> {
                let read = parse(text).map(Exact);
                read.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Exact, E> {
                Ok(Exact(number.into()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Exact, E> {
                Ok(Exact(number.into()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Exact, E> {
                // The shortest text that parses to the same number.
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Types of decimals that can be parsed exactly.
pub trait ExactlyRead: Sized {
    /// Deserializes the value.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl ExactlyRead for Decimal {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Exact::deserialize(deserializer).map(|Exact(decimal)| decimal)
    }
}

impl ExactlyRead for Option<Decimal> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Exact>::deserialize(deserializer)?.map(|Exact(decimal)| decimal))
    }
}

impl ExactlyRead for Vec<Decimal> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Vec::<Exact>::deserialize(deserializer)?;
        Ok(read.into_iter().map(|Exact(decimal)| decimal).collect())
    }
}

impl ExactlyRead for Patch<Decimal> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Patch::<Exact>::deserialize(deserializer)?.map(|Exact(decimal)| decimal))
    }
}

/// Deserializes external decimals, for `#[serde(deserialize_with = "exactly")]`: a number that does
/// not fit is an error. ([`Decimal`]'s own `Deserialize` rounds it.)
pub fn exactly<'de, T: ExactlyRead, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::read(deserializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::from_str_exact(text).unwrap()
    }

    #[test]
    fn what_fits_is_computed_exactly() {
        assert_eq!(product(decimal("0.5"), decimal("0.20")), Some(decimal("0.1")));
        assert_eq!(sum(decimal("0.10"), decimal("-0.1")), Some(Decimal::ZERO));
        assert_eq!(difference(decimal("1"), decimal("0.01")), Some(decimal("0.99")));
        assert_eq!(hundredth(decimal("7.0")), Some(decimal("0.07")));
        // Zeros at the end need no room.
        let zeros = decimal("1.0000000000000000000000000000");
        assert_eq!(product(zeros, zeros), Some(Decimal::ONE));
        assert_eq!(hundredth(zeros), Some(decimal("0.01")));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_not_rounded() {
        let fine = decimal("0.1234567890123456789012345678");
        let large = decimal("7922816251426433759354395033.5");
        assert_eq!(product(fine, decimal("0.1")), None);
        assert_eq!(product(large, decimal("1.1")), None);
        assert_eq!(sum(large, decimal("0.01")), None);
        assert_eq!(sum(Decimal::MAX, decimal("0.4")), None);
        assert_eq!(difference(large, decimal("0.01")), None);
        assert_eq!(hundredth(fine), None);
    }

    #[test]
    fn texts_are_read_exactly_or_not_at_all() {
        for (text, value) in
            [("49.90", "49.90"), (" 1e3 ", "1000"), ("1.5E+2", "150"), ("1e-7", "0.0000001")]
        {
            assert_eq!(parse(text), Some(decimal(value)), "{text}");
        }
        for text in [
            "",
            "x",
            "1e",
            "0.12345678901234567890123456789",
            "0.12345678901234567890123456789e1",
            "79228162514264337593543950336",
            "7.9228162514264337593543950336e28",
            "1.2345678901234567890123456789e2e1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn json_is_read_exactly_or_not_at_all() {
        let read = |value| exactly::<Patch<Decimal>, _>(value);
        assert_eq!(read(json!("0.10")).unwrap(), Patch::Set(decimal("0.10")));
        assert_eq!(read(json!(0.1)).unwrap(), Patch::Set(decimal("0.1")));
        assert_eq!(read(json!(7)).unwrap(), Patch::Set(decimal("7")));
        assert_eq!(read(json!(null)).unwrap(), Patch::Clear);
        assert!(read(json!("0.12345678901234567890123456789")).is_err());
        assert!(
            exactly::<Vec<Decimal>, _>(json!(["1", "0.12345678901234567890123456789"])).is_err()
        );
        assert!(exactly::<Option<Decimal>, _>(json!("0.12345678901234567890123456789")).is_err());
    }
}
