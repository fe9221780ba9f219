//! Texts and bytes for mapping programs: base64, hexadecimal, and texts that were decoded with the
//! wrong character set.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD};
use base64::{alphabet, engine::DecodePaddingMode};
use jaq_json::Val;

use super::Error;
use super::natives::{complaint, text_of};

const NOT_TEXT: &str = "only text can be decoded, encoded or repaired";
const NO_BASE64: &str = "the text is not base64";
const NO_HEX: &str = "the text is not hexadecimal";
const NO_CHARSET: &str = "unknown character set; the character sets are utf-8, cp1252, latin1";
const NOT_UTF8: &str = "the bytes are not UTF-8";

/// The error messages of these filters.
pub(super) const MESSAGES: &[&str] = &[NOT_TEXT, NO_BASE64, NO_HEX, NO_CHARSET, NOT_UTF8];

/// Padding may be missing, because some systems omit it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The characters of Windows-1252 from 0x80 to 0x9F; its five gaps are the control characters of
/// Latin-1 (WHATWG Encoding Standard, "index windows-1252").
const CP1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

/// A character set of bytes.
#[derive(Debug, Clone, Copy)]
enum Charset {
    Utf8,
    Cp1252,
    Latin1,
}

impl Charset {
    fn named(name: &str) -> Option<Self> {
        match name {
            "utf-8" => Some(Self::Utf8),
            "cp1252" => Some(Self::Cp1252),
            "latin1" => Some(Self::Latin1),
            _ => None,
        }
    }

    fn text(self, bytes: Vec<u8>) -> Result<Val, Error> {
        let text = match self {
            Self::Utf8 => String::from_utf8(bytes).map_err(|_| complaint(NOT_UTF8))?,
            Self::Latin1 => bytes.into_iter().map(char::from).collect(),
            Self::Cp1252 => bytes.into_iter().map(of_cp1252).collect(),
        };
        Ok(Val::utf8_str(text))
    }
}

/// Returns whether a character set has this name.
pub(super) fn is_charset(name: &str) -> bool {
    Charset::named(name).is_some()
}

fn of_cp1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => CP1252[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

/// Returns the byte that was decoded as a character, with Windows-1252 or Latin-1.
fn byte_of(character: char) -> Option<u8> {
    let known = CP1252.iter().position(|known| *known == character);
    known.map(|index| index as u8 + 0x80).or_else(|| u8::try_from(u32::from(character)).ok())
}

/// Decodes bytes that are encoded as text, with a character set.
fn decode(
    value: &Val,
    charset: &Val,
    bytes: impl FnOnce(&str) -> Result<Vec<u8>, Error>,
) -> Result<Val, Error> {
    if *value == Val::Null {
        return Ok(Val::Null);
    }
    let charset = text_of(charset).and_then(|name| Charset::named(&name));
    let charset = charset.ok_or_else(|| complaint(NO_CHARSET))?;
    let text = text_of(value).ok_or_else(|| complaint(NOT_TEXT))?;
    charset.text(bytes(text.trim())?)
}

/// `base64_decode($charset)`.
pub(super) fn base64_decode(value: &Val, charset: &Val) -> Result<Val, Error> {
    // Lines of 76 characters, as in MIME.
    let joined = |text: &str| text.split_ascii_whitespace().collect::<String>();
    decode(value, charset, |text| LENIENT.decode(joined(text)).map_err(|_| complaint(NO_BASE64)))
}

/// `hex_decode($charset)`. The prefixes `\x` and `0x` of databases are accepted.
pub(super) fn hex_decode(value: &Val, charset: &Val) -> Result<Val, Error> {
    let digits = |text: &str| {
        let prefixes = ["\\x", "0x", "0X"];
        let digits = prefixes.into_iter().find_map(|prefix| text.strip_prefix(prefix));
        hex::decode(digits.unwrap_or(text)).map_err(|_| complaint(NO_HEX))
    };
    decode(value, charset, digits)
}

fn encode(value: &Val, write: impl FnOnce(&str) -> String) -> Result<Val, Error> {
    if *value == Val::Null {
        return Ok(Val::Null);
    }
    let text = text_of(value).ok_or_else(|| complaint(NOT_TEXT))?;
    Ok(Val::utf8_str(write(&text)))
}

/// `base64_encode`: of a text's UTF-8.
pub(super) fn base64_encode(value: &Val) -> Result<Val, Error> {
    encode(value, |text| STANDARD.encode(text))
}

/// `hex_encode`: of a text's UTF-8.
pub(super) fn hex_encode(value: &Val) -> Result<Val, Error> {
    encode(value, |text| hex::encode(text))
}

/// `repair_utf8`: a text whose UTF-8 was decoded as Windows-1252 or Latin-1.
pub(super) fn repair_utf8(value: &Val) -> Result<Val, Error> {
    encode(value, without_mojibake)
}

/// `repair_cp1252`: a text whose Windows-1252 was decoded as Latin-1.
pub(super) fn repair_cp1252(value: &Val) -> Result<Val, Error> {
    let character = |character| match character {
        '\u{80}'..='\u{9f}' => CP1252[character as usize - 0x80],
        other => other,
    };
    encode(value, |text| text.chars().map(character).collect())
}

/// Joins sequences that were one character: two that begin with `Â`, `Ã`, `Ä` or `Å`, three that begin
/// with `â`. Western European texts have no others, and in correct texts other letters precede such
/// characters too (`CLICHÉ»`).
fn without_mojibake(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut repaired = String::with_capacity(text.len());
    let mut rest = characters.as_slice();
    while let Some((&first, after)) = rest.split_first() {
        let length = match first {
            '\u{c2}'..='\u{c5}' => 2,
            '\u{e2}' => 3,
            _ => 1,
        };
        let bytes = rest.get(..length).filter(|_| length > 1);
        let bytes = bytes.and_then(|part| part.iter().copied().map(byte_of).collect());
        let whole = bytes.and_then(|bytes: Vec<u8>| String::from_utf8(bytes).ok());
        let whole = whole.filter(|whole| whole.chars().count() == 1);
        match whole {
            Some(character) => {
                repaired.push_str(&character);
                rest = &rest[length..];
            }
            None => {
                repaired.push(first);
                rest = after;
            }
        }
    }
    repaired
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns UTF-8 decoded with another character set.
    fn misread(text: &str, character: fn(u8) -> char) -> String {
        text.bytes().map(character).collect()
    }

    #[test]
    fn utf8_read_otherwise_is_repaired_and_healthy_text_stays() {
        for text in ["É", "Œuf à la crème", "Noël", "l’été – 5 €", "Ñandú ß", "Łódź", "…"]
        {
            assert_eq!(without_mojibake(&misread(text, of_cp1252)), text);
            assert_eq!(without_mojibake(&misread(text, char::from)), text);
            assert_eq!(without_mojibake(text), text);
        }
        for healthy in ["« CLICHÉ»", "CLICHÉ»", "PÂTÉ", "Ã", "â la", "À «B»", "Café Å 5 €"]
        {
            assert_eq!(without_mojibake(healthy), healthy);
        }
        assert_eq!(without_mojibake("Café cassÃ©"), "Café cassé");
    }

    proptest! {
        #[test]
        fn whatever_text_of_western_europe_comes_back(text in "[ -~À-ÿŒœŠšŽžŸ€’“”–—…]{0,40}") {
            prop_assert_eq!(without_mojibake(&misread(&text, of_cp1252)), text.clone());
            let bytes: Option<Vec<u8>> = text.chars().map(byte_of).collect();
            let as_latin1: String = bytes.unwrap().into_iter().map(char::from).collect();
            let repaired = repair_cp1252(&Val::utf8_str(as_latin1)).unwrap();
            prop_assert_eq!(repaired, Val::utf8_str(text));
        }
    }
}
