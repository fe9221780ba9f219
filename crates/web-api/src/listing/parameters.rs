//! The parameters of a sortable list: its order, its bounds, and its cursor.

use std::borrow::Cow;
use std::marker::PhantomData;

use base64::Engine as _;
use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::paging::{BASE64, Cursor};

/// A date that a list can be sorted by.
pub trait SortDate {
    /// The name of the field, of the parameter's value and of the column.
    const NAME: &'static str;
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The earliest date.
    OldestFirst,
    /// The latest date.
    NewestFirst,
}

/// The parameter `sort`: the name of the date, with `-` before it for newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort<D> {
    direction: Direction,
    date: PhantomData<D>,
}

impl<'de, D: SortDate> Deserialize<'de> for Sort<D> {
    fn deserialize<T: Deserializer<'de>>(deserializer: T) -> Result<Self, T::Error> {
        let text = String::deserialize(deserializer)?;
        let (direction, name) = match text.strip_prefix('-') {
            Some(name) => (Direction::NewestFirst, name),
            None => (Direction::OldestFirst, text.as_str()),
        };
        if name != D::NAME {
            let name = D::NAME;
            let expected = format!("expected {name} (oldest first) or -{name} (newest first)");
            return Err(de::Error::custom(expected));
        }
        Ok(Self { direction, date: PhantomData })
    }
}

impl<D: SortDate> PartialSchema for Sort<D> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some([D::NAME.to_owned(), format!("-{}", D::NAME)]))
            .into()
    }
}

/// A bound of a date: a time (RFC 3339), or a day, which means its start in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateBound(pub(super) DateTime<Utc>);

/// `2025-01-31`
const LENGTH_OF_DAY: usize = 10;

impl DateBound {
    fn from_text(text: &str) -> Option<Self> {
        if text.len() == LENGTH_OF_DAY {
            return text.parse().ok().map(|day| Self(start_of(day)));
        }
        let moment = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
        // Dates are stored to the microsecond: round the bound up to the next one.
        let whole = moment.trunc_subsecs(6);
        Some(Self(if whole < moment { whole + TimeDelta::microseconds(1) } else { whole }))
    }
}

impl<'de> Deserialize<'de> for DateBound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_text(&String::deserialize(deserializer)?).ok_or_else(|| {
            de::Error::custom("expected a day (2025-01-31) or a time (2025-01-31T12:00:00Z)")
        })
    }
}

impl PartialSchema for DateBound {
    fn schema() -> RefOr<Schema> {
        let text = |format| {
            let format = SchemaFormat::KnownFormat(format);
            ObjectBuilder::new().schema_type(Type::String).format(Some(format))
        };
        AnyOfBuilder::new()
            .description(Some("A time (RFC 3339), or a day, which means its start in UTC."))
            .item(text(KnownFormat::Date))
            .item(text(KnownFormat::DateTime))
            .examples(["2025-01-31", "2025-01-31T12:00:00Z"])
            .into()
    }
}

impl ToSchema for DateBound {
    fn name() -> Cow<'static, str> {
        "DateBound".into()
    }
}

/// Returns the start of a day in UTC: the time that represents it in lists.
pub fn start_of(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The first and the last second, since 1970 in UTC, of the four-digit years 0001 to 9999. Both
/// engines store the times between them, and compare them as sent.
const KEPT: (i64, i64) = (-62_135_596_800, 253_402_300_799);

fn second(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(number)
}

/// Returns a date as stored in a column: a date outside the range becomes the first or the last
/// second of it.
pub fn kept(date: DateTime<Utc>) -> DateTime<Utc> {
    date.clamp(second(KEPT.0), second(KEPT.1))
}

/// Returns the inclusive start and the exclusive end of all stored dates.
pub(super) fn ends() -> (DateTime<Utc>, DateTime<Utc>) {
    (second(KEPT.0), second(KEPT.1) + TimeDelta::microseconds(999_999))
}

/// The order and bounds of a request for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    pub(super) direction: Option<Direction>,
    pub(super) from: Option<DateBound>,
    pub(super) before: Option<DateBound>,
}

impl Dates {
    /// Creates it from query parameters: `from` is inclusive, `before` is exclusive.
    pub fn of<D: SortDate>(
        sort: Option<Sort<D>>,
        from: Option<DateBound>,
        before: Option<DateBound>,
    ) -> Self {
        Self { direction: sort.map(|sort| sort.direction), from, before }
    }

    /// Returns the requested order. A date range without `sort` is newest first by date, so that an
    /// index finds it.
    pub(super) fn direction(&self) -> Option<Direction> {
        let is_bounded = self.from.is_some() || self.before.is_some();
        self.direction.or(is_bounded.then_some(Direction::NewestFirst))
    }
}

/// A cursor of a sortable list: opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListCursor {
    /// In log order.
    Recorded(Cursor),
    /// In date order.
    Dated(DatedCursor),
}

/// A cursor in date order: the list continues after this row, if it is the same list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatedCursor {
    pub(super) list: Fingerprint,
    pub(super) microseconds: i64,
    pub(super) id: Uuid,
}

/// The fingerprint of a list's sort and filters.
pub(super) type Fingerprint = [u8; 8];

impl DatedCursor {
    const BYTES: usize = 32;

    pub(super) fn to_text(self) -> String {
        let parts = [&self.list[..], &self.microseconds.to_be_bytes(), self.id.as_bytes()];
        BASE64.encode(parts.concat())
    }

    fn from_text(text: &str) -> Option<Self> {
        let bytes: [u8; Self::BYTES] = BASE64.decode(text).ok()?.try_into().ok()?;
        let (list, rest) = bytes.split_first_chunk()?;
        let (microseconds, rest) = rest.split_first_chunk()?;
        Some(Self {
            list: *list,
            microseconds: i64::from_be_bytes(*microseconds),
            id: Uuid::from_slice(rest).ok()?,
        })
    }
}

impl<'de> Deserialize<'de> for ListCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let dated = DatedCursor::from_text(&text).map(Self::Dated);
        dated
            .or_else(|| Cursor::from_text(&text).map(Self::Recorded))
            .ok_or_else(|| de::Error::custom("expected a cursor from a Link header"))
    }
}

impl PartialSchema for ListCursor {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "Where the last page ended: the cursor in its Link header. Valid only with the sort and \
                 the filters of that page.",
            ))
            .min_length(Some(11))
            .max_length(Some(43))
            .pattern(Some("^[A-Za-z0-9_-]{11}([A-Za-z0-9_-]{32})?$"))
            .examples(["AAAAAAAAACo"])
            .into()
    }
}

impl ToSchema for ListCursor {
    fn name() -> Cow<'static, str> {
        "ListCursor".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_bound_is_a_day_or_a_moment() {
        for (text, expected) in [
            ("2025-01-31", "2025-01-31T00:00:00Z"),
            ("2025-01-31T12:00:00Z", "2025-01-31T12:00:00Z"),
            ("2025-01-31T00:30:00+01:00", "2025-01-30T23:30:00Z"),
            ("2025-01-31T12:00:00.000001Z", "2025-01-31T12:00:00.000001Z"),
            // What is as late as this is later than the microsecond before it.
            ("2025-01-31T12:00:00.0000011Z", "2025-01-31T12:00:00.000002Z"),
        ] {
            assert_eq!(DateBound::from_text(text), Some(DateBound(moment(expected))), "{text}");
        }
        for refused in ["", "2025", "2025-02-30", "2025-1-31", "2025-01-31T12:00:00", "yesterday"] {
            assert_eq!(DateBound::from_text(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_cursor_survives_the_way_to_the_client_and_back() {
        for microseconds in [0, -1, i64::MAX] {
            let cursor = DatedCursor { list: *b"12345678", microseconds, id: Uuid::from_u128(7) };
            let text = cursor.to_text();
            assert_eq!(text.len(), 43);
            assert_eq!(DatedCursor::from_text(&text), Some(cursor));
        }
        assert_eq!(DatedCursor::from_text(&Cursor(7).to_text()), None);
    }
}
