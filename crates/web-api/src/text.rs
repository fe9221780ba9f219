//! Rules for texts that new business brings in, for `#[validate(custom(function = "…"))]`.
//!
//! Lengths are validator's `length(min, max)`, counted in characters as JSON Schema counts them.
//! Each rule has the pattern that says the same in the OpenAPI document: a derive takes literals
//! only, so it is copied there.

use kernel::money::Currency;
use validator::ValidationError;

/// The pattern of [`line()`].
pub const LINE_PATTERN: &str = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$";

/// The pattern of [`lines()`].
pub const LINES_PATTERN: &str = r"^[^\u0000-\u0009\u000B-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u0009\u000B-\u001F\u007F-\u009F]*$";

/// The pattern of [`payment_method()`].
pub const PAYMENT_METHOD_PATTERN: &str = "^[a-z0-9_-]+(:[A-Za-z0-9_-]+)?$";

/// The pattern of [`currency()`], as far as a pattern can say it.
pub const CURRENCY_PATTERN: &str = "^[A-Z]{3}$";

/// One line of text: something visible, and no control characters (line breaks are some).
pub fn line(text: &str) -> Result<(), ValidationError> {
    check(text, char::is_control, "expected one line of visible text, without control characters")
}

/// Several lines of text: something visible, and no control characters but line feeds.
pub fn lines(text: &str) -> Result<(), ValidationError> {
    let is_refused = |character: char| character.is_control() && character != '\n';
    check(text, is_refused, "expected visible text, without control characters but line feeds")
}

fn check(
    text: &str,
    is_refused: impl Fn(char) -> bool,
    message: &'static str,
) -> Result<(), ValidationError> {
    // U+FEFF is white space to regular expressions (ECMA-262), not to Unicode.
    let is_visible = |character: char| {
        !character.is_whitespace() && !character.is_control() && character != '\u{FEFF}'
    };
    if text.chars().any(is_visible) && !text.chars().any(is_refused) {
        return Ok(());
    }
    Err(ValidationError::new("text").with_message(message.into()))
}

/// A currency of ISO 4217 in use, by its code in capitals.
pub fn currency(code: &str) -> Result<(), ValidationError> {
    match Currency::in_use(code) {
        Some(_) => Ok(()),
        None => Err(ValidationError::new("currency")
            .with_message("expected the ISO 4217 code of a currency in use, such as EUR".into())),
    }
}

/// How something is paid: a provider in small letters and, after a colon, what it wants.
pub fn payment_method(text: &str) -> Result<(), ValidationError> {
    let word = |text: &str| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        !text.is_empty() && text.chars().all(allowed)
    };
    let (provider, detail) = text.split_once(':').map_or((text, None), |(a, b)| (a, Some(b)));
    let provider_is_lower_case = !provider.contains(|letter: char| letter.is_ascii_uppercase());
    if word(provider) && provider_is_lower_case && detail.is_none_or(word) {
        return Ok(());
    }
    let expected = "expected a provider in small letters, such as `sandbox`, or `sandbox:ok`";
    Err(ValidationError::new("pattern").with_message(expected.into()))
}

/// The form of a currency code, three capitals, in use or not: for looking things up, since what was
/// imported may be in a currency that is gone.
pub fn currency_form(code: &str) -> Result<(), ValidationError> {
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(ValidationError::new("currency").with_message("expected three capitals such as EUR".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_visible_text_without_control_characters() {
        for accepted in ["a", " a ", "1 rue de la Paix", "寿司", "a\u{00A0}b"] {
            assert!(line(accepted).is_ok(), "{accepted:?}");
            assert!(lines(accepted).is_ok(), "{accepted:?}");
        }
        for refused in ["", " ", "\u{00A0}", "\u{FEFF}", "a\0", "a\tb", "a\u{7F}", "a\u{85}"] {
            assert!(line(refused).is_err(), "{refused:?}");
            assert!(lines(refused).is_err(), "{refused:?}");
        }
        assert!(line("a\nb").is_err());
        assert!(lines("a\nb").is_ok());
        assert!(lines("\n").is_err());
    }

    #[test]
    fn a_currency_is_one_of_iso_4217_that_is_in_use() {
        assert!(currency("EUR").is_ok());
        for refused in ["", "eur", "EU", "ABC", "EURO", "978", "XXX", "XTS", "XAU", "HRK", "ZWL"] {
            assert!(currency(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn payment_methods_are_a_provider_and_what_it_wants() {
        for accepted in ["sandbox", "sandbox:ok", "card_2-x:Tok_1-A"] {
            assert!(payment_method(accepted).is_ok(), "{accepted}");
        }
        for refused in ["", ":", "sandbox:", ":ok", "Sandbox", "a b", "a:b:c", "é", "a\n"] {
            assert!(payment_method(refused).is_err(), "{refused}");
        }
    }
}
