//! Lists that can be sorted and filtered by a date, such as the date an order was placed.
//!
//! Without `sort` and bounds a list is in log order, newest first, like [`Paging`]. With them it is
//! ordered by the date, equal dates by their ids. Pages start at the key of the last row, never at a
//! row number.

mod parameters;

use chrono::{DateTime, Utc};
use database::{DatabaseError, Executor, Query, Row, Statement};
use kernel::execution::Environment;
use serde::Serialize;
use uuid::Uuid;

pub use self::parameters::{
    DateBound, DatedCursor, Dates, Direction, ListCursor, Sort, SortDate, kept, start_of,
};
use self::parameters::{Fingerprint, ends};
use crate::answer::ReadRequest;
use crate::paging::{Cursor, Limit, Page, Paging};
use crate::problem::{Problem, ProblemKind};

/// The statements of a list, one for each order. Created by
/// [`list_statements!`](crate::list_statements), and kept in a list of their own by
/// [`database::statements!`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListStatements {
    /// The column of the date.
    pub date: &'static str,
    /// In log order, newest first.
    pub recorded: Statement,
    /// By the date, earliest first.
    pub oldest_first: Statement,
    /// By the date, latest first.
    pub newest_first: Statement,
    /// The index that finds the rows in log order. If it is the same as that of the dates, it is the
    /// index of a selective filter, whose few rows may be sorted.
    pub recorded_index: &'static str,
    /// The index that finds the rows in date order.
    pub dated_index: &'static str,
}

/// Creates the [`ListStatements`] of a list. `select` is their common start, up to the last
/// condition of the filters; it selects `id`, `position` and the date. `date` is the column of the
/// date. `end` are the four parameters after those of the filters, for the bounds of a page.
/// `indexes` are those of the log order and of the dates; a test checks that the query plans use
/// them.
#[macro_export]
macro_rules! list_statements {
    (
        select: [$($select:tt)+],
        date: $date:literal,
        end: [$a:literal, $b:literal, $c:literal, $d:literal],
        indexes: [$recorded:literal, $dated:literal] $(,)?
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
            recorded_index: $recorded,
            dated_index: $dated,
        }
    };
}

/// For [`list_statements!`](crate::list_statements): one text for both engines.
pub const fn same(text: &'static str) -> Statement {
    Statement::Same(text)
}

/// The selected rows of a list, and their order.
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

/// A range of a list in date order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    direction: Direction,
    /// The key after which the rows start, in the order's direction.
    after: (DateTime<Utc>, Uuid),
    /// The end of the range.
    end: DateTime<Utc>,
    list: Fingerprint,
}

/// The place of a row in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// In log order.
    Recorded(i64),
    /// In date order.
    Dated(DateTime<Utc>, Uuid),
}

impl List {
    /// Creates the selection of a list in log order.
    pub fn recorded(paging: Paging) -> Self {
        Self { limit: paging.limit(), order: Order::Recorded(paging) }
    }

    /// Reads a page and one more row, which shows whether there is another page. `filter` binds the
    /// parameters of the filters, `read` parses a row.
    pub async fn rows<'c, T>(
        &self,
        of: impl Executor<'c>,
        statements: &ListStatements,
        filter: impl FnOnce(Query<'c>) -> Query<'c>,
        read: impl Fn(&Row) -> Result<T, DatabaseError>,
    ) -> Result<Vec<(SortKey, T)>, DatabaseError> {
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

    fn place(&self, row: &Row, statements: &ListStatements) -> Result<SortKey, DatabaseError> {
        Ok(match self.order {
            Order::Recorded(_) => SortKey::Recorded(row.get("position")?),
            Order::Dated(_) => SortKey::Dated(row.get(statements.date)?, row.get("id")?),
        })
    }

    /// Returns the items to show, and the cursor of the next page.
    pub(crate) fn cut<T>(&self, mut rows: Vec<(SortKey, T)>) -> (Page<T>, Option<String>) {
        let shown = self.limit.shown();
        let next = if rows.len() > shown {
            rows.truncate(shown);
            rows.last().and_then(|(place, _)| self.cursor(*place))
        } else {
            None
        };
        (Page { items: rows.into_iter().map(|(_, item)| item).collect() }, next)
    }

    fn cursor(&self, last: SortKey) -> Option<String> {
        match (self.order, last) {
            (Order::Recorded(_), SortKey::Recorded(position)) => {
                position.try_into().ok().map(|position| Cursor(position).to_text())
            }
            (Order::Dated(Span { list, .. }), SortKey::Dated(date, id)) => {
                let microseconds = date.timestamp_micros();
                Some(DatedCursor { list, microseconds, id }.to_text())
            }
            _ => None,
        }
    }
}

impl Span {
    fn of(dates: Dates, direction: Direction, list: Fingerprint) -> Self {
        let (first, last) = ends();
        let within = |bound: DateBound| bound.0.clamp(first, last);
        let (from, before) = (dates.from.map_or(first, within), dates.before.map_or(last, within));
        // No row has the nil id: a range that starts after it includes the whole of its date, one
        // that ends before it nothing of it.
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
    /// Returns the requested part of a list. 422 for a cursor of another sort or filter.
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

    /// Returns a page of a list from the rows that were read.
    pub fn listed<T: Serialize>(
        &self,
        list: &List,
        rows: Vec<(SortKey, T)>,
    ) -> actix_web::HttpResponse {
        let (page, next) = list.cut(rows);
        self.linked(&page, next)
    }

    /// Returns the fingerprint of what all pages of a list share: everything except size and cursor.
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
        "The cursor belongs to a request with another sort or filter. Restart without a cursor.",
    )
}

#[cfg(test)]
mod tests {
    use super::parameters::ends;
    use super::*;

    #[test]
    fn bounds_beyond_what_is_kept_leave_nothing_out() {
        let bound = |text: &str| Some(DateBound(text.parse().unwrap()));
        let from = bound("-0044-03-15T00:00:00Z");
        let before = bound("+12025-01-01T00:00:00Z");
        let dates = Dates { direction: None, from, before };
        let span = Span::of(dates, Direction::NewestFirst, [0; 8]);
        assert_eq!((span.end, span.after.0), ends());
    }
}
