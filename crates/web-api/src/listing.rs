//! Lists that can be sorted and narrowed by a date of what they hold: when an order was placed, say.
//!
//! Without `sort` and bounds a list is in the order of the log, newest first, as [`Paging`] has it.
//! With them it is in the order of the date, with equal dates in the order of their ids. Pages are found
//! by the key of the last row, and never by how many rows there are before it.

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

/// The statements of a list, one for each order. Made by [`list_statements!`](crate::list_statements), and
/// kept in a list of their own by [`database::statements!`].
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
    /// The index that finds the rows in the order of the log. Where it is that of the dates, too, it is of a
    /// filter that leaves few rows, which may be sorted.
    pub recorded_index: &'static str,
    /// The index that finds the rows in the order of the dates.
    pub dated_index: &'static str,
}

/// The [`ListStatements`] of a list. `select` is what they begin with, up to the last condition of the
/// filters; it selects `id`, `position` and the date. `date` is the column of the date. `end` are the four
/// parameters after those of the filters, for where a page begins and ends. `indexes` are those of the log's
/// order and of the dates, which a test finds in the plans.
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
        let (first, last) = ends();
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
