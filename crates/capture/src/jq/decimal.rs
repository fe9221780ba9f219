//! Exact arithmetic on decimal text for mapping programs: jq's own numbers are binary floating
//! point (IEEE 754), which cannot hold 0.1, so money never touches them.

use jaq_json::Val;
use jaq_std::ValT as _;
use kernel::money::exact;
use rust_decimal::Decimal;

use super::Error;
use crate::numbers::plain;

fn of(value: &Val) -> Result<Option<Decimal>, Error> {
    let text = match value {
        Val::Null => return Ok(None),
        Val::Num(number) => plain(&number.to_string()).unwrap_or_default(),
        Val::TStr(_) => {
            let bytes = value.as_bytes().unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        }
        _ => return Err(error("a decimal must be text or a number")),
    };
    exact::parse(&text).map(Some).ok_or_else(|| error("not a decimal of at most 28 digits"))
}

fn error(text: &str) -> Error {
    Error::new(Val::utf8_str(text.to_owned()))
}

fn text(value: Decimal) -> Val {
    Val::utf8_str(value.to_string())
}

/// `decimal`: a number or a text as decimal text, with the decimals it has.
pub(super) fn decimal(value: &Val) -> Result<Val, Error> {
    Ok(of(value)?.map_or(Val::Null, text))
}

/// `dec_neg`: the opposite.
pub(super) fn negate(value: &Val) -> Result<Val, Error> {
    Ok(of(value)?.map_or(Val::Null, |value| text(if value.is_zero() { value } else { -value })))
}

/// `dec_normal`: without trailing zeros.
pub(super) fn normal(value: &Val) -> Result<Val, Error> {
    Ok(of(value)?.map_or(Val::Null, |value| text(value.normalize())))
}

/// `dec_scale`: how many decimals it needs, trailing zeros aside.
pub(super) fn scale(value: &Val) -> Result<Val, Error> {
    Ok(of(value)?.map_or(Val::Null, |value| Val::from(value.normalize().scale() as usize)))
}

/// `dec_sum`: the sum of an array; nulls count nothing, the empty sum is "0".
pub(super) fn sum(value: &Val) -> Result<Val, Error> {
    let Val::Arr(values) = value else {
        return Err(error("dec_sum takes an array"));
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
    error("a decimal result has more than 28 digits")
}

/// `dec_add($x)`.
pub(super) fn add(left: &Val, right: &Val) -> Result<Val, Error> {
    binary(left, right, exact::sum)
}

/// `dec_sub($x)`: the input less `$x`.
pub(super) fn subtract(left: &Val, right: &Val) -> Result<Val, Error> {
    binary(left, right, exact::difference)
}

/// `dec_mul($x)`: the exact product, an error when it does not fit.
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

#[cfg(test)]
mod tests {
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
}
