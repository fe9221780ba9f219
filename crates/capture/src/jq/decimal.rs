//! Exact arithmetic on decimal text for mapping programs: jq's own numbers are binary floating
//! point (IEEE 754), which cannot hold 0.1, so money never touches them.

use std::cmp::Ordering;

use jaq_json::Val;
use jaq_std::ValT as _;
use kernel::money::exact;
use num_bigint::{BigInt, Sign};
use rust_decimal::Decimal;

use super::Error;
use super::natives::{complaint, text_of, whole_of};
use crate::numbers::plain;

const NO_DECIMAL: &str = "a decimal must be text or a number";
const UNREADABLE: &str = "the value is not a decimal of at most 28 digits";
const NO_ARRAY: &str = "the input of dec_sum must be an array";
const TOO_LARGE: &str = "a decimal result has more than 28 digits";
const NO_SCALE: &str = "the number of decimals must be a whole number from 0 to 28";
const NO_MODE: &str =
    "the rounding mode must be one of half_up, half_down, half_even, up, down, ceiling, floor";
const BY_ZERO: &str = "division by zero";

/// The error messages of these filters.
pub(super) const MESSAGES: &[&str] =
    &[NO_DECIMAL, UNREADABLE, NO_ARRAY, TOO_LARGE, NO_SCALE, NO_MODE, BY_ZERO];

fn of(value: &Val) -> Result<Option<Decimal>, Error> {
    let text = match value {
        Val::Null => return Ok(None),
        Val::Num(number) => plain(&number.to_string()).unwrap_or_default(),
        Val::TStr(_) => {
            let bytes = value.as_bytes().unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        }
        _ => return Err(complaint(NO_DECIMAL)),
    };
    exact::parse(&text).map(Some).ok_or_else(|| complaint(UNREADABLE))
}

fn text(value: Decimal) -> Val {
    Val::utf8_str(value.to_string())
}

/// `decimal`: a number or a text as decimal text, with its own number of decimals.
pub(super) fn decimal(value: &Val) -> Result<Val, Error> {
    Ok(of(value)?.map_or(Val::Null, text))
}

/// `dec_neg`: the negated value.
pub(super) fn negate(value: &Val) -> Result<Val, Error> {
    Ok(of(value)?.map_or(Val::Null, |value| text(if value.is_zero() { value } else { -value })))
}

/// `dec_normal`: without trailing zeros.
pub(super) fn normal(value: &Val) -> Result<Val, Error> {
    Ok(of(value)?.map_or(Val::Null, |value| text(value.normalize())))
}

/// `dec_scale`: the number of decimals, without trailing zeros.
pub(super) fn scale(value: &Val) -> Result<Val, Error> {
    Ok(of(value)?.map_or(Val::Null, |value| Val::from(value.normalize().scale() as usize)))
}

/// `dec_sum`: the sum of an array; nulls are ignored, the empty sum is "0".
pub(super) fn sum(value: &Val) -> Result<Val, Error> {
    let values = match value {
        Val::Null => return Ok(Val::Null),
        Val::Arr(values) => values,
        _ => return Err(complaint(NO_ARRAY)),
    };
    let mut sum = Decimal::ZERO;
    for value in values.iter() {
        if let Some(value) = of(value)? {
            sum = exact::sum(sum, value).ok_or_else(too_large)?;
        }
    }
    Ok(text(sum))
}

fn binary(
    left: &Val,
    right: &Val,
    operation: fn(Decimal, Decimal) -> Option<Decimal>,
) -> Result<Val, Error> {
    match (of(left)?, of(right)?) {
        (Some(left), Some(right)) => operation(left, right).map(text).ok_or_else(too_large),
        _ => Ok(Val::Null),
    }
}

fn too_large() -> Error {
    complaint(TOO_LARGE)
}

/// `dec_add($x)`.
pub(super) fn add(left: &Val, right: &Val) -> Result<Val, Error> {
    binary(left, right, exact::sum)
}

/// `dec_sub($x)`: the input minus `$x`.
pub(super) fn subtract(left: &Val, right: &Val) -> Result<Val, Error> {
    binary(left, right, exact::difference)
}

/// `dec_mul($x)`: the exact product; an error if it does not fit.
pub(super) fn multiply(left: &Val, right: &Val) -> Result<Val, Error> {
    binary(left, right, exact::product)
}

/// `dec_cmp($x)`: -1, 0 or 1.
pub(super) fn compare(left: &Val, right: &Val) -> Result<Val, Error> {
    match (of(left)?, of(right)?) {
        (Some(left), Some(right)) => Ok(Val::from(left.cmp(&right) as isize)),
        _ => Ok(Val::Null),
    }
}

/// The rounding modes, named as in Java's `RoundingMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    HalfUp,
    HalfDown,
    HalfEven,
    Up,
    Down,
    Ceiling,
    Floor,
}

impl Mode {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "half_up" => Self::HalfUp,
            "half_down" => Self::HalfDown,
            "half_even" => Self::HalfEven,
            "up" => Self::Up,
            "down" => Self::Down,
            "ceiling" => Self::Ceiling,
            "floor" => Self::Floor,
            _ => return None,
        })
    }

    /// Returns whether a quotient that was cut off at its last digit is rounded away from zero. `half`
    /// compares the cut-off part with half a digit.
    fn grows(self, negative: bool, odd: bool, half: Ordering) -> bool {
        match self {
            Self::HalfUp => half != Ordering::Less,
            Self::HalfDown => half == Ordering::Greater,
            Self::HalfEven => half == Ordering::Greater || (half == Ordering::Equal && odd),
            Self::Up => true,
            Self::Down => false,
            Self::Ceiling => !negative,
            Self::Floor => negative,
        }
    }
}

/// Returns whether a rounding mode has this name.
pub(super) fn is_mode(name: &str) -> bool {
    Mode::named(name).is_some()
}

/// Returns the quotient with exactly this number of decimals. Rounded once, from the exact quotient.
fn quotient(left: Decimal, right: Decimal, scale: u32, mode: Mode) -> Result<Decimal, Error> {
    let ten = |power: u32| BigInt::from(10).pow(power);
    let divisor = BigInt::from(right.mantissa()) * ten(left.scale());
    if divisor.sign() == Sign::NoSign {
        return Err(complaint(BY_ZERO));
    }
    let dividend = BigInt::from(left.mantissa()) * ten(right.scale() + scale);
    let (mut result, rest) = (&dividend / &divisor, &dividend % &divisor);
    if rest.sign() != Sign::NoSign {
        let negative = (dividend.sign() == Sign::Minus) != (divisor.sign() == Sign::Minus);
        let half = (rest.magnitude() * 2_u32).cmp(divisor.magnitude());
        if mode.grows(negative, result.bit(0), half) {
            result += if negative { -1 } else { 1 };
        }
    }
    let mantissa = i128::try_from(result).map_err(|_| complaint(TOO_LARGE))?;
    Decimal::try_from_i128_with_scale(mantissa, scale).map_err(|_| complaint(TOO_LARGE))
}

fn scale_and_mode(scale: &Val, mode: &Val) -> Result<(u32, Mode), Error> {
    let scale = whole_of(scale).and_then(|scale| u32::try_from(scale).ok());
    let scale = scale.filter(|scale| *scale <= Decimal::MAX_SCALE);
    let mode = text_of(mode).and_then(|mode| Mode::named(&mode));
    Ok((scale.ok_or_else(|| complaint(NO_SCALE))?, mode.ok_or_else(|| complaint(NO_MODE))?))
}

/// `dec_div($x; $scale; $mode)`: divided by `$x`, with exactly `$scale` decimals.
pub(super) fn divide(left: &Val, right: &Val, scale: &Val, mode: &Val) -> Result<Val, Error> {
    let (scale, mode) = scale_and_mode(scale, mode)?;
    match (of(left)?, of(right)?) {
        (Some(left), Some(right)) => quotient(left, right, scale, mode).map(text),
        _ => Ok(Val::Null),
    }
}

/// `dec_round($scale; $mode)`: with exactly `$scale` decimals.
pub(super) fn round(value: &Val, scale: &Val, mode: &Val) -> Result<Val, Error> {
    let (scale, mode) = scale_and_mode(scale, mode)?;
    match of(value)? {
        Some(value) => quotient(value, Decimal::ONE, scale, mode).map(text),
        None => Ok(Val::Null),
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::RoundingStrategy;

    use super::*;

    #[test]
    fn sums_are_exact() {
        let values: Val =
            ["0.1", "0.2"].map(|text| Val::utf8_str(text.to_owned())).into_iter().collect();
        assert_eq!(sum(&values).unwrap(), Val::utf8_str("0.3".to_owned()));
    }

    #[test]
    fn a_product_that_does_not_fit_is_an_error() {
        let tiny = Val::utf8_str("0.000000000000001".to_owned());
        assert!(multiply(&tiny, &tiny).is_err());
    }

    #[test]
    fn a_sum_that_does_not_fit_is_an_error() {
        let [large, small] =
            ["7922816251426433759354395033.5", "0.01"].map(|text| Val::utf8_str(text.to_owned()));
        assert!(add(&large, &small).is_err());
        assert!(subtract(&large, &small).is_err());
        assert!(sum(&[large, small].into_iter().collect()).is_err());
    }

    #[test]
    fn a_quotient_is_rounded_once_and_as_said() {
        let text = |text: &str| Val::utf8_str(text.to_owned());
        for (left, right, scale, mode, expected) in [
            ("10", "3", 2, "half_up", "3.33"),
            ("-2", "3", 2, "half_up", "-0.67"),
            ("119.60", "1.196", 2, "half_up", "100.00"),
            ("1", "8", 2, "half_up", "0.13"),
            ("1", "8", 2, "half_down", "0.12"),
            ("1", "8", 2, "half_even", "0.12"),
            ("3", "8", 2, "half_even", "0.38"),
            ("-1", "8", 2, "ceiling", "-0.12"),
            ("-1", "8", 2, "floor", "-0.13"),
            ("1", "3000", 2, "up", "0.01"),
            ("1", "3000", 2, "down", "0.00"),
            // Rounded to 28 digits first, it would be exactly a half.
            ("1.0000000000000000000000000001", "200", 2, "half_down", "0.01"),
            ("79228162514264337593543950335", "7", 0, "down", "11318308930609191084791992905"),
        ] {
            let scale = Val::from(scale as isize);
            let found = divide(&text(left), &text(right), &scale, &text(mode)).unwrap();
            assert_eq!(found, text(expected), "{left} / {right} {mode}");
        }
        let (one, two, zero) = (text("1"), Val::from(2_isize), text("0"));
        assert!(divide(&one, &zero, &two, &text("down")).is_err());
        assert!(divide(&one, &one, &two, &text("nearest")).is_err());
        assert!(divide(&one, &one, &Val::from(29_isize), &text("down")).is_err());
        assert_eq!(divide(&Val::Null, &one, &two, &text("down")).unwrap(), Val::Null);
    }

    #[test]
    fn rounding_agrees_with_another_implementation() {
        let modes = [
            ("half_up", RoundingStrategy::MidpointAwayFromZero),
            ("half_down", RoundingStrategy::MidpointTowardZero),
            ("half_even", RoundingStrategy::MidpointNearestEven),
            ("up", RoundingStrategy::AwayFromZero),
            ("down", RoundingStrategy::ToZero),
            ("ceiling", RoundingStrategy::ToPositiveInfinity),
            ("floor", RoundingStrategy::ToNegativeInfinity),
        ];
        for thousandths in -2_500_i64..=2_500 {
            let value = Decimal::new(thousandths, 3);
            for (name, strategy) in modes {
                let mode = Val::utf8_str(name.to_owned());
                let found = round(&text(value), &Val::from(2_isize), &mode).unwrap();
                let mut expected = value.round_dp_with_strategy(2, strategy);
                expected.rescale(2);
                if expected.is_zero() {
                    expected.set_sign_positive(true);
                }
                assert_eq!(found, text(expected), "{value} {name}");
            }
        }
    }
}
