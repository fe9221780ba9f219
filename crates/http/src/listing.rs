//! Lists that can be sorted and narrowed by a date of what they hold: when an order was placed, say.
//!
//! Without `sort` and bounds a list is in the order of the log, newest first, as [`Paging`] has it.
//! With them it is in the order of the date, with equal dates in the order of their ids. Pages are found
//! by the key of the last row, and never by how many rows there are before it.

use std::borrow::Cow;
use std::marker::PhantomData;

use base64::Engine as _;
use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound as _, TimeDelta, Utc};
use database::{DatabaseError, Executor, Query, Row, Statement};
use kernel::execution::Environment;
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::answer::ReadRequest;
use crate::paging::{BASE64, Cursor, Limit, Page, Paging};
use crate::problem::{Problem, ProblemKind};

/// A date that a list can be sorted by.
pub trait SortDate {
    /// The name of the field, of the parameter's values and of the column.
    const NAME: &'static str;
}

/// Which end of a list comes first.
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

/// A bound of a date: a moment (RFC 3339), or a day, which stands for its start in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateBound(DateTime<Utc>);

/// `2025-01-31`
const LENGTH_OF_DAY: usize = 10;

impl DateBound {
    fn from_text(text: &str) -> Option<Self> {
        if text.len() == LENGTH_OF_DAY {
            return text.parse().ok().map(|day| Self(start_of(day)));
        }
        let moment = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
        // Dates are kept to the microsecond: what is not before a bound is not before the next of them.
        let whole = moment.trunc_subsecs(6);
        Some(Self(if whole < moment { whole + TimeDelta::microseconds(1) } else { whole }))
    }
}

impl<'de> Deserialize<'de> for DateBound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_text(&String::deserialize(deserializer)?).ok_or_else(|| {
            de::Error::custom("expected a day (2025-01-31) or a moment (2025-01-31T12:00:00Z)")
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

/// When a day begins, in UTC: the moment that stands for it in lists.
pub fn start_of(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The earliest and the latest moment that both engines keep, and compare as they come: years of four
/// digits.
fn bounds() -> (DateTime<Utc>, DateTime<Utc>) {
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default();
    let (first, last) = (start_of(day(1, 1, 1)), start_of(day(9999, 12, 31)));
    (first, last + TimeDelta::days(1) - TimeDelta::microseconds(1))
}

/// A date as a column keeps it: the first or the last one that it can, for one beyond those. The very last
/// moment is left free, so that every row is before it.
pub fn kept(date: DateTime<Utc>) -> DateTime<Utc> {
    let (first, last) = bounds();
    date.clamp(first, last - TimeDelta::seconds(1) + TimeDelta::microseconds(1))
}

/// What a request says of a list's date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    direction: Option<Direction>,
    from: Option<DateBound>,
    before: Option<DateBound>,
}

impl Dates {
    /// Of the parameters of a query: `from` is included, `before` is not.
    pub fn of<D: SortDate>(
        sort: Option<Sort<D>>,
        from: Option<DateBound>,
        before: Option<DateBound>,
    ) -> Self {
        Self { direction: sort.map(|sort| sort.direction), from, before }
    }

    /// The order that is asked for. A part of the time is newest first unless said otherwise, and in the
    /// order of its date: so it is found by an index.
    fn direction(&self) -> Option<Direction> {
        let is_bounded = self.from.is_some() || self.before.is_some();
        self.direction.or(is_bounded.then_some(Direction::NewestFirst))
    }
}

/// Where a list that may be sorted goes on: opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListCursor {
    /// In the order of the log.
    Recorded(Cursor),
    /// In the order of a date.
    Dated(DatedCursor),
}

/// Where a list in the order of a date goes on: after this row, if it is the same list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatedCursor {
    list: Fingerprint,
    microseconds: i64,
    id: Uuid,
}

/// Of the sort and the filters of a list.
type Fingerprint = [u8; 8];

impl DatedCursor {
    const BYTES: usize = 32;

    fn to_text(self) -> String {
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
            .ok_or_else(|| de::Error::custom("expected the cursor of a Link header"))
    }
}

impl PartialSchema for ListCursor {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "Where the last answer ended: taken from its Link header. Good for the sort and the \
                 filters of that answer.",
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

/// The statements of a list, one for each order. Made by [`list_statements!`](crate::list_statements).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListStatements {
    /// The column of the date.
    pub date: &'static str,
    /// In the order of the log, newest first.
    pub recorded: Statement,
    /// By the date, earliest first.
    pub oldest_first: Statement,
    /// By the date, latest first.
    pub newest_first: Statement,
}

/// The [`ListStatements`] of a list. `select` is what they begin with, up to the last condition of the
/// filters; it selects `id`, `position` and the date. `date` is the column of the date. `end` are the four
/// parameters after those of the filters, for where a page begins and ends.
#[macro_export]
macro_rules! list_statements {
    (
        select: [$($select:tt)+],
        date: $date:literal,
        end: [$a:literal, $b:literal, $c:literal, $d:literal] $(,)?
    ) => {
        $crate::ListStatements {
            date: $date,
            recorded: $crate::listing::same(concat!(
                $($select)+, " AND position < ", $a, " ORDER BY position DESC LIMIT ", $b
            )),
            oldest_first: $crate::listing::same(concat!(
                $($select)+, " AND ", $date, " < ", $a, " AND (", $date, ", id) > (", $b, ", ", $c,
                ") ORDER BY ", $date, ", id LIMIT ", $d
            )),
            newest_first: $crate::listing::same(concat!(
                $($select)+, " AND ", $date, " >= ", $a, " AND (", $date, ", id) < (", $b, ", ", $c,
                ") ORDER BY ", $date, " DESC, id DESC LIMIT ", $d
            )),
        }
    };
}

/// For [`list_statements!`](crate::list_statements): one text for both engines.
pub const fn same(text: &'static str) -> Statement {
    Statement::Same(text)
}

/// Which rows of a list are wanted, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    limit: Limit,
    order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Recorded(Paging),
    Dated(Span),
}

/// A part of a list in the order of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    direction: Direction,
    /// The key that its rows come after, in its direction.
    after: (DateTime<Utc>, Uuid),
    /// Where it ends.
    end: DateTime<Utc>,
    list: Fingerprint,
}

/// Where a row stands in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the order of the log.
    Recorded(i64),
    /// In the order of a date.
    Dated(DateTime<Utc>, Uuid),
}

impl List {
    /// A list in the order of the log.
    pub fn recorded(paging: Paging) -> Self {
        Self { limit: paging.limit(), order: Order::Recorded(paging) }
    }

    /// Reads a page and a row more, which tells whether there is another page. `filter` gives the
    /// parameters of the filters their values, `read` reads a row.
    pub async fn rows<'c, T>(
        &self,
        of: impl Executor<'c>,
        statements: &ListStatements,
        filter: impl FnOnce(Query<'c>) -> Query<'c>,
        read: impl Fn(&Row) -> Result<T, DatabaseError>,
    ) -> Result<Vec<(Place, T)>, DatabaseError> {
        let page = match self.order {
            Order::Recorded(paging) => {
                filter(of.query(&statements.recorded)).bind(paging.before()).bind(paging.rows())
            }
            Order::Dated(Span { direction, after: (date, id), end, .. }) => {
                let statement = match direction {
                    Direction::OldestFirst => &statements.oldest_first,
                    Direction::NewestFirst => &statements.newest_first,
                };
                filter(of.query(statement)).bind(end).bind(date).bind(id).bind(self.limit.rows())
            }
        };
        let rows = page.fetch_all().await?;
        rows.iter().map(|row| Ok((self.place(row, statements)?, read(row)?))).collect()
    }

    fn place(&self, row: &Row, statements: &ListStatements) -> Result<Place, DatabaseError> {
        Ok(match self.order {
            Order::Recorded(_) => Place::Recorded(row.get("position")?),
            Order::Dated(_) => Place::Dated(row.get(statements.date)?, row.get("id")?),
        })
    }

    /// The items to show, and the cursor of the next page.
    pub(crate) fn cut<T>(&self, mut rows: Vec<(Place, T)>) -> (Page<T>, Option<String>) {
        let shown = self.limit.shown();
        let next = if rows.len() > shown {
            rows.truncate(shown);
            rows.last().and_then(|(place, _)| self.cursor(*place))
        } else {
            None
        };
        (Page { items: rows.into_iter().map(|(_, item)| item).collect() }, next)
    }

    fn cursor(&self, last: Place) -> Option<String> {
        match (self.order, last) {
            (Order::Recorded(_), Place::Recorded(position)) => {
                position.try_into().ok().map(|position| Cursor(position).to_text())
            }
            (Order::Dated(Span { list, .. }), Place::Dated(date, id)) => {
                let microseconds = date.timestamp_micros();
                Some(DatedCursor { list, microseconds, id }.to_text())
            }
            _ => None,
        }
    }
}

impl Span {
    fn of(dates: Dates, direction: Direction, list: Fingerprint) -> Self {
        let (first, last) = bounds();
        let within = |bound: DateBound| bound.0.clamp(first, last);
        let (from, before) = (dates.from.map_or(first, within), dates.before.map_or(last, within));
        // No row has the id of zeros: what comes after it is the whole of its date, what comes before
        // it nothing of it.
        let (start, end) = match direction {
            Direction::OldestFirst => (from, before),
            Direction::NewestFirst => (before, from),
        };
        Self { direction, after: (start, Uuid::nil()), end, list }
    }

    fn after(self, cursor: DatedCursor) -> Option<Self> {
        let date = DateTime::from_timestamp_micros(cursor.microseconds)?;
        (cursor.list == self.list).then_some(Self { after: (date, cursor.id), ..self })
    }
}

impl ReadRequest {
    /// The part of a list that is asked for. 422 for a cursor of another sort or filter.
    pub fn list(
        &self,
        environment: &Environment,
        limit: Option<Limit>,
        cursor: Option<ListCursor>,
        dates: Dates,
    ) -> Result<List, Problem> {
        let limit = limit.unwrap_or_default();
        let Some(direction) = dates.direction() else {
            let cursor = match cursor {
                None => None,
                Some(ListCursor::Recorded(cursor)) => Some(cursor),
                Some(ListCursor::Dated(_)) => return Err(another_list()),
            };
            return Ok(List::recorded(Paging::of(Some(limit), cursor)));
        };
        let span = Span::of(dates, direction, self.fingerprint(environment));
        let span = match cursor {
            None => Some(span),
            Some(ListCursor::Dated(cursor)) => span.after(cursor),
            Some(ListCursor::Recorded(_)) => None,
        };
        Ok(List { limit, order: Order::Dated(span.ok_or_else(another_list)?) })
    }

    /// A page of a list, its rows as they were read.
    pub fn listed<T: Serialize>(
        &self,
        list: &List,
        rows: Vec<(Place, T)>,
    ) -> actix_web::HttpResponse {
        let (page, next) = list.cut(rows);
        self.linked(&page, next)
    }

    /// What a page has in common with the next one: everything but its size and where it begins.
    fn fingerprint(&self, environment: &Environment) -> Fingerprint {
        let mut parameters: Vec<_> =
            self.parameters().filter(|(name, _)| name != "limit").collect();
        parameters.sort_unstable();
        let parameters =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let list = format!("{}?{parameters}", self.path());
        let [a, b, c, d, e, f, g, h, ..] = environment.lookup_key.digest("list cursor", &list);
        [a, b, c, d, e, f, g, h]
    }
}

fn another_list() -> Problem {
    Problem::new(
        ProblemKind::CursorMismatch,
        "The cursor was made by a request with another sort or filter. Start again without it.",
    )
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

    #[test]
    fn bounds_beyond_what_is_kept_leave_nothing_out() {
        let bound = |text| Some(DateBound(moment(text)));
        let from = bound("-0044-03-15T00:00:00Z");
        let before = bound("+12025-01-01T00:00:00Z");
        let dates = Dates { direction: None, from, before };
        let span = Span::of(dates, Direction::NewestFirst, [0; 8]);
        assert_eq!((span.end, span.after.0), bounds());
    }
}
