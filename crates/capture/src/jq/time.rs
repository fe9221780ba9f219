//! Days and times for mapping programs: formats of legacies, and time zones.
//!
//! A day is a text such as `2008-07-14` (ISO 8601), a local time `2008-07-14T13:45:00`, an instant
//! `2008-07-14T11:45:00Z` (RFC 3339). Nothing depends on the clock or the time zone of the machine.

use std::str::FromStr as _;

use chrono::{
    DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, SecondsFormat,
};
use chrono::{TimeDelta, TimeZone as _};
use chrono_tz::Tz;
use jaq_json::Val;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::Error;
use super::natives::{complaint, text_of, whole_of};
use crate::numbers::plain;

const NOT_TEXT: &str = "a date must be text or a number";
const NOT_OF_FORM: &str = "the text does not match the date format";
const NO_SUCH_DAY: &str = "this day does not exist in the calendar";
const NO_SUCH_TIME: &str = "this time of day does not exist";
const NO_DAY_NUMBER: &str = "a day's number must be a whole number";
const OUT_OF_RANGE: &str =
    "the day is before the year 1000 or after 9999: most likely the format is wrong";
const NO_FORM: &str = "the date format is not valid";
const NO_ZONE: &str = "unknown time zone";
const NO_CHOICE: &str =
    "the choice for ambiguous times must be one of compatible, earlier, later, reject";
const NO_LOCAL_TIME: &str = "the value is not a local time such as 2008-07-14T13:45:00";
const NO_INSTANT: &str = "the value is not an instant such as 2008-07-14T11:45:00Z";
const NO_SECONDS: &str = "the text is not a number of seconds";
const NO_UNIT: &str = "the unit of a time must be one of s, ms, us";
const SKIPPED: &str = "this local time was skipped in the time zone";
const TWICE: &str = "this local time occurred twice in the time zone";

/// The error messages of these filters.
pub(super) const MESSAGES: &[&str] = &[
    NOT_TEXT,
    NOT_OF_FORM,
    NO_SUCH_DAY,
    NO_SUCH_TIME,
    NO_DAY_NUMBER,
    OUT_OF_RANGE,
    NO_FORM,
    NO_ZONE,
    NO_CHOICE,
    NO_LOCAL_TIME,
    NO_INSTANT,
    SKIPPED,
    TWICE,
    NO_SECONDS,
    NO_UNIT,
];

/// The Julian day number of 1970-01-01 (at noon).
const JULIAN_1970: i64 = 2_440_588;

/// A part of a date format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Hundreds of years since 1900, as in IBM i and JD Edwards.
    Century,
    Year(usize),
    Month(usize),
    Day(usize),
    DayOfYear,
    Hour(usize),
    Minute,
    Second,
    Fraction,
    Exactly(char),
}

impl Part {
    /// Returns the minimum and maximum number of digits.
    fn digits(self) -> (usize, usize) {
        match self {
            Self::Century => (1, 1),
            Self::Year(digits) => (digits, digits),
            Self::Month(1) | Self::Day(1) | Self::Hour(1) => (1, 2),
            Self::Month(_) | Self::Day(_) | Self::Hour(_) | Self::Minute | Self::Second => (2, 2),
            Self::DayOfYear => (3, 3),
            Self::Fraction => (1, 9),
            Self::Exactly(_) => (0, 0),
        }
    }
}

/// Returns the parts of a format such as `DD/MM/YYYY`; `None` if it is not valid.
fn parts(form: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = form.chars().peekable();
    while let Some(letter) = rest.next() {
        let mut run = 1;
        while letter.is_ascii_alphabetic() && rest.next_if_eq(&letter).is_some() {
            run += 1;
        }
        parts.push(match (letter, run) {
            ('C', 1) => Part::Century,
            ('Y' | 'A', 2 | 4) => Part::Year(run),
            ('M', 1 | 2) => Part::Month(run),
            ('D' | 'J', 1 | 2) => Part::Day(run),
            ('D' | 'J', 3) => Part::DayOfYear,
            ('H', 1 | 2) => Part::Hour(run),
            ('m', 2) => Part::Minute,
            ('s', 2) => Part::Second,
            ('S', _) => Part::Fraction,
            ('T', 1) => Part::Exactly('T'),
            (letter, _) if letter.is_ascii_alphanumeric() => return None,
            (other, _) => Part::Exactly(other),
        });
    }
    let count = |wanted: fn(&Part) -> bool| parts.iter().filter(|part| wanted(part)).count();
    let year = count(|part| matches!(part, Part::Year(_)));
    let month = count(|part| matches!(part, Part::Month(_)));
    let day = count(|part| matches!(part, Part::Day(_)));
    let ordinal = count(|part| matches!(part, Part::DayOfYear));
    let century = count(|part| *part == Part::Century);
    let two_digits = parts.contains(&Part::Year(2));
    let whole = year == 1 && matches!((month, day, ordinal), (1, 1, 0) | (0, 0, 1));
    (whole && (century == 0 || (century == 1 && two_digits))).then_some(parts)
}

/// The values in a text of some format.
#[derive(Debug, Default)]
struct Fields {
    century: Option<i32>,
    year: i32,
    year_digits: usize,
    month: u32,
    day: u32,
    ordinal: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
}

impl Fields {
    /// Parses a text; returns `None` if it does not match the format.
    fn read(text: &str, parts: &[Part]) -> Option<Self> {
        let mut fields = Self::default();
        let mut rest = text;
        for part in parts {
            if let Part::Exactly(character) = part {
                rest = rest.strip_prefix(*character)?;
                continue;
            }
            let (least, most) = part.digits();
            let found = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
            if found < least {
                return None;
            }
            let (digits, after) = rest.split_at(found);
            rest = after;
            let number: u32 = digits.parse().ok()?;
            match part {
                Part::Century => fields.century = Some(number.cast_signed()),
                Part::Year(digits) => {
                    (fields.year, fields.year_digits) = (number.cast_signed(), *digits);
                }
                Part::Month(_) => fields.month = number,
                Part::Day(_) => fields.day = number,
                Part::DayOfYear => fields.ordinal = Some(number),
                Part::Hour(_) => fields.hour = number,
                Part::Minute => fields.minute = number,
                Part::Second => fields.second = number,
                Part::Fraction => fields.nanos = number * 10_u32.pow(9 - found as u32),
                Part::Exactly(_) => {}
            }
        }
        rest.is_empty().then_some(fields)
    }

    fn year(&self) -> i32 {
        match (self.year_digits, self.century) {
            (4, _) => self.year,
            (_, Some(century)) => 1900 + 100 * century + self.year,
            // As POSIX defines `%y`: 69 to 99 are in the twentieth century.
            _ if self.year >= 69 => 1900 + self.year,
            _ => 2000 + self.year,
        }
    }

    fn day(&self) -> Result<NaiveDate, Error> {
        let day = match self.ordinal {
            Some(ordinal) => NaiveDate::from_yo_opt(self.year(), ordinal),
            None => NaiveDate::from_ymd_opt(self.year(), self.month, self.day),
        };
        within(day.ok_or_else(|| complaint(NO_SUCH_DAY))?)
    }
}

fn within(day: NaiveDate) -> Result<NaiveDate, Error> {
    use chrono::Datelike as _;
    if (1000..=9999).contains(&day.year()) { Ok(day) } else { Err(complaint(OUT_OF_RANGE)) }
}

/// Parses a value with a format; returns `None` for null, blanks and dates of zeros.
fn read(value: &Val, form: &Val) -> Result<Option<Fields>, Error> {
    if *value == Val::Null {
        return Ok(None);
    }
    let form = text_of(form).ok_or_else(|| complaint(NO_FORM))?;
    let parts = parts(&form).ok_or_else(|| complaint(NO_FORM))?;
    let text = text_of(value).or_else(|| whole_of(value).map(|number| number.to_string()));
    let mut text = text.ok_or_else(|| complaint(NOT_TEXT))?.trim().to_owned();
    let mut letters = text.chars().filter(|character| character.is_alphanumeric());
    if letters.all(|character| character == '0') {
        return Ok(None);
    }
    // A number has lost its leading zeros: 80714 is 080714.
    let digits = parts.iter().map(|part| part.digits());
    let fixed = digits.clone().all(|(least, most)| least == most && least > 0);
    if fixed && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let width = digits.map(|(least, _)| least).sum();
        text = format!("{text:0>width$}");
    }
    Fields::read(&text, &parts).map(Some).ok_or_else(|| complaint(NOT_OF_FORM))
}

fn day_text(day: NaiveDate) -> Val {
    Val::utf8_str(day.to_string())
}

fn local_text(time: NaiveDateTime) -> Val {
    Val::utf8_str(time.format("%Y-%m-%dT%H:%M:%S%.f").to_string())
}

/// `date($form)`: a day as `2008-07-14`.
pub(super) fn date(value: &Val, form: &Val) -> Result<Val, Error> {
    Ok(match read(value, form)? {
        Some(fields) => day_text(fields.day()?),
        None => Val::Null,
    })
}

/// `date_time($form)`: a local time as `2008-07-14T13:45:00`.
pub(super) fn date_time(value: &Val, form: &Val) -> Result<Val, Error> {
    let Some(fields) = read(value, form)? else { return Ok(Val::Null) };
    let Fields { hour, minute, second, nanos, .. } = fields;
    let time = NaiveTime::from_hms_nano_opt(hour, minute, second, nanos);
    let time = time.ok_or_else(|| complaint(NO_SUCH_TIME))?;
    Ok(local_text(fields.day()?.and_time(time)))
}

/// Returns whether a date format is valid.
pub(super) fn is_form(form: &str) -> bool {
    parts(form).is_some()
}

fn after(epoch: NaiveDate, days: i64) -> Result<Val, Error> {
    let day = match u64::try_from(days) {
        Ok(days) => epoch.checked_add_days(Days::new(days)),
        Err(_) => epoch.checked_sub_days(Days::new(days.unsigned_abs())),
    };
    within(day.ok_or_else(|| complaint(OUT_OF_RANGE))?).map(day_text)
}

/// Returns a whole number, also from text; `None` for null and blanks.
fn number(value: &Val) -> Result<Option<i64>, Error> {
    if *value == Val::Null {
        return Ok(None);
    }
    match (whole_of(value), text_of(value)) {
        (Some(number), _) => Ok(Some(number)),
        (None, Some(text)) if text.trim().is_empty() => Ok(None),
        (None, Some(text)) => text.trim().parse().map(Some).map_err(|_| complaint(NO_DAY_NUMBER)),
        _ => Err(complaint(NO_DAY_NUMBER)),
    }
}

/// `julian_day`: the day with a Julian day number; null for 0.
pub(super) fn julian_day(value: &Val) -> Result<Val, Error> {
    match number(value)? {
        None | Some(0) => Ok(Val::Null),
        Some(days) => after(NaiveDate::default(), days.saturating_sub(JULIAN_1970)),
    }
}

/// `days_since($day)`: the day that is a number of days after another.
pub(super) fn days_since(value: &Val, epoch: &Val) -> Result<Val, Error> {
    let epoch = text_of(epoch).and_then(|epoch| NaiveDate::from_str(&epoch).ok());
    let epoch = epoch.ok_or_else(|| complaint(NO_SUCH_DAY))?;
    number(value)?.map_or(Ok(Val::Null), |days| after(epoch, days))
}

/// The powers of ten of the units of `unix_time`.
const UNITS: [(&str, u32); 3] = [("s", 0), ("ms", 3), ("us", 6)];

/// Returns whether `unix_time` supports a unit.
pub(super) fn is_unit(unit: &str) -> bool {
    UNITS.iter().any(|(known, _)| *known == unit)
}

/// `unix_time($unit)`: the instant that is a number of seconds, or fractions, after 1970-01-01 UTC.
pub(super) fn unix_time(value: &Val, unit: &Val) -> Result<Val, Error> {
    let unit = text_of(unit).and_then(|unit| UNITS.iter().find(|(known, _)| *known == unit));
    let (_, power) = unit.ok_or_else(|| complaint(NO_UNIT))?;
    let text = match value {
        Val::Null => return Ok(Val::Null),
        Val::Num(number) => number.to_string(),
        value => text_of(value).ok_or_else(|| complaint(NO_SECONDS))?,
    };
    if text.trim().is_empty() {
        return Ok(Val::Null);
    }
    let plain = plain(text.trim()).ok_or_else(|| complaint(NO_SECONDS))?;
    let number = Decimal::from_str(&plain).map_err(|_| complaint(OUT_OF_RANGE))?;
    let micros = number.checked_mul(Decimal::from(10_u32.pow(6 - power)));
    let micros = micros.and_then(|micros| micros.round().to_i64());
    let instant = micros.and_then(DateTime::from_timestamp_micros);
    let instant = instant.filter(|instant| (1000..=9999).contains(&instant.year()));
    instant.map(|instant| instant_text(instant.naive_utc())).ok_or_else(|| complaint(OUT_OF_RANGE))
}

fn zone(name: &Val) -> Result<Tz, Error> {
    let name = text_of(name).ok_or_else(|| complaint(NO_ZONE))?;
    Tz::from_str(&name).map_err(|_| complaint(NO_ZONE))
}

/// Returns whether a time zone has this name.
pub(super) fn is_zone(name: &str) -> bool {
    Tz::from_str(name).is_ok()
}

/// Parses a local time: `2008-07-14T13:45:00`, with a blank instead of the `T`, or a day for its
/// midnight.
fn local(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    if let Ok(day) = NaiveDate::from_str(text) {
        return Some(day.and_time(NaiveTime::MIN));
    }
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let read = |form: &str| NaiveDateTime::parse_from_str(text, form).ok();
    forms.into_iter().find_map(read)
}

/// The choices for a local time that is not exactly one instant, as in ECMAScript's Temporal (TC39,
/// "disambiguation").
const CHOICES: [&str; 4] = ["compatible", "earlier", "later", "reject"];

/// Returns whether a choice is valid.
pub(super) fn is_choice(name: &str) -> bool {
    CHOICES.contains(&name)
}

/// `utc($zone; $choice)`: the instant of a local time.
///
/// For a time that occurred twice, `compatible` is the first one; a skipped time is read with the
/// offset before the gap, and so is later by the length of the gap (RFC 5545, section 3.3.5).
pub(super) fn utc(value: &Val, zone_name: &Val, choice: &Val) -> Result<Val, Error> {
    if *value == Val::Null {
        return Ok(Val::Null);
    }
    let zone = zone(zone_name)?;
    let choice = text_of(choice).filter(|choice| is_choice(choice));
    let choice = choice.ok_or_else(|| complaint(NO_CHOICE))?;
    let text = text_of(value).ok_or_else(|| complaint(NO_LOCAL_TIME))?;
    if text.trim().is_empty() {
        return Ok(Val::Null);
    }
    let time = local(&text).ok_or_else(|| complaint(NO_LOCAL_TIME))?;
    let (earlier, later, problem) = match zone.from_local_datetime(&time) {
        chrono::LocalResult::Single(instant) => {
            return Ok(instant_text(instant.naive_utc()));
        }
        chrono::LocalResult::Ambiguous(one, other) => {
            let (one, other) = (one.naive_utc(), other.naive_utc());
            (one.min(other), one.max(other), TWICE)
        }
        chrono::LocalResult::None => {
            // No time zone is more than 14 hours from UTC: these instants are certainly before and
            // after.
            let near = |hours| {
                let near = time.checked_add_signed(TimeDelta::hours(hours)).unwrap_or(time);
                let offset = zone.offset_from_utc_datetime(&near).fix();
                time - TimeDelta::seconds(i64::from(offset.local_minus_utc()))
            };
            (near(15), near(-15), SKIPPED)
        }
    };
    match (choice.as_str(), problem) {
        ("reject", problem) => Err(complaint(problem)),
        ("earlier", _) | ("compatible", TWICE) => Ok(instant_text(earlier)),
        _ => Ok(instant_text(later)),
    }
}

fn instant_text(time: NaiveDateTime) -> Val {
    Val::utf8_str(time.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Returns an instant, `None` for null and blanks.
fn instant(value: &Val) -> Result<Option<DateTime<chrono::FixedOffset>>, Error> {
    if *value == Val::Null {
        return Ok(None);
    }
    let text = text_of(value).ok_or_else(|| complaint(NO_INSTANT))?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    DateTime::parse_from_rfc3339(text).map(Some).map_err(|_| complaint(NO_INSTANT))
}

/// `local_time($zone)`: the local time in the time zone at an instant.
pub(super) fn local_time(value: &Val, zone_name: &Val) -> Result<Val, Error> {
    let Some(instant) = instant(value)? else { return Ok(Val::Null) };
    Ok(local_text(instant.with_timezone(&zone(zone_name)?).naive_local()))
}

/// `local_date($zone)`: the day in the time zone at an instant.
pub(super) fn local_date(value: &Val, zone_name: &Val) -> Result<Val, Error> {
    let Some(instant) = instant(value)? else { return Ok(Val::Null) };
    Ok(day_text(instant.with_timezone(&zone(zone_name)?).date_naive()))
}

/// `without_zone`: the local time part of an instant.
pub(super) fn without_zone(value: &Val) -> Result<Val, Error> {
    Ok(instant(value)?.map_or(Val::Null, |instant| local_text(instant.naive_local())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str, form: &str) -> Result<Val, Error> {
        date(&Val::utf8_str(text.to_owned()), &Val::utf8_str(form.to_owned()))
    }

    #[test]
    fn forms_are_read() {
        for (text, form, expected) in [
            ("20080714", "YYYYMMDD", "2008-07-14"),
            (" 20080714 ", "AAAAMMJJ", "2008-07-14"),
            ("14/07/2008", "JJ/MM/AAAA", "2008-07-14"),
            ("1/2/2008", "D/M/YYYY", "2008-02-01"),
            ("080714", "YYMMDD", "2008-07-14"),
            ("690714", "YYMMDD", "1969-07-14"),
            ("1080714", "CYYMMDD", "2008-07-14"),
            ("0990714", "CYYMMDD", "1999-07-14"),
            ("108196", "CYYDDD", "2008-07-14"),
            ("2008366", "YYYYDDD", "2008-12-31"),
            ("29.02.2008", "DD.MM.YYYY", "2008-02-29"),
        ] {
            assert_eq!(day(text, form).unwrap(), Val::utf8_str(expected.to_owned()), "{text}");
        }
        let number = date(&Val::from(80714_isize), &Val::utf8_str("YYMMDD".to_owned()));
        assert_eq!(number.unwrap(), Val::utf8_str("2008-07-14".to_owned()));
    }

    #[test]
    fn what_is_no_day_is_an_error_and_zeros_are_none() {
        for (text, form) in [
            ("31/02/2008", "DD/MM/YYYY"),
            ("29/02/2007", "DD/MM/YYYY"),
            ("20081301", "YYYYMMDD"),
            ("2007366", "YYYYDDD"),
            ("2008-7-14", "YYYY-MM-DD"),
            ("20080714 ", "YYYY-MM-DD"),
            ("200807141", "YYYYMMDD"),
            ("80714", "YYYYMMDD"),
            ("hier", "YYYYMMDD"),
            ("20080714", "YYYYMM"),
            ("20080714", "yyyymmdd"),
        ] {
            assert!(day(text, form).is_err(), "{text} {form}");
        }
        for (text, form) in [("", "YYYYMMDD"), ("        ", "YYYYMMDD"), ("00000000", "YYYYMMDD")] {
            assert_eq!(day(text, form).unwrap(), Val::Null);
        }
        assert_eq!(day("0000-00-00", "YYYY-MM-DD").unwrap(), Val::Null);
    }

    #[test]
    fn every_instant_of_a_year_comes_back_from_its_local_time() {
        let text = |text: &str| Val::utf8_str(text.to_owned());
        for zone in ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"] {
            let first = NaiveDate::from_ymd_opt(2008, 1, 1).unwrap().and_time(NaiveTime::MIN);
            for half_hours in 0..366 * 48 {
                let time = first + TimeDelta::minutes(30 * half_hours);
                let there = local_time(&instant_text(time), &text(zone)).unwrap();
                let choices = ["earlier", "later"];
                let back = choices.map(|choice| utc(&there, &text(zone), &text(choice)).unwrap());
                assert!(back.contains(&instant_text(time)), "{zone} {time}");
            }
        }
    }
}
