//! Decimal fields of an order's lines, which allow fewer digits than other decimals.

use std::borrow::Cow;

use rust_decimal::Decimal;
use web_api::field::{Field, Invalid, Rule};
use web_api::{NonNegativeDecimal, Percentage};

/// Unit price before tax: not negative, at most 4 decimals.
pub(super) type UnitPrice = Field<UnitPriceRule>;

/// VAT rate in percent: 0 to 100, at most 2 decimals.
pub(super) type VatRate = Field<VatRateRule>;

/// The rule of [`UnitPrice`].
pub(super) enum UnitPriceRule {}

impl Rule for UnitPriceRule {
    type Value = Decimal;
    const DESCRIPTION: &'static str = "A price as text: not negative, with at most 4 decimals.";
    const EXAMPLE: &'static str = "49.90";
    const MIN_LENGTH: Option<usize> = Some(1);
    const MAX_LENGTH: Option<usize> = Some(20);
    const PATTERN: Option<&'static str> = Some(r"^[0-9]{1,15}(\.[0-9]{1,4})?$");

    fn name() -> Cow<'static, str> {
        "UnitPrice".into()
    }

    fn parse(text: &str) -> Result<Decimal, Invalid> {
        let price = NonNegativeDecimal::checked(text)?.value();
        if price.scale() > 4 {
            return Err(Invalid::new("decimals", "expected at most 4 decimals"));
        }
        Ok(price)
    }
}

/// The rule of [`VatRate`].
pub(super) enum VatRateRule {}

impl Rule for VatRateRule {
    type Value = Decimal;
    const DESCRIPTION: &'static str =
        "A rate in percent as text: 0 to 100, with at most 2 decimals.";
    const EXAMPLE: &'static str = "20";
    const MIN_LENGTH: Option<usize> = Some(1);
    const MAX_LENGTH: Option<usize> = Some(6);
    const PATTERN: Option<&'static str> = Some(r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)$");

    fn name() -> Cow<'static, str> {
        "VatRate".into()
    }

    fn parse(text: &str) -> Result<Decimal, Invalid> {
        let rate = Percentage::checked(text)?.value();
        if rate.scale() > 2 {
            return Err(Invalid::new("decimals", "expected at most 2 decimals"));
        }
        Ok(rate)
    }
}
