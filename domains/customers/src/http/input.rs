//! What requests may say of a customer, and the limits of it. The limits in the schema are the ones
//! that are checked.

use std::borrow::Cow;

use customers_contract::Address;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use crate::domain::email::has_valid_domain;

/// A postal address.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPostalAddress)]
pub(super) struct NewAddress {
    /// Street and number.
    #[validate(length(min = 1, max = 200), custom(function = "web_api::text::line"))]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "1 rue de la Paix"
    )]
    line1: String,
    /// What else the street part says.
    #[validate(length(min = 1, max = 200), custom(function = "web_api::text::line"))]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "Escalier C"
    )]
    line2: Option<String>,
    /// Postal code.
    #[validate(length(min = 1, max = 16), custom(function = "web_api::text::line"))]
    #[schema(
        min_length = 1,
        max_length = 16,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "75002"
    )]
    postal_code: String,
    /// Town.
    #[validate(length(min = 1, max = 100), custom(function = "web_api::text::line"))]
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "Paris"
    )]
    city: String,
    /// Country: ISO 3166-1 alpha-2. That the code is in use is not checked.
    #[validate(custom(function = "country"))]
    #[schema(min_length = 2, max_length = 2, pattern = "^[A-Z]{2}$", example = "FR")]
    country: String,
}

impl From<NewAddress> for Address {
    fn from(address: NewAddress) -> Self {
        let NewAddress { line1, line2, postal_code, city, country } = address;
        Self {
            line1,
            line2,
            postal_code: Some(postal_code),
            city: Some(city),
            country: Some(country),
        }
    }
}

fn country(text: &str) -> Result<(), ValidationError> {
    let capitals = text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase());
    expect(capitals, "expected two capitals, as in ISO 3166-1 alpha-2")
}

/// Checks a telephone number: `^\+?[0-9 ().-]{4,30}$`.
pub(super) fn telephone(text: &str) -> Result<(), ValidationError> {
    let number = text.strip_prefix('+').unwrap_or(text);
    let plausible = (4..=30).contains(&number.len())
        && number.bytes().all(|sign| sign.is_ascii_digit() || b" ().-".contains(&sign));
    expect(plausible, "expected 4 to 30 digits, spaces, parentheses, dots or dashes, + in front")
}

/// Checks the domain of an e-mail address: one in the form that begins with `xn--` must be valid, too.
pub(super) fn mail_domain(email: &str) -> Result<(), ValidationError> {
    expect(has_valid_domain(email), "expected an e-mail address with a valid domain")
}

/// Checks a VAT number: `^[A-Z]{2}[0-9A-Z+*]{2,12}$`. In front the country (Council Directive
/// 2006/112/EC, article 215), then what it makes of the rest (Ireland has `+` and `*`).
pub(super) fn vat_identification(text: &str) -> Result<(), ValidationError> {
    let plausible = text.split_at_checked(2).is_some_and(|(country, number)| {
        country.bytes().all(|letter| letter.is_ascii_uppercase())
            && (2..=12).contains(&number.len())
            && number.bytes().all(|sign| {
                sign.is_ascii_digit() || sign.is_ascii_uppercase() || b"+*".contains(&sign)
            })
    });
    expect(plausible, "expected two capitals and 2 to 12 digits or capitals, such as FR40303265045")
}

fn expect(met: bool, expectation: &'static str) -> Result<(), ValidationError> {
    if met {
        return Ok(());
    }
    Err(ValidationError::new("value").with_message(Cow::Borrowed(expectation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telephone_numbers_are_digits_and_what_groups_them() {
        for accepted in ["0123", "+33 1 02 03 04 05", "(01) 02.03-04", &"1".repeat(30)] {
            assert!(telephone(accepted).is_ok(), "{accepted}");
        }
        for refused in
            ["", "123", "+123", "++3312345", "01 02 x3", "0123\n", "٠١٢٣", &"1".repeat(31)]
        {
            assert!(telephone(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn vat_numbers_begin_with_their_country() {
        for accepted in ["FR40303265045", "IE1+23456A", "XX12", "NL123456789B01"] {
            assert!(vat_identification(accepted).is_ok(), "{accepted}");
        }
        for refused in ["", "FR", "FR1", "fr40303265045", "4FR0303265045", "FR4 0303", "éFR12"] {
            assert!(vat_identification(refused).is_err(), "{refused}");
        }
        assert!(vat_identification("NL123456789B0123").is_err());
    }

    #[test]
    fn countries_are_two_capitals() {
        assert!(country("FR").is_ok());
        for refused in ["", "F", "fr", "FRA", "É", "F1"] {
            assert!(country(refused).is_err(), "{refused}");
        }
    }
}
