//! Parses a column's JSON value and applies the mapping's `types`. No digit is lost, and no error
//! quotes a value.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::mapping::ColumnType;
use crate::numbers::{expanded, is_a_double, is_expanded, of_bytes, plain};

/// The problem with a value.
pub(crate) type Problem = Cow<'static, str>;

/// The connector's encoding of PostgreSQL's `infinity`: days and microseconds.
const INFINITE: [(i64, &str); 6] = [
    (2_147_483_647, "infinity"),
    (-2_147_483_648, "-infinity"),
    (9_223_372_036_825_200_000, "infinity"),
    (-9_223_372_036_832_400_000, "-infinity"),
    (i64::MAX, "infinity"),
    (i64::MIN, "-infinity"),
];
/// Microseconds and milliseconds of this size are not the days of PostgreSQL's infinity.
const LARGEST_DAYS: i64 = 2_147_483_648;

/// Parses a JSON value. A number that no machine number represents stays text, so that no digit is
/// lost.
pub(crate) fn read(raw: &str) -> Result<Value, Problem> {
    match raw.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => number(raw),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| not_json(raw))?;
            items.into_iter().map(|item| read(item.get())).collect()
        }
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_str(raw).map_err(|_| not_json(raw))?;
            let members = members.into_iter().map(|(name, value)| Ok((name, read(value.get())?)));
            Ok(Value::Object(members.collect::<Result<Map<_, _>, Problem>>()?))
        }
        _ => serde_json::from_str(raw).map_err(|_| not_json(raw)),
    }
}

/// The only invalid JSON that the reader of lines accepts: half of a surrogate pair.
fn not_json(raw: &str) -> Problem {
    let lower = raw.to_ascii_lowercase();
    if ["\\ud8", "\\ud9", "\\uda", "\\udb", "\\udc", "\\udd", "\\ude", "\\udf"]
        .iter()
        .any(|half| lower.contains(half))
    {
        return "contains half of a surrogate pair (`\\ud800` to `\\udfff`), which is not a character: \
                correct it in the legacy, or leave the column out"
            .into();
    }
    "is not JSON".into()
}

fn number(raw: &str) -> Result<Value, Problem> {
    if raw.bytes().skip(1).all(|byte| byte.is_ascii_digit()) {
        return Ok(match (raw.parse::<i64>(), raw.parse::<u64>()) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => Value::from(raw),
        });
    }
    // Rust's own parser is exact to the last bit; serde_json's is not by default.
    let read: f64 = raw.parse().map_err(|_| "is not a number")?;
    if is_a_double(raw, read) {
        return Ok(Value::from(read));
    }
    if !read.is_finite() || read == 0.0 {
        return Err(
            "is a number that does not fit into a double: give it a type, such as `decimal`".into(),
        );
    }
    Ok(Value::from(raw))
}

/// Converts a value according to a type.
pub(crate) fn typed(kind: Option<ColumnType>, raw: &str, value: Value) -> Result<Value, Problem> {
    let Some(kind) = kind else { return Ok(value) };
    match kind {
        ColumnType::Decimal => decimal(raw, value),
        ColumnType::Precise(scale) => precise(scale, value),
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampMs => time(kind, value),
    }
}

/// Parses a JSON value with a type, including a number that does not fit into a double if the type
/// allows it.
pub(crate) fn read_typed(kind: Option<ColumnType>, raw: &str) -> Result<Value, Problem> {
    let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if kind == Some(ColumnType::Decimal) && is_number {
        return decimal(raw, Value::Null);
    }
    typed(kind, raw, read(raw)?)
}

/// Returns a number or a text as decimal text.
fn decimal(raw: &str, value: Value) -> Result<Value, Problem> {
    match value {
        Value::Null if raw == "null" => Ok(Value::Null),
        Value::Null | Value::Number(_) => {
            plain(raw).map(Value::from).ok_or_else(|| TOO_MANY_DIGITS.into())
        }
        Value::String(text) => {
            if is_expanded(&text) {
                return Ok(Value::String(text));
            }
            let known = text.trim_matches(' ');
            if is_expanded(known) {
                return Ok(Value::from(known));
            }
            if ["NaN", "Infinity", "-Infinity", "infinity", "-infinity"].contains(&known) {
                return Ok(Value::from(known));
            }
            match expanded(known) {
                Some(text) => Ok(Value::from(text)),
                None if known.parse::<f64>().is_ok() => Err(TOO_MANY_DIGITS.into()),
                None => {
                    Err("is a text that is not a decimal: set `decimal.handling.mode=string` in \
                             the connector, or give its type as `{ precise = DECIMALS }` if the \
                             text is base64"
                        .into())
                }
            }
        }
        Value::Object(members) => variable_scale(&members),
        Value::Bool(_) | Value::Array(_) => Err(OTHER_TYPE.into()),
    }
}

const TOO_MANY_DIGITS: &str = "is a number with too many digits";
const OTHER_TYPE: &str = "has another type than the mapping's `types` says";

/// `{"scale", "value"}`, the connector's encoding of a numeric without a fixed scale.
fn variable_scale(members: &Map<String, Value>) -> Result<Value, Problem> {
    let scale = members.get("scale").and_then(Value::as_i64);
    let bytes = members.get("value").and_then(Value::as_str);
    let read = scale.zip(bytes).and_then(|(scale, bytes)| of_bytes(bytes, scale));
    read.map(Value::from).ok_or_else(|| {
        "is an object that is not a decimal: set `decimal.handling.mode=string` in the connector"
            .into()
    })
}

fn precise(scale: u32, value: Value) -> Result<Value, Problem> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::String(text) => {
            of_bytes(&text, i64::from(scale)).map(Value::from).ok_or_else(|| {
                "is not base64, as `precise` says: was `decimal.handling.mode` changed?".into()
            })
        }
        Value::Object(members) => variable_scale(&members),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(OTHER_TYPE.into()),
    }
}

/// Converts a number of days, microseconds or milliseconds to a date or a time; a text is unchanged.
fn time(kind: ColumnType, value: Value) -> Result<Value, Problem> {
    let number = match value {
        Value::Null => return Ok(Value::Null),
        Value::String(text) if text.parse::<i128>().is_err() => return Ok(Value::from(text)),
        Value::String(_) => None,
        Value::Number(number) => number.as_i64(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => return Err(OTHER_TYPE.into()),
    };
    let days = kind == ColumnType::Date;
    let infinite = number.and_then(|number| {
        let reach = |value: i64| days == (value.unsigned_abs() <= LARGEST_DAYS.unsigned_abs());
        INFINITE.iter().find(|(value, _)| *value == number && reach(*value))
    });
    if let Some((_, text)) = infinite {
        return Ok(Value::from(*text));
    }
    let (text, problem) = match kind {
        ColumnType::Date => (number.and_then(date), "is not a number of days"),
        ColumnType::Timestamp => {
            (number.and_then(|number| instant(number, 1)), "is not a number of microseconds")
        }
        _ => (number.and_then(|number| instant(number, 1_000)), "is not a number of milliseconds"),
    };
    text.map(Value::from).ok_or_else(|| problem.into())
}

/// Returns the date this many days after 1970-01-01, as ISO 8601: PostgreSQL's last year, 5874897, is
/// beyond the range of dates here, and stays text as infinity does. Returns `None` beyond what Debezium
/// can write. By H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date(days: i64) -> Option<String> {
    let days = i64::from(i32::try_from(days).ok()?) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Counted from March.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some(match year {
        0..=9_999 => format!("{year:04}-{month:02}-{day:02}"),
        year => format!("{year:+05}-{month:02}-{day:02}"),
    })
}

/// Returns the instant this many units after 1970-01-01T00:00:00Z, as RFC 3339; `unit` is the number of
/// microseconds of a unit.
fn instant(number: i64, unit: i64) -> Option<String> {
    const DAY: i64 = 86_400_000_000;
    let micros = i128::from(number) * i128::from(unit);
    let days = i64::try_from(micros.div_euclid(i128::from(DAY))).ok()?;
    let date = date(days)?;
    let within = i64::try_from(micros.rem_euclid(i128::from(DAY))).ok()?;
    let time = DateTime::from_timestamp_micros(within)?;
    let time = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    Some(format!("{date}{}", time.strip_prefix("1970-01-01")?))
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, TimeDelta};
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(ColumnType::Date, "20094", "2025-01-06")]
    #[case(ColumnType::Date, "-1", "1969-12-31")]
    #[case(ColumnType::Date, "2147483647", "infinity")]
    #[case(ColumnType::Date, "-2147483648", "-infinity")]
    #[case(ColumnType::Date, "\"infinity\"", "infinity")]
    #[case(ColumnType::Date, "2145042541", "+5874897-01-01")]
    #[case(ColumnType::Date, "-2440588", "-4713-11-24")]
    #[case(ColumnType::Timestamp, "9223371331199999999", "+294247-01-01T23:59:59.999999Z")]
    #[case(ColumnType::Timestamp, "-1", "1969-12-31T23:59:59.999999Z")]
    #[case(ColumnType::TimestampMs, "9223371331199000", "+294247-01-01T23:59:59Z")]
    #[case(ColumnType::Timestamp, "1795226582116067", "2026-11-21T02:03:02.116067Z")]
    #[case(ColumnType::Timestamp, "9223372036825200000", "infinity")]
    #[case(ColumnType::TimestampMs, "-9223372036832400000", "-infinity")]
    #[case(ColumnType::Timestamp, "\"-infinity\"", "-infinity")]
    #[case(ColumnType::Timestamp, "2147483647", "1970-01-01T00:35:47.483647Z")]
    #[case(ColumnType::Decimal, "30.700000000000003", "30.700000000000003")]
    #[case(ColumnType::Decimal, "1200.0", "1200")]
    #[case(ColumnType::Decimal, "12345678901234567.89", "12345678901234567.89")]
    #[case(ColumnType::Decimal, "0.1234567890123456789012345678", "0.1234567890123456789012345678")]
    #[case(ColumnType::Decimal, "\"79.9000\"", "79.9000")]
    #[case(ColumnType::Decimal, "\"12.50  \"", "12.50")]
    #[case(ColumnType::Decimal, "\"1.5E+3\"", "1500")]
    #[case(ColumnType::Decimal, "\"NaN\"", "NaN")]
    #[case(ColumnType::Decimal, "\"-Infinity\"", "-Infinity")]
    #[case(ColumnType::Decimal, "{\"scale\":2,\"value\":\"BOI=\"}", "12.50")]
    #[case(ColumnType::Precise(2), "\"BOI=\"", "12.50")]
    #[case(ColumnType::Precise(2), "\"1234\"", "-26588.24")]
    fn types_are_read_exactly(#[case] kind: ColumnType, #[case] raw: &str, #[case] read: &str) {
        assert_eq!(read_typed(Some(kind), raw), Ok(json!(read)));
        assert_eq!(read_typed(Some(kind), "null"), Ok(Value::Null));
    }

    #[rstest]
    #[case(Some(ColumnType::Date), "true", "another type")]
    #[case(Some(ColumnType::Date), "3000000000", "a number of days")]
    #[case(Some(ColumnType::TimestampMs), "9223372036854775000", "a number of milliseconds")]
    #[case(Some(ColumnType::Timestamp), "1.5", "a number of microseconds")]
    #[case(Some(ColumnType::Decimal), "\"BOI=\"", "decimal.handling.mode=string")]
    #[case(Some(ColumnType::Decimal), "\"1,5\"", "decimal.handling.mode=string")]
    #[case(Some(ColumnType::Decimal), "\"\"", "decimal.handling.mode=string")]
    #[case(Some(ColumnType::Decimal), "{\"wert\":\"Ada\"}", "decimal.handling.mode=string")]
    #[case(Some(ColumnType::Decimal), "1e999999", "too many digits")]
    #[case(Some(ColumnType::Decimal), "\"1e2000\"", "too many digits")]
    #[case(Some(ColumnType::Precise(2)), "\"12.50\"", "not base64")]
    #[case(None, "1e999", "not fit into a double")]
    #[case(None, "[1, 1e999]", "not fit into a double")]
    #[case(None, "\"\\ud83d x\"", "half of a surrogate pair")]
    #[case(None, "[\"\\ud83d x\"]", "half of a surrogate pair")]
    fn what_cannot_be_read_is_said(
        #[case] kind: Option<ColumnType>,
        #[case] raw: &str,
        #[case] said: &str,
    ) {
        let problem = read_typed(kind, raw).unwrap_err();
        assert!(problem.contains(said) && !problem.contains("Ada"), "{problem}");
    }

    #[test]
    fn dates_are_those_of_another_implementation_as_far_as_it_goes() {
        let epoch = NaiveDate::default();
        for days in (-95_000_000..95_000_000).step_by(9_973) {
            let known = epoch.checked_add_signed(TimeDelta::days(days)).unwrap();
            assert_eq!(date(days), Some(known.to_string()), "{days}");
        }
        for days in -1_500_000..1_500_000 {
            let known = epoch.checked_add_signed(TimeDelta::days(days)).unwrap();
            assert_eq!(date(days), Some(known.to_string()), "{days}");
        }
    }

    #[test]
    fn a_number_that_no_machine_number_holds_stays_text() {
        for raw in
            ["123456789012345678901234567890", "12345678901234567.89", "-9.99999999999999999"]
        {
            assert_eq!(read(raw), Ok(json!(raw)));
            assert_eq!(read(&format!("[{{\"a\":{raw}}}]")), Ok(json!([{ "a": raw }])));
        }
        assert_eq!(read("0.1"), Ok(json!(0.1)));
        assert_eq!(read("18446744073709551615"), Ok(json!(u64::MAX)));
    }
}
