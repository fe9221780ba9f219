//! Lists in pages: `{"items": […]}`, and a `Link` to the next page.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use kernel::event::Position;
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A page of a list. The `Link` header refers to the next page, if there is one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
}

/// Maximum number of items per page (1–200, default 50).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    const MOST: u16 = 200;

    /// Returns the number of items per page.
    pub(crate) fn shown(self) -> usize {
        usize::from(self.0)
    }

    /// Returns the number of rows to read: one more than the page size shows whether there is
    /// another page.
    pub(crate) fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer) {
            Ok(limit @ 1..=Self::MOST) => Ok(Self(limit)),
            _ => Err(de::Error::custom("expected a number from 1 to 200")),
        }
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("Maximum number of items per page (1–200, default 50)."))
            .minimum(Some(1))
            .maximum(Some(Self::MOST))
            .default(Some(50.into()))
            .examples([50])
            .into()
    }
}

impl ToSchema for Limit {
    fn name() -> Cow<'static, str> {
        "Limit".into()
    }
}

/// The start of the next page: opaque to clients, a number internally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub u64);

/// Every text of 11 characters of the alphabet is a cursor, so that the pattern is complete.
pub(crate) const BASE64: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

impl Cursor {
    /// Returns the cursor as text.
    pub fn to_text(self) -> String {
        BASE64.encode(self.0.to_be_bytes())
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        Some(Self(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_text(&text)
            .ok_or_else(|| de::Error::custom("expected a cursor from a Link header"))
    }
}

impl PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Where the last page ended: the cursor in its Link header."))
            .min_length(Some(11))
            .max_length(Some(11))
            .pattern(Some("^[A-Za-z0-9_-]{11}$"))
            .examples(["AAAAAAAAACo"])
            .into()
    }
}

impl ToSchema for Cursor {
    fn name() -> Cow<'static, str> {
        "Cursor".into()
    }
}

/// The rows that a page of a newest-first list needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    limit: Limit,
    cursor: Option<Cursor>,
}

impl Paging {
    /// Creates it from query parameters.
    pub fn of(limit: Option<Limit>, cursor: Option<Cursor>) -> Self {
        Self { limit: limit.unwrap_or_default(), cursor }
    }

    /// Returns the position below which rows are read, highest first.
    pub fn before(self) -> i64 {
        self.cursor.map_or(i64::MAX, |Cursor(position)| position.try_into().unwrap_or(i64::MAX))
    }

    /// For an oldest-first list: returns the number after which rows are read, `None` for all.
    pub fn after(self) -> Option<u64> {
        self.cursor.map(|Cursor(number)| number.min(i64::MAX.cast_unsigned() - 1))
    }

    /// Returns the number of rows to read: one more than the page size shows whether there is
    /// another page.
    pub fn rows(self) -> i64 {
        self.limit.rows()
    }

    pub(crate) fn limit(self) -> Limit {
        self.limit
    }

    /// Returns the items to show, and the start of the next page.
    pub(crate) fn cut<P: TryInto<Position>, T>(
        self,
        mut rows: Vec<(P, T)>,
    ) -> (Page<T>, Option<Cursor>) {
        let shown = self.limit.shown();
        let is_more = rows.len() > shown;
        rows.truncate(shown);
        let mut last = None;
        let items = rows
            .into_iter()
            .map(|(position, item)| {
                last = position.try_into().ok();
                item
            })
            .collect();
        (Page { items }, last.filter(|_| is_more).map(Cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_the_way_to_the_client_and_back() {
        for number in [0, 42, u64::MAX] {
            let text = Cursor(number).to_text();
            assert_eq!(text.len(), 11);
            assert_eq!(Cursor::from_text(&text), Some(Cursor(number)));
        }
        for refused in ["", "AAAA", "AAAAAAAAAA=", "AAAAAAAAAAAA", "AAAA+AAAAAA"] {
            assert_eq!(Cursor::from_text(refused), None, "{refused}");
        }
        assert!(Cursor::from_text("AAAAAAAAAA_").is_some(), "unused bits do not matter");
    }

    #[test]
    fn a_page_tells_whether_there_is_another() {
        let paging = Paging::of(Some(Limit(2)), None);
        assert_eq!((paging.rows(), paging.before()), (3, i64::MAX));
        let (page, next) = paging.cut(vec![(9_i64, 'a'), (7, 'b'), (4, 'c')]);
        assert_eq!((page.items, next), (vec!['a', 'b'], Some(Cursor(7))));
        let (page, next) = paging.cut(vec![(9_i64, 'a'), (7, 'b')]);
        assert_eq!((page.items, next), (vec!['a', 'b'], None));
    }

    #[test]
    fn a_cursor_beyond_every_position_finds_nothing_strange() {
        let paging = Paging::of(None, Some(Cursor(u64::MAX)));
        assert_eq!(paging.before(), i64::MAX);
        assert!(paging.after().is_some_and(|after| i64::try_from(after + 1).is_ok()));
    }
}
