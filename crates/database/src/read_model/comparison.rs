//! Comparison of served rows with newly folded ones, table by table, in one pass.

use std::collections::HashMap;
use std::fmt;

use kernel::event::Position;
use serde::Serialize;

use crate::tables::TableRow;

/// Maximum number of differences reported individually.
const MOST_REPORTED: usize = 20;

/// A difference between a row of a read model and the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The row's primary key. Its other values may be personal and are not reported.
    pub key: String,
    /// The kind of difference.
    pub kind: DifferenceKind,
}

/// The kind of difference of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The row is missing.
    Missing,
    /// The row should not exist.
    Superfluous,
    /// The row has other values.
    Different,
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "missing",
            Self::Superfluous => "superfluous",
            Self::Different => "different",
        })
    }
}

/// The result of comparing a read model with a new fold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The subscription.
    pub subscription: String,
    /// The position of both sides.
    pub position: Position,
    /// The number of compared rows.
    pub rows: u64,
    /// The number of differing rows.
    pub different: u64,
    /// The first of the differences.
    pub differences: Vec<Difference>,
}

impl Verification {
    /// Returns whether the served rows match the log.
    pub fn is_right(&self) -> bool {
        self.different == 0
    }
}

/// A comparison in progress. Both sides come in the order of the primary key, so that a row without a
/// counterpart is kept only until the other side has passed it.
pub(super) struct Comparison {
    result: Verification,
    table: &'static str,
    served: HashMap<String, String>,
    fresh: HashMap<String, String>,
}

impl Comparison {
    pub(super) fn new(subscription: String, position: Position) -> Self {
        let result =
            Verification { subscription, position, rows: 0, different: 0, differences: Vec::new() };
        Self { result, table: "", served: HashMap::new(), fresh: HashMap::new() }
    }

    pub(super) fn begin(&mut self, table: &'static str) {
        self.table = table;
    }

    /// Adds the next row of either side.
    pub(super) fn add(&mut self, served: Option<TableRow>, fresh: Option<TableRow>) {
        if let Some(TableRow { key, values }) = served {
            self.result.rows += 1;
            match self.fresh.remove(&key) {
                Some(other) if other == values => {}
                Some(_) => self.tell(key, DifferenceKind::Different),
                None => {
                    self.served.insert(key, values);
                }
            }
        }
        if let Some(TableRow { key, values }) = fresh {
            match self.served.remove(&key) {
                Some(other) if other == values => {}
                Some(_) => self.tell(key, DifferenceKind::Different),
                None => {
                    self.fresh.insert(key, values);
                }
            }
        }
    }

    /// Ends the table: rows without a counterpart so far have none.
    pub(super) fn end(&mut self) {
        for key in std::mem::take(&mut self.served).into_keys() {
            self.tell(key, DifferenceKind::Superfluous);
        }
        for key in std::mem::take(&mut self.fresh).into_keys() {
            self.result.rows += 1;
            self.tell(key, DifferenceKind::Missing);
        }
    }

    fn tell(&mut self, key: String, kind: DifferenceKind) {
        self.result.different += 1;
        if self.result.differences.len() < MOST_REPORTED {
            self.result.differences.push(Difference { table: self.table, key, kind });
        }
    }

    pub(super) fn finished(self) -> Verification {
        self.result
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn row(key: &str, values: &str) -> Option<TableRow> {
        Some(TableRow { key: key.to_owned(), values: values.to_owned() })
    }

    #[test]
    fn rows_are_matched_by_key_however_the_sides_are_shifted() {
        let mut comparison = Comparison::new("house.lamps.v1".to_owned(), 7);
        comparison.begin("lamp");
        comparison.add(row("1", "on"), row("2", "off"));
        comparison.add(row("2", "off"), row("3", "on"));
        comparison.add(row("3", "off"), row("4", "on"));
        comparison.add(None, None);
        comparison.end();
        let result = comparison.finished();
        let mut found: Vec<_> =
            result.differences.iter().map(|one| (one.key.as_str(), one.kind)).collect();
        found.sort_unstable_by_key(|(key, _)| *key);
        let expected = [
            ("1", DifferenceKind::Superfluous),
            ("3", DifferenceKind::Different),
            ("4", DifferenceKind::Missing),
        ];
        assert_eq!(found, expected);
        assert_eq!((result.rows, result.different), (4, 3));
        assert!(!result.is_right());
    }
}
