//! The rules that several modules need.

use std::borrow::Cow;

use kernel::money::Currency;
use validator::ValidateEmail as _;

use super::{Field, Invalid, Rule};

/// One line of text of 1 to `MOST` characters: at least one visible character, and no control
/// characters (such as line breaks).
pub type Line<const MOST: usize> = Field<LineRule<MOST>>;

/// The ISO 4217 code of a currency in use, in capitals.
pub type CurrencyCode = Field<CurrencyRule>;

/// Three capital letters: the code of a currency, in use or not. For look-ups, because imported
/// records may use currencies that no longer exist.
pub type AnyCurrencyCode = Field<AnyCurrencyRule>;

/// The ISO 3166-1 alpha-2 code of a country, in capitals. Whether the code is in use is not checked.
pub type CountryCode = Field<CountryRule>;

/// An e-mail address with a valid domain name.
pub type Email = Field<EmailRule>;

/// A telephone number: digits and separators.
pub type Telephone = Field<TelephoneRule>;

/// A VAT identification number: the country (Council Directive 2006/112/EC, article 215), then the
/// country's own format (Ireland uses `+` and `*`).
pub type VatNumber = Field<VatNumberRule>;

/// A payment method: a provider in lower case and, after a colon, the provider's parameter.
pub type PaymentMethod = Field<PaymentMethodRule>;

/// The rule of [`Line`].
pub enum LineRule<const MOST: usize> {}

impl<const MOST: usize> Rule for LineRule<MOST> {
    type Value = String;
    const DESCRIPTION: &'static str = "One line of text.";
    const EXAMPLE: &'static str = "A";
    const SHOWS_EXAMPLE: bool = false;
    const MIN_LENGTH: Option<usize> = Some(1);
    const MAX_LENGTH: Option<usize> = Some(MOST);
    const PATTERN: Option<&'static str> = Some(
        r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
    );

    fn name() -> Cow<'static, str> {
        format!("Line{MOST}").into()
    }

    fn parse(text: &str) -> Result<String, Invalid> {
        check_length(text, MOST)?;
        // U+FEFF is white space in regular expressions (ECMA-262), not in Unicode.
        let is_visible = |character: char| !character.is_whitespace() && character != '\u{FEFF}';
        let is_line = text.chars().any(is_visible) && !text.chars().any(char::is_control);
        expect(
            is_line,
            text,
            "text",
            "expected one line of visible text, without control characters",
        )
    }
}

/// The rule of [`CurrencyCode`].
pub enum CurrencyRule {}

impl Rule for CurrencyRule {
    type Value = Currency;
    const DESCRIPTION: &'static str = "The code of a currency in use (ISO 4217).";
    const EXAMPLE: &'static str = "EUR";
    const MIN_LENGTH: Option<usize> = Some(3);
    const MAX_LENGTH: Option<usize> = Some(3);
    const PATTERN: Option<&'static str> = Some("^[A-Z]{3}$");

    fn name() -> Cow<'static, str> {
        "CurrencyCode".into()
    }

    fn parse(text: &str) -> Result<Currency, Invalid> {
        let expected = "expected the ISO 4217 code of a currency in use, such as EUR";
        Currency::in_use(text).ok_or_else(|| Invalid::new("currency", expected))
    }
}

/// The rule of [`AnyCurrencyCode`].
pub enum AnyCurrencyRule {}

impl Rule for AnyCurrencyRule {
    type Value = String;
    const DESCRIPTION: &'static str = "The code of a currency (ISO 4217).";
    const EXAMPLE: &'static str = "EUR";
    const MIN_LENGTH: Option<usize> = Some(3);
    const MAX_LENGTH: Option<usize> = Some(3);
    const PATTERN: Option<&'static str> = Some("^[A-Z]{3}$");

    fn name() -> Cow<'static, str> {
        "AnyCurrencyCode".into()
    }

    fn parse(text: &str) -> Result<String, Invalid> {
        expect(
            are_capitals(text, 3),
            text,
            "currency",
            "expected three capital letters such as EUR",
        )
    }
}

/// The rule of [`CountryCode`].
pub enum CountryRule {}

impl Rule for CountryRule {
    type Value = String;
    const DESCRIPTION: &'static str = "The code of a country (ISO 3166-1 alpha-2).";
    const EXAMPLE: &'static str = "FR";
    const MIN_LENGTH: Option<usize> = Some(2);
    const MAX_LENGTH: Option<usize> = Some(2);
    const PATTERN: Option<&'static str> = Some("^[A-Z]{2}$");

    fn name() -> Cow<'static, str> {
        "CountryCode".into()
    }

    fn parse(text: &str) -> Result<String, Invalid> {
        let expected = "expected two capital letters, as in ISO 3166-1 alpha-2";
        expect(are_capitals(text, 2), text, "value", expected)
    }
}

/// The rule of [`Email`].
pub enum EmailRule {}

impl Rule for EmailRule {
    type Value = String;
    const DESCRIPTION: &'static str = "An e-mail address.";
    const EXAMPLE: &'static str = "ada@exemple.fr";
    const MAX_LENGTH: Option<usize> = Some(254);
    const FORMAT: Option<&'static str> = Some("email");

    fn name() -> Cow<'static, str> {
        "Email".into()
    }

    fn parse(text: &str) -> Result<String, Invalid> {
        if text.chars().nth(254).is_some() {
            return Err(Invalid::new("length", "expected a length of at most 254"));
        }
        if !text.validate_email() {
            return Err(Invalid::new("email", "expected an e-mail address"));
        }
        // A domain in the form that begins with `xn--` must be valid too (UTS #46, processing).
        let domain = text.rsplit_once('@').map(|(_, domain)| domain);
        let is_valid = domain.is_some_and(|domain| idna::domain_to_ascii(domain).is_ok());
        expect(is_valid, text, "value", "expected an e-mail address with a valid domain")
    }
}

/// The rule of [`Telephone`].
pub enum TelephoneRule {}

impl Rule for TelephoneRule {
    type Value = String;
    const DESCRIPTION: &'static str = "A telephone number.";
    const EXAMPLE: &'static str = "+33 1 02 03 04 05";
    const PATTERN: Option<&'static str> = Some(r"^\+?[0-9 ().-]{4,30}$");

    fn name() -> Cow<'static, str> {
        "Telephone".into()
    }

    fn parse(text: &str) -> Result<String, Invalid> {
        let number = text.strip_prefix('+').unwrap_or(text);
        let is_plausible = (4..=30).contains(&number.len())
            && number.bytes().all(|sign| sign.is_ascii_digit() || b" ().-".contains(&sign));
        let expected = "expected 4 to 30 digits, spaces, parentheses, dots or dashes, optionally starting with +";
        expect(is_plausible, text, "value", expected)
    }
}

/// The rule of [`VatNumber`].
pub enum VatNumberRule {}

impl Rule for VatNumberRule {
    type Value = String;
    const DESCRIPTION: &'static str = "A VAT identification number.";
    const EXAMPLE: &'static str = "FR40303265045";
    const PATTERN: Option<&'static str> = Some(r"^[A-Z]{2}[0-9A-Z+*]{2,12}$");

    fn name() -> Cow<'static, str> {
        "VatNumber".into()
    }

    fn parse(text: &str) -> Result<String, Invalid> {
        let is_plausible = text.split_at_checked(2).is_some_and(|(country, number)| {
            are_capitals(country, 2)
                && (2..=12).contains(&number.len())
                && number.bytes().all(|sign| {
                    sign.is_ascii_digit() || sign.is_ascii_uppercase() || b"+*".contains(&sign)
                })
        });
        let expected = "expected two capital letters and 2 to 12 digits or capital letters, such as FR40303265045";
        expect(is_plausible, text, "value", expected)
    }
}

/// The rule of [`PaymentMethod`].
pub enum PaymentMethodRule {}

impl Rule for PaymentMethodRule {
    type Value = String;
    const DESCRIPTION: &'static str =
        "A payment provider and, after a colon, the provider's parameter.";
    const EXAMPLE: &'static str = "sandbox:ok";
    const MIN_LENGTH: Option<usize> = Some(1);
    const MAX_LENGTH: Option<usize> = Some(64);
    const PATTERN: Option<&'static str> = Some("^[a-z0-9_-]+(:[A-Za-z0-9_-]+)?$");

    fn name() -> Cow<'static, str> {
        "PaymentMethod".into()
    }

    fn parse(text: &str) -> Result<String, Invalid> {
        check_length(text, 64)?;
        let is_word = |text: &str| {
            let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
            !text.is_empty() && text.chars().all(is_allowed)
        };
        let (provider, detail) = text.split_once(':').map_or((text, None), |(a, b)| (a, Some(b)));
        let is_method = is_word(provider)
            && !provider.contains(|letter: char| letter.is_ascii_uppercase())
            && detail.is_none_or(is_word);
        let expected = "expected a provider in lower case, such as `sandbox`, or `sandbox:ok`";
        expect(is_method, text, "pattern", expected)
    }
}

/// Checks that a text has 1 to `most` characters.
fn check_length(text: &str, most: usize) -> Result<(), Invalid> {
    if text.is_empty() || text.chars().nth(most).is_some() {
        return Err(Invalid::new("length", format!("expected a length from 1 to {most}")));
    }
    Ok(())
}

fn are_capitals(text: &str, number: usize) -> bool {
    text.len() == number && text.bytes().all(|letter| letter.is_ascii_uppercase())
}

fn expect(
    is_met: bool,
    text: &str,
    code: &'static str,
    expected: &'static str,
) -> Result<String, Invalid> {
    if is_met { Ok(text.to_owned()) } else { Err(Invalid::new(code, expected)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<R: Rule<Value: std::fmt::Debug>>(accepted: &[&str], refused: &[&str]) {
        for text in accepted.iter().copied().chain([R::EXAMPLE]) {
            assert!(R::parse(text).is_ok(), "{text:?}");
        }
        for text in refused {
            assert!(R::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_line_is_visible_text_without_control_characters() {
        check::<LineRule<16>>(
            &["a", " a ", "1 rue de la Paix", "寿司", "a\u{00A0}b", &"é".repeat(16)],
            &["", " ", "\u{00A0}", "\u{FEFF}", "a\0", "a\tb", "a\nb", "a\u{7F}", "a\u{85}"],
        );
        let code = |text: &str| Line::<3>::parse(text).unwrap_err().code;
        assert_eq!((code(""), code("abcd"), code("a\n")), ("length", "length", "text"));
    }

    #[test]
    fn a_currency_is_one_of_iso_4217_that_is_in_use() {
        check::<CurrencyRule>(
            &[],
            &["", "eur", "EU", "ABC", "EURO", "978", "XXX", "XTS", "XAU", "HRK", "ZWL"],
        );
        check::<AnyCurrencyRule>(&["HRK"], &["", "eur", "EU", "EURO", "978"]);
    }

    #[test]
    fn countries_are_two_capitals() {
        check::<CountryRule>(&[], &["", "F", "fr", "FRA", "É", "F1"]);
    }

    #[test]
    fn an_email_address_has_a_domain_that_exists_in_names() {
        let long = format!("ada@{}.fr", ["x".repeat(60).as_str(); 5].join("."));
        check::<EmailRule>(&["ada@exämple.fr"], &["", "ada", "ada@", "ada@xn--a.fr", &long]);
    }

    #[test]
    fn telephone_numbers_are_digits_and_what_groups_them() {
        check::<TelephoneRule>(
            &["0123", "(01) 02.03-04", &"1".repeat(30)],
            &["", "123", "+123", "++3312345", "01 02 x3", "0123\n", "٠١٢٣", &"1".repeat(31)],
        );
    }

    #[test]
    fn vat_numbers_begin_with_their_country() {
        check::<VatNumberRule>(
            &["IE1+23456A", "XX12", "NL123456789B01"],
            &["", "FR", "FR1", "fr40303265045", "4FR0303265045", "FR4 0303", "éFR12"],
        );
        check::<VatNumberRule>(&[], &["NL123456789B0123"]);
    }

    #[test]
    fn payment_methods_are_a_provider_and_what_it_wants() {
        check::<PaymentMethodRule>(
            &["sandbox", "card_2-x:Tok_1-A"],
            &["", ":", "sandbox:", ":ok", "Sandbox", "a b", "a:b:c", "é", "a\n", &"a".repeat(65)],
        );
    }
}
