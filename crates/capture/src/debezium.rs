//! Debezium's records as JSON lines: `{"topic", "key", "value"}`, one per line, as its engine
//! emits them with `schemas.enable=false` (format: the documentation of Debezium's PostgreSQL
//! connector, "Data change events").

mod shapes;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The connector whose records can be imported.
const CONNECTOR: &str = "postgresql";

/// The operation of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// The row existed when the snapshot was taken (`r`).
    Snapshot,
    /// The row was inserted (`c`).
    Create,
    /// The row was updated (`u`).
    Update,
    /// The row was deleted (`d`).
    Delete,
    /// Follows a deletion in compacted topics: not a change of its own.
    Tombstone,
    /// Not a change of a row: a heartbeat, a message, the begin or end of a transaction, or the
    /// truncation of a table that is not mapped.
    Other,
}

/// The position of a record within a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotMark {
    /// Not part of a snapshot.
    No,
    /// The first record of a snapshot.
    First,
    /// A record within a snapshot.
    Within,
    /// The last record of a snapshot.
    Last,
    /// Read while changes are streamed (incremental snapshot). Such a record has neither position nor
    /// transaction of its own (`debezium/debezium#3765`).
    Incremental,
}

impl SnapshotMark {
    /// Returns whether it belongs to a snapshot of whole tables.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::First | Self::Within | Self::Last)
    }
}

/// Why a line cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The file ends in the middle of the line.
    #[error("the line is cut off: the file ends in the middle of a record")]
    CutOff,
    /// The line is too long.
    #[error("the line is longer than {0} MiB, the maximum for a record")]
    TooLong(u64),
    /// Not UTF-8.
    #[error(
        "the line is not UTF-8 (column {0}): convert a text in another character set first, such as \
         with `iconv -f LATIN1 -t UTF-8`, and uncompress what is compressed"
    )]
    NotUtf8(usize),
    /// Not JSON.
    #[error("the line is not JSON (column {0})")]
    NotJson(usize),
    /// JSON, but not a Debezium record, or one in the format of another tool.
    #[error("the line is not a Debezium record: {0}")]
    WrongShape(String),
    /// A record of a table whose name differs from the mapping's in case only.
    #[error(
        "topic `{topic}`: the mapping has `{mapped}`, which differs in case only: write \
         it as it is in the topic, or list the topic in `ignore` if it is another table"
    )]
    OtherCase {
        /// The record's topic.
        topic: String,
        /// The topic in the mapping.
        mapped: String,
    },
    /// A column's value does not match the mapping.
    #[error("column `{column}` of `{table}` {problem}")]
    Column {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: Cow<'static, str>,
    },
}

/// A line, borrowed, with its topic and key; the value is not parsed yet.
#[derive(Debug)]
pub struct Line<'l> {
    text: &'l str,
    /// The topic of the record.
    pub topic: Cow<'l, str>,
    /// The row's key: an object of the key columns, or null.
    pub key: &'l RawValue,
    value: &'l RawValue,
}

/// One record, borrowed from its line.
#[derive(Debug)]
pub struct Record<'l> {
    /// The operation.
    pub operation: Operation,
    /// The row after the change.
    pub after: Option<&'l RawValue>,
    /// The position in the source's log. A tombstone and a record of an incremental snapshot have none.
    pub position: Option<i64>,
    /// The source's transaction; `None` if there is no position.
    pub transaction: Option<i64>,
    /// The position within a snapshot.
    pub snapshot: SnapshotMark,
    /// The time of the change, in milliseconds since 1970-01-01 UTC; 0 if the record has none.
    pub timestamp_ms: i64,
}

#[derive(Deserialize)]
struct Outer<'l> {
    #[serde(borrow, default)]
    topic: Option<Cow<'l, str>>,
    #[serde(borrow, default, deserialize_with = "there")]
    key: Option<&'l RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    value: Option<&'l RawValue>,
}

/// Deserializes a member that is present, even if it is null.
fn there<'de: 'l, 'l, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'l RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Envelope<'l> {
    #[serde(borrow)]
    op: Cow<'l, str>,
    #[serde(borrow, default)]
    after: Option<&'l RawValue>,
    #[serde(borrow)]
    source: Source<'l>,
    #[serde(default)]
    ts_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Source<'l> {
    #[serde(borrow, default)]
    connector: Option<Cow<'l, str>>,
    lsn: Option<i64>,
    #[serde(rename = "txId")]
    transaction: Option<i64>,
    #[serde(borrow, default)]
    snapshot: Option<&'l RawValue>,
    #[serde(default)]
    ts_ms: Option<i64>,
}

fn shape(problem: impl Into<String>) -> LineError {
    LineError::WrongShape(problem.into())
}

impl<'l> Line<'l> {
    /// Reads a line. `terminated` is whether it ended with a line break.
    pub fn read(text: &'l str, terminated: bool) -> Result<Self, LineError> {
        let outer = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof if !terminated => LineError::CutOff,
            serde_json::error::Category::Data => match shapes::of(text)
                .or_else(|| shapes::not_json(text))
            {
                Some(known) => shape(known),
                None => shape(format!("a field has the wrong type (column {})", error.column())),
            },
            _ => match shapes::not_json(text) {
                Some(known) => shape(known),
                None => LineError::NotJson(error.column()),
            },
        })?;
        let Outer { topic: Some(topic), key, value: Some(value) } = outer else {
            let unknown = || "`topic`, `key` or `value` is missing".to_owned();
            return Err(shape(shapes::of(text).unwrap_or_else(unknown)));
        };
        let key = key.unwrap_or(RawValue::NULL);
        Ok(Self { text, topic, key, value })
    }

    /// Returns the error of a record, which names the tool or connector that wrote it if recognised.
    fn wrong(&self, problem: impl Into<String>) -> LineError {
        shape(shapes::of(self.text).unwrap_or_else(|| problem.into()))
    }

    /// Returns the error of a line whose key cannot be read.
    pub fn wrong_key(&self, problem: impl Into<String>) -> LineError {
        self.wrong(problem)
    }

    /// Returns what to do about a record without a key.
    pub fn no_key(&self) -> &'static str {
        shapes::no_key()
    }

    /// Returns the record of a mapped table.
    pub fn record(&self, table: &str) -> Result<Record<'l>, LineError> {
        if self.value.get() == "null" {
            return Ok(Record::of_no_row(Operation::Tombstone));
        }
        let envelope: Envelope<'l> = serde_json::from_str(self.value.get()).map_err(|error| {
            // serde's error names fields and types, and may quote a value of the wrong type.
            let text = error.to_string();
            self.wrong(if text.starts_with("missing field") {
                text.split(" at line").next().unwrap_or_default().to_owned()
            } else {
                let unknown = || {
                    format!("a field has the wrong type (column {} of the value)", error.column())
                };
                shapes::misread_number(self.value.get()).unwrap_or_else(unknown)
            })
        })?;
        if let Some(connector) = &envelope.source.connector
            && connector != CONNECTOR
        {
            return Err(shape(shapes::of_connector(connector)));
        }
        if envelope.op == "t" {
            return Err(shape(format!(
                "table `{table}` was truncated, which cannot be imported: take a new \
                 snapshot of the legacy and import that with --fresh"
            )));
        }
        let operation =
            operation(&envelope.op).ok_or_else(|| self.wrong("`op` is none of r, c, u, d"))?;
        if operation != Operation::Delete && envelope.after.is_none() {
            return Err(self.wrong("`after` is missing"));
        }
        let record = Record::of_row(operation, &envelope);
        if record.snapshot != SnapshotMark::Incremental && record.position.is_none() {
            return Err(self.wrong("`source.lsn` is missing"));
        }
        if record.transaction.is_none() && record.snapshot == SnapshotMark::No {
            return Err(self.wrong("`source.txId` is missing"));
        }
        Ok(record)
    }

    /// Returns the record of a table that is not mapped, for the course of transactions and snapshots.
    pub fn unmapped(&self) -> Record<'l> {
        if self.value.get() == "null" {
            return Record::of_no_row(Operation::Tombstone);
        }
        let envelope = serde_json::from_str::<Envelope<'l>>(self.value.get()).ok();
        let placed = envelope.and_then(|envelope| {
            let record = Record::of_row(operation(&envelope.op)?, &envelope);
            record.position?;
            Some(record)
        });
        placed.unwrap_or_else(|| Record::of_no_row(self.unplaced()))
    }

    /// Returns the operation of a record without a position in the log, even if it carries its schema
    /// or comes from another connector.
    fn unplaced(&self) -> Operation {
        #[derive(Deserialize)]
        struct Any<'l> {
            #[serde(borrow, default)]
            op: Option<Cow<'l, str>>,
            #[serde(borrow, default)]
            payload: Option<&'l RawValue>,
        }
        let of = |raw: &'l str| serde_json::from_str::<Any<'l>>(raw).ok();
        let outer = of(self.value.get());
        let payload = outer.as_ref().and_then(|outer| of(outer.payload?.get()));
        let op = payload.or(outer).and_then(|any| operation(any.op.as_deref()?));
        op.unwrap_or(Operation::Other)
    }
}

fn operation(op: &str) -> Option<Operation> {
    Some(match op {
        "r" => Operation::Snapshot,
        "c" => Operation::Create,
        "u" => Operation::Update,
        "d" => Operation::Delete,
        _ => return None,
    })
}

impl<'l> Record<'l> {
    fn of_no_row(operation: Operation) -> Self {
        Self {
            operation,
            after: None,
            position: None,
            transaction: None,
            snapshot: SnapshotMark::No,
            timestamp_ms: 0,
        }
    }

    fn of_row(operation: Operation, envelope: &Envelope<'l>) -> Self {
        let source = &envelope.source;
        let snapshot = match source.snapshot.map(RawValue::get) {
            None | Some("null" | "false" | "\"false\"") => SnapshotMark::No,
            Some("\"first\"") => SnapshotMark::First,
            Some("\"last\"") => SnapshotMark::Last,
            Some("\"incremental\"") => SnapshotMark::Incremental,
            Some(_) => SnapshotMark::Within,
        };
        let incremental = snapshot == SnapshotMark::Incremental;
        Self {
            operation,
            after: envelope.after,
            position: source.lsn,
            transaction: source.transaction.filter(|_| !incremental),
            snapshot,
            timestamp_ms: source.ts_ms.or(envelope.ts_ms).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"topic":"shop.public.sale","key":{"id":7},"value":{"before":null,"after":{"id":7,"q":30.700000000000003},"source":{"lsn":42,"txId":9,"snapshot":"false","ts_ms":5},"op":"u"}}"#;

    fn read(line: &str, terminated: bool) -> Result<Record<'_>, LineError> {
        Line::read(line, terminated)?.record("sale")
    }

    #[test]
    fn a_record_is_read_without_touching_its_numbers() {
        let record = read(LINE, true).unwrap();
        assert_eq!((record.position, record.transaction), (Some(42), Some(9)));
        assert_eq!((record.operation, record.timestamp_ms), (Operation::Update, 5));
        assert_eq!(record.after.unwrap().get(), r#"{"id":7,"q":30.700000000000003}"#);
        assert_eq!(Line::read(LINE, true).unwrap().topic, "shop.public.sale");
    }

    #[test]
    fn a_topic_may_be_written_with_escapes() {
        let line = r#"{"topic":"shop.public.R\u00e9glement","key":{"id":7},"value":null}"#;
        assert_eq!(Line::read(line, true).unwrap().topic, "shop.public.Réglement");
    }

    #[test]
    fn a_tombstone_has_no_value() {
        let line = r#"{"topic":"shop.public.sale","key":{"id":7},"value":null}"#;
        assert_eq!(read(line, true).unwrap().operation, Operation::Tombstone);
    }

    #[test]
    fn snapshot_marks() {
        for (mark, expected) in [
            ("\"first\"", SnapshotMark::First),
            ("\"first_in_data_collection\"", SnapshotMark::Within),
            ("\"true\"", SnapshotMark::Within),
            ("true", SnapshotMark::Within),
            ("\"last_in_data_collection\"", SnapshotMark::Within),
            ("\"last\"", SnapshotMark::Last),
            ("\"incremental\"", SnapshotMark::Incremental),
            ("false", SnapshotMark::No),
            ("null", SnapshotMark::No),
        ] {
            let line = LINE.replace("\"snapshot\":\"false\"", &format!("\"snapshot\":{mark}"));
            assert_eq!(read(&line, true).unwrap().snapshot, expected, "{mark}");
        }
    }

    #[test]
    fn a_record_without_a_time_of_its_source_has_that_of_its_envelope() {
        let line =
            LINE.replace("\"ts_ms\":5", "\"ts_ms\":null").replace("\"op\"", "\"ts_ms\":8,\"op\"");
        assert_eq!(read(&line, true).unwrap().timestamp_ms, 8);
    }

    /// Kinds: heartbeats, transaction metadata and messages (`debezium/debezium#966`, `#1221`).
    #[test]
    fn what_nobody_maps_is_no_error_whatever_it_is() {
        for (value, operation) in [
            (r#"{"ts_ms":1}"#, Operation::Other),
            (r#"{"status":"BEGIN","id":"5:1","ts_ms":1}"#, Operation::Other),
            (r#"{"op":"m","source":{"lsn":3,"txId":4},"message":{}}"#, Operation::Other),
            (r#"{"op":"t","source":{"lsn":3,"txId":4}}"#, Operation::Other),
            ("[]", Operation::Other),
            ("null", Operation::Tombstone),
            (r#"{"op":"d","source":{"lsn":3,"txId":4}}"#, Operation::Delete),
            // Changes of rows, although without a position in the log.
            (r#"{"op":"c","source":{"connector":"mysql","pos":4}}"#, Operation::Create),
            (r#"{"schema":{},"payload":{"op":"u","source":{"lsn":3}}}"#, Operation::Update),
            (r#"{"schema":{},"payload":{"ts_ms":1}}"#, Operation::Other),
        ] {
            let text = format!(r#"{{"topic":"x","key":null,"value":{value}}}"#);
            assert_eq!(Line::read(&text, true).unwrap().unmapped().operation, operation, "{value}");
        }
    }

    #[test]
    fn broken_lines_say_what_is_wrong() {
        let said = |line: &str, terminated| read(line, terminated).unwrap_err().to_string();
        assert!(said(&LINE[..80], false).contains("cut off"));
        assert!(said(&LINE[..80], true).contains("not JSON"));
        assert!(said("nonsense", true).contains("not JSON (column"));
        assert!(said("{}", true).contains("`topic`, `key` or `value` is missing"));
        for (what, with, expected) in [
            ("\"lsn\":42,", "", "`source.lsn` is missing"),
            ("\"txId\":9,", "", "`source.txId` is missing"),
            ("\"op\":\"u\"", "\"op\":\"x\"", "`op` is none of"),
            ("\"op\":\"u\"", "\"op\":\"t\"", "was truncated"),
            ("\"lsn\":42", "\"lsn\":\"Ada\"", "`source.lsn` is not a whole number"),
            ("\"op\":\"u\"", "\"op\":7", "a field has the wrong type"),
            ("{\"id\":7,\"q\":30.700000000000003}", "null", "`after` is missing"),
        ] {
            let text = said(&LINE.replacen(what, with, 1), true);
            assert!(text.contains(expected) && !text.contains("Ada"), "{text}");
        }
    }
}
