//! Numbers as Debezium writes them, without losing a digit: bare JSON numbers, decimal text, and
//! the bytes that `decimal.handling.mode=precise` writes.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Maximum number of digits of a decimal, written out.
const LONGEST: usize = 2_000;
/// Number of digits that binary floating point always represents exactly (IEEE 754).
const CERTAIN: usize = 15;
/// Maximum bytes of an unscaled number.
const MOST_BYTES: usize = 800;

/// Returns a number as decimal text without an exponent and without trailing zeros after the point,
/// with all its digits: `1200.0` is `1200`, `1e-7` is `0.0000001`. Returns `None` if it is not a
/// decimal number, or has too many digits.
pub(crate) fn plain(number: &str) -> Option<String> {
    let first = number.bytes().next()?;
    let whole = number.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    if whole && (matches!(first, b'1'..=b'9') || number == "0") {
        return Some(number.to_owned());
    }
    let text = expanded(number)?;
    if !text.contains('.') {
        return Some(text);
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    Some(if text == "-0" { "0".to_owned() } else { text.to_owned() })
}

/// Returns whether a text is a decimal number without an exponent.
pub(crate) fn is_expanded(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= LONGEST && !whole.is_empty() && is_digits(whole) && is_digits(decimals)
}

/// Returns a decimal number's text in normal form, which is the same for all equal numbers: `007` and
/// `7.00` are `7`. Any other text is unchanged.
pub(crate) fn normal(text: String) -> String {
    let known = text.trim_matches(' ');
    let known = known.strip_prefix('+').unwrap_or(known);
    if is_expanded(known) { plain(known).unwrap_or(text) } else { text }
}

/// Returns a number as decimal text without an exponent, with its number of decimals unchanged.
pub(crate) fn expanded(number: &str) -> Option<String> {
    let (negative, rest) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) || whole.len() + decimals.len() == 0 {
        return None;
    }
    let digits = format!("{whole}{decimals}");
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let count = i64::try_from(digits.len()).ok()?;
    if point.abs().max(count) > LONGEST as i64 {
        return None;
    }
    let point = point.clamp(-(LONGEST as i64), LONGEST as i64);
    let (whole, decimals) = if point <= 0 {
        (String::new(), format!("{}{digits}", "0".repeat(point.unsigned_abs() as usize)))
    } else if point >= count {
        (format!("{digits}{}", "0".repeat((point - count) as usize)), String::new())
    } else {
        let (whole, decimals) = digits.split_at(point as usize);
        (whole.to_owned(), decimals.to_owned())
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if negative && (whole != "0" || decimals.bytes().any(|byte| byte != b'0')) {
        "-"
    } else {
        ""
    };
    Some(if decimals.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{decimals}")
    })
}

/// Returns whether a JSON number equals the double that it parses to: no digit is lost.
pub(crate) fn is_a_double(number: &str, read: f64) -> bool {
    let digits = number.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    let digits = digits.filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0');
    let (mut count, mut zeros) = (0, 0);
    for digit in digits {
        count += 1;
        zeros = if digit == b'0' { zeros + 1 } else { 0 };
    }
    if count - zeros <= CERTAIN {
        return read.is_finite() && (read != 0.0 || count == 0);
    }
    // Some writers print more digits than needed to parse the same double.
    let written = plain(number);
    written == plain(&read.to_string()) || written == plain(&format!("{read:.16e}"))
}

/// Returns the decimal number of an unscaled number's bytes: two's complement, big-endian.
pub(crate) fn of_bytes(base64: &str, scale: i64) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    if bytes.is_empty() || bytes.len() > MOST_BYTES || scale.unsigned_abs() > LONGEST as u64 {
        return None;
    }
    let negative = bytes[0] & 0x80 != 0;
    let mut magnitude = bytes;
    if negative {
        // Two's complement negation: all bits inverted, plus one.
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            let (turned, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (turned, over);
        }
        if carry {
            magnitude.insert(0, 1);
        }
    }
    let mut digits: Vec<u8> = vec![0];
    for byte in magnitude {
        let mut carry = u32::from(byte);
        for digit in digits.iter_mut().rev() {
            let value = u32::from(*digit) * 256 + carry;
            *digit = (value % 10) as u8;
            carry = value / 10;
        }
        while carry > 0 {
            digits.insert(0, (carry % 10) as u8);
            carry /= 10;
        }
    }
    let text: String = digits.into_iter().map(|digit| char::from(b'0' + digit)).collect();
    let sign = if negative { "-" } else { "" };
    expanded(&format!("{sign}{text}e{}", -scale))
}

/// Orders texts as numbers if both are numbers, and numbers before other texts.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    match (number(one), number(other)) {
        (Some(left), Some(right)) => left.cmp(&right).then_with(|| one.cmp(other)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => one.cmp(other),
    }
}

/// A decimal number for ordering.
#[derive(PartialEq, Eq)]
struct Number {
    negative: bool,
    whole: String,
    decimals: String,
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    let text = plain(text)?;
    let (negative, rest) = text.strip_prefix('-').map_or((false, &*text), |rest| (true, rest));
    let (whole, decimals) = rest.split_once('.').unwrap_or((rest, ""));
    Some(Number { negative, whole: whole.to_owned(), decimals: decimals.to_owned() })
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.negative != other.negative {
            return other.negative.cmp(&self.negative);
        }
        let lengths = self.whole.len().cmp(&other.whole.len());
        let size = lengths.then_with(|| self.whole.cmp(&other.whole));
        let size = size.then_with(|| self.decimals.cmp(&other.decimals));
        if self.negative { size.reverse() } else { size }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_keeps_all_its_digits() {
        for (number, expected) in [
            ("30.700000000000003", "30.700000000000003"),
            ("12345678901234567.89", "12345678901234567.89"),
            ("0.1234567890123456789012345678", "0.1234567890123456789012345678"),
            ("1200.0", "1200"),
            ("1e-7", "0.0000001"),
            ("1.5E3", "1500"),
            ("-3.0", "-3"),
            ("-0.0", "0"),
            ("0017", "17"),
            ("1e30", "1000000000000000000000000000000"),
        ] {
            assert_eq!(plain(number).as_deref(), Some(expected), "{number}");
        }
        for text in ["", "-", ".", "1e", "1e9999999", "1,5", "NaN", "1 ", "BOI="] {
            assert_eq!(plain(text), None, "{text}");
        }
        assert_eq!(expanded("12.50").as_deref(), Some("12.50"));
        assert_eq!(expanded("12.50E1").as_deref(), Some("125.0"));
    }

    /// Kind: `decimal.handling.mode=precise`, `risingwavelabs/risingwave#10628`.
    #[test]
    fn the_bytes_of_an_unscaled_number_are_read() {
        for (bytes, scale, expected) in [
            ("BOI=", 2, "12.50"),
            ("Bw==", 0, "7"),
            ("AA==", 2, "0.00"),
            ("/w==", 0, "-1"),
            ("gA==", 0, "-128"),
            ("/wA=", 1, "-25.6"),
            ("AQ==", -3, "1000"),
            ("AQAAAAAAAAAAAAAAAAAAAAA=", 0, "340282366920938463463374607431768211456"),
        ] {
            assert_eq!(of_bytes(bytes, scale).as_deref(), Some(expected), "{bytes}");
        }
        assert_eq!(of_bytes("", 0), None);
        assert_eq!(of_bytes("12.50", 0), None);
    }

    #[test]
    fn doubles_are_told_from_numbers_that_would_lose_digits() {
        for (number, is) in [
            ("30.700000000000003", true),
            ("0.1", true),
            ("1e22", true),
            ("1e999", false),
            ("1e-999", false),
            ("0e-999", true),
            ("12345678901234567.89", false),
            ("9007199254740993.0", false),
            ("9007199254740992.0", true),
            ("0.1234567890123456789012345678", false),
        ] {
            assert_eq!(is_a_double(number, number.parse().unwrap()), is, "{number}");
        }
    }

    #[test]
    fn texts_are_ordered_as_numbers_where_they_are() {
        let mut texts = ["b", "10", "-2", "2", "1.5", "01", "a", "-10", "123456789012345678901"];
        texts.sort_by(|one, other| compare(one, other));
        assert_eq!(texts, ["-10", "-2", "01", "1.5", "2", "10", "123456789012345678901", "a", "b"]);
    }

    proptest! {
        #[test]
        fn every_double_is_one(number: f64) {
            prop_assume!(number.is_finite());
            let (plain, scientific) = (format!("{number:?}"), format!("{number:e}"));
            prop_assert!(is_a_double(&plain, number) && is_a_double(&scientific, number));
        }

        #[test]
        fn bytes_give_the_number_they_are_of(number: i64) {
            let base64 = BASE64_STANDARD.encode(number.to_be_bytes());
            prop_assert_eq!(of_bytes(&base64, 0), Some(number.to_string()));
        }
    }
}
