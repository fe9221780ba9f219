//! Debezium's records as JSON lines: `{"topic", "key", "value"}`, one per line, as its engine
//! emits them with `schemas.enable=false` (format: the documentation of Debezium's PostgreSQL
//! connector, "Data change events").

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// It was there when the snapshot was taken (`r`).
    Snapshot,
    /// It was made (`c`).
    Create,
    /// It was changed (`u`).
    Update,
    /// It was deleted (`d`).
    Delete,
    /// Follows a deletion for the sake of compacted topics: no change of its own.
    Tombstone,
}

/// Where a record stands with regard to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotMark {
    /// Not of a snapshot.
    No,
    /// Of a snapshot that goes on.
    Within,
    /// The last of a snapshot.
    Last,
}

/// Why a line is no change that could be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The file ends in the middle of it.
    #[error("the line is cut off: the file ends in the middle of a record")]
    CutOff,
    /// Not JSON.
    #[error("the line is not JSON (column {0})")]
    NotJson(usize),
    /// JSON, but not a Debezium record.
    #[error("the line is not a Debezium record: {0}")]
    WrongShape(String),
    /// A record of a topic that the mapping does not speak of.
    #[error("topic `{topic}` does not begin with `{expected}` (tables_from in the mapping)")]
    ForeignTopic {
        /// The record's topic.
        topic: String,
        /// What it should begin with.
        expected: String,
    },
    /// A column is not what the mapping says.
    #[error("column `{column}` of `{table}` {problem}")]
    Column {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// One record, borrowed from its line.
#[derive(Debug)]
pub struct Record<'l> {
    /// The table's name, without what precedes it in the topic.
    pub table: &'l str,
    /// The row's key: an object of the key columns.
    pub key: &'l RawValue,
    /// What happened.
    pub operation: Operation,
    /// The row as it was, if the database says so.
    pub before: Option<&'l RawValue>,
    /// The row as it is.
    pub after: Option<&'l RawValue>,
    /// Where in the source's log. A tombstone has none.
    pub position: i64,
    /// The source's transaction; `None` for a tombstone.
    pub transaction: Option<i64>,
    /// Whether it is of a snapshot.
    pub snapshot: SnapshotMark,
    /// When it happened, in milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: i64,
}

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    topic: Cow<'l, str>,
    #[serde(borrow)]
    key: &'l RawValue,
    #[serde(borrow)]
    value: &'l RawValue,
}

#[derive(Deserialize)]
struct Envelope<'l> {
    #[serde(borrow)]
    op: Cow<'l, str>,
    #[serde(borrow, default)]
    before: Option<&'l RawValue>,
    #[serde(borrow, default)]
    after: Option<&'l RawValue>,
    #[serde(borrow)]
    source: Source<'l>,
}

#[derive(Deserialize)]
struct Source<'l> {
    lsn: Option<i64>,
    #[serde(rename = "txId")]
    transaction: Option<i64>,
    #[serde(borrow, default)]
    snapshot: Option<&'l RawValue>,
    #[serde(default)]
    ts_ms: i64,
}

fn shape(problem: impl Into<String>) -> LineError {
    LineError::WrongShape(problem.into())
}

fn parse<'l, T: Deserialize<'l>>(text: &'l str, whole_line: bool) -> Result<T, LineError> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof if !whole_line => LineError::CutOff,
        serde_json::error::Category::Data => {
            // serde's text names fields and types and may quote a value of the wrong type.
            let text = error.to_string();
            if text.starts_with("missing field") {
                shape(text.split(" at line").next().unwrap_or_default())
            } else {
                shape(format!("a field has the wrong type (column {})", error.column()))
            }
        }
        _ => LineError::NotJson(error.column()),
    })
}

impl<'l> Record<'l> {
    /// Reads a line. `terminated` says whether it ended with a line break; `tables_from` is what
    /// precedes a table's name in the topic.
    pub fn read(line: &'l str, terminated: bool, tables_from: &str) -> Result<Self, LineError> {
        let parsed: Line<'l> = parse(line, terminated)?;
        let Cow::Borrowed(topic) = parsed.topic else {
            return Err(shape("the topic has escaped characters"));
        };
        let table = topic.strip_prefix(tables_from).filter(|table| !table.is_empty());
        let table = table.ok_or_else(|| LineError::ForeignTopic {
            topic: topic.to_owned(),
            expected: tables_from.to_owned(),
        })?;
        if parsed.value.get() == "null" {
            return Ok(Self {
                table,
                key: parsed.key,
                operation: Operation::Tombstone,
                before: None,
                after: None,
                position: 0,
                transaction: None,
                snapshot: SnapshotMark::No,
                timestamp_ms: 0,
            });
        }
        let Envelope { op, before, after, source } = parse(parsed.value.get(), true)?;
        let operation = match &*op {
            "r" => Operation::Snapshot,
            "c" => Operation::Create,
            "u" => Operation::Update,
            "d" => Operation::Delete,
            "t" => {
                return Err(shape(format!(
                    "table `{table}` was truncated, which is not supported: take a new snapshot"
                )));
            }
            _ => return Err(shape("`op` is none of r, c, u, d")),
        };
        if operation != Operation::Delete && after.is_none() {
            return Err(shape("`after` is missing"));
        }
        let position = source.lsn.ok_or_else(|| shape("`source.lsn` is missing"))?;
        let snapshot = match source.snapshot.map(RawValue::get) {
            None | Some("null" | "false" | "\"false\"" | "\"incremental\"") => SnapshotMark::No,
            Some("\"last\"") => SnapshotMark::Last,
            Some(_) => SnapshotMark::Within,
        };
        let transaction = source.transaction;
        if transaction.is_none() && snapshot == SnapshotMark::No {
            return Err(shape("`source.txId` is missing"));
        }
        Ok(Self {
            table,
            key: parsed.key,
            operation,
            before,
            after,
            position,
            transaction,
            snapshot,
            timestamp_ms: source.ts_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"topic":"shop.public.sale","key":{"id":7},"value":{"before":null,"after":{"id":7,"q":30.700000000000003},"source":{"lsn":42,"txId":9,"snapshot":"false","ts_ms":5},"op":"u"}}"#;

    #[test]
    fn a_record_is_read_without_touching_its_numbers() {
        let record = Record::read(LINE, true, "shop.public.").unwrap();
        assert_eq!((record.table, record.position, record.transaction), ("sale", 42, Some(9)));
        assert_eq!(record.operation, Operation::Update);
        assert_eq!(record.after.unwrap().get(), r#"{"id":7,"q":30.700000000000003}"#);
    }

    #[test]
    fn a_tombstone_has_no_value() {
        let line = r#"{"topic":"shop.public.sale","key":{"id":7},"value":null}"#;
        let record = Record::read(line, true, "shop.public.").unwrap();
        assert_eq!(record.operation, Operation::Tombstone);
    }

    #[test]
    fn snapshot_marks() {
        for (mark, expected) in [
            ("\"first\"", SnapshotMark::Within),
            ("\"true\"", SnapshotMark::Within),
            ("true", SnapshotMark::Within),
            ("\"last_in_data_collection\"", SnapshotMark::Within),
            ("\"last\"", SnapshotMark::Last),
            ("false", SnapshotMark::No),
            ("null", SnapshotMark::No),
        ] {
            let line = LINE.replace("\"snapshot\":\"false\"", &format!("\"snapshot\":{mark}"));
            let record = Record::read(&line, true, "shop.public.").unwrap();
            assert_eq!(record.snapshot, expected, "{mark}");
        }
    }

    #[test]
    fn broken_lines_say_what_is_wrong() {
        let read = |line: &str, terminated| {
            Record::read(line, terminated, "shop.public.").unwrap_err().to_string()
        };
        assert!(read(&LINE[..80], false).contains("cut off"));
        assert!(read(&LINE[..80], true).contains("not JSON"));
        assert!(read("nonsense", true).contains("not JSON (column"));
        assert!(read("{}", true).contains("missing field `topic`"));
        assert!(
            read(&LINE.replace("shop.", "mine."), true).contains("`mine.public.sale` does not")
        );
        for (what, with, expected) in [
            ("\"lsn\":42,", "", "`source.lsn` is missing"),
            ("\"txId\":9,", "", "`source.txId` is missing"),
            ("\"op\":\"u\"", "\"op\":\"x\"", "`op` is none of"),
            ("\"op\":\"u\"", "\"op\":\"t\"", "was truncated"),
            ("\"lsn\":42", "\"lsn\":\"Ada\"", "a field has the wrong type"),
            ("{\"id\":7,\"q\":30.700000000000003}", "null", "`after` is missing"),
        ] {
            let text = read(&LINE.replacen(what, with, 1), true);
            assert!(text.contains(expected) && !text.contains("Ada"), "{text}");
        }
    }
}
