//! From a record to what may be stored of it: only the columns the mapping names, hashed where it
//! says so. Nothing that was dropped or hashed leaves this module.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, SecondsFormat};
use kernel::keys::SecretKey;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::debezium::{LineError, Operation, Record, SnapshotMark};
use crate::ids::joined_key;
use crate::jq::shortest;
use crate::mapping::{Column, ColumnType, Mapping, Mask, Table, TableId};

/// Purpose of the digests of `hash` columns. One for all columns, so that equal values stay equal
/// across tables.
const PURPOSE: &str = "capture.hash";

/// A row's stored columns.
pub(crate) type Image = Map<String, Value>;

/// A change of a row, masked.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// `None` for a table that the mapping does not name.
    pub(crate) row: Option<(TableId, String)>,
    pub(crate) operation: Operation,
    /// What the row is now; `None` when it is deleted.
    pub(crate) image: Option<Image>,
    /// Columns of which the record does not say the value.
    pub(crate) unavailable: Vec<String>,
    pub(crate) position: i64,
    pub(crate) transaction: Option<i64>,
    pub(crate) snapshot: SnapshotMark,
    pub(crate) timestamp_ms: i64,
}

/// Masks records as a mapping says.
#[derive(Debug, Clone)]
pub(crate) struct Masker {
    mapping: Arc<Mapping>,
    key: SecretKey,
}

impl Masker {
    pub(crate) fn new(mapping: Arc<Mapping>, key: SecretKey) -> Self {
        Self { mapping, key }
    }

    /// Reads a line and masks it.
    pub(crate) fn read(&self, line: &str, terminated: bool) -> Result<Change, LineError> {
        let record = Record::read(line, terminated, &self.mapping.tables_from)?;
        let mut change = Change {
            row: None,
            operation: record.operation,
            image: None,
            unavailable: Vec::new(),
            position: record.position,
            transaction: record.transaction,
            snapshot: record.snapshot,
            timestamp_ms: record.timestamp_ms,
        };
        let Some(&id) = self.mapping.table_ids.get(record.table) else {
            return Ok(change);
        };
        let table = &self.mapping.tables[id];
        change.row = Some((id, key_text(table, record.key)?));
        if let Some(after) = record.after.filter(|_| record.operation != Operation::Delete) {
            change.image = Some(self.image(table, after, &mut change.unavailable)?);
        }
        Ok(change)
    }

    fn image(
        &self,
        table: &Table,
        after: &RawValue,
        unavailable: &mut Vec<String>,
    ) -> Result<Image, LineError> {
        let values: HashMap<String, &RawValue> = serde_json::from_str(after.get())
            .map_err(|_| LineError::WrongShape("`after` is not an object".to_owned()))?;
        let mut image = Image::new();
        for (name, column) in &table.columns {
            let wrong = |problem| LineError::Column {
                table: table.name.clone(),
                column: name.clone(),
                problem,
            };
            let Some(raw) = values.get(name) else {
                if column.optional {
                    image.insert(name.clone(), Value::Null);
                    continue;
                }
                return Err(wrong(
                    "is not in the record: correct the mapping, or list it in `optional` if the \
                     legacy added it later",
                ));
            };
            let value = read_value(raw.get()).map_err(wrong)?;
            if value.as_str() == Some(&self.mapping.unavailable) {
                unavailable.push(name.clone());
                continue;
            }
            let value = typed(*column, raw.get(), value).map_err(wrong)?;
            image.insert(name.clone(), self.masked(column.mask, value));
        }
        Ok(image)
    }

    fn masked(&self, mask: Mask, value: Value) -> Value {
        let text = match (mask, value) {
            (Mask::Keep, value) => return value,
            (Mask::Hash, Value::Null) => return Value::Null,
            (Mask::Hash, Value::String(text)) => text,
            (Mask::Hash, other) => other.to_string(),
        };
        Value::String(hex::encode(self.key.digest(PURPOSE, &text)))
    }
}

/// A row's key as text: the plain value, or a JSON array where it has several columns.
fn key_text(table: &Table, key: &RawValue) -> Result<String, LineError> {
    let shape = |problem: &str| LineError::WrongShape(format!("table `{}`: {problem}", table.name));
    let columns: HashMap<String, Value> =
        serde_json::from_str(key.get()).map_err(|_| shape("the key is not an object"))?;
    let mut values = Vec::with_capacity(table.key.len());
    for name in &table.key {
        match columns.get(name) {
            Some(Value::String(text)) => values.push(text.clone()),
            Some(Value::Number(number)) => values.push(number.to_string()),
            _ => {
                return Err(shape("the key lacks a column that the mapping names in `key`"));
            }
        }
    }
    match <[String; 1]>::try_from(values) {
        Ok([single]) => Ok(single),
        Err(several) => Ok(joined_key(several)),
    }
}

/// A JSON value; a whole number that fits no machine integer stays text, so that no digit is lost.
fn read_value(raw: &str) -> Result<Value, &'static str> {
    let number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if number && raw.bytes().skip(1).all(|byte| byte.is_ascii_digit()) {
        return Ok(match (raw.parse::<i64>(), raw.parse::<u64>()) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => Value::from(raw),
        });
    }
    if number {
        // Rust's own parser is exact to the last bit, serde_json's is not by default.
        return raw.parse::<f64>().map(Value::from).map_err(|_| "is not a number");
    }
    serde_json::from_str(raw).map_err(|_| "is not JSON")
}

fn typed(column: Column, raw: &str, value: Value) -> Result<Value, &'static str> {
    let Some(kind) = column.kind else {
        return Ok(value);
    };
    Ok(match (kind, &value) {
        (_, Value::Null) | (_, Value::String(_)) => value,
        (ColumnType::Decimal, Value::Number(_)) => Value::from(shortest(raw)),
        (ColumnType::Date, Value::Number(days)) => {
            let epoch = NaiveDate::default();
            let date = days.as_i64().and_then(|days| match u64::try_from(days) {
                Ok(days) => epoch.checked_add_days(Days::new(days)),
                Err(_) => epoch.checked_sub_days(Days::new(days.unsigned_abs())),
            });
            Value::from(date.ok_or("is not a number of days")?.to_string())
        }
        (ColumnType::Timestamp, Value::Number(micros)) => {
            let time = micros.as_i64().and_then(DateTime::from_timestamp_micros);
            let time = time.ok_or("is not a number of microseconds")?;
            Value::from(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        (ColumnType::TimestampMs, Value::Number(millis)) => {
            let time = millis.as_i64().and_then(DateTime::from_timestamp_millis);
            let time = time.ok_or("is not a number of milliseconds")?;
            Value::from(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        _ => return Err("has another type than the mapping's `types` says"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(kind: ColumnType, raw: &str) -> Result<Value, &'static str> {
        let column = Column { mask: Mask::Keep, kind: Some(kind), optional: false };
        typed(column, raw, read_value(raw)?)
    }

    #[test]
    fn types_are_read_exactly() {
        assert_eq!(value(ColumnType::Date, "20094"), Ok(json!("2025-01-06")));
        assert_eq!(value(ColumnType::Date, "-1"), Ok(json!("1969-12-31")));
        assert_eq!(
            value(ColumnType::Decimal, "30.700000000000003"),
            Ok(json!("30.700000000000003"))
        );
        assert_eq!(value(ColumnType::Decimal, "1200.0"), Ok(json!("1200")));
        assert_eq!(value(ColumnType::Decimal, "\"79.9000\""), Ok(json!("79.9000")));
        assert_eq!(
            value(ColumnType::Timestamp, "1795226582116067"),
            Ok(json!("2026-11-21T02:03:02.116067Z"))
        );
        assert!(value(ColumnType::Date, "true").is_err());
        assert_eq!(
            read_value("123456789012345678901234567890"),
            Ok(json!("123456789012345678901234567890"))
        );
    }
}
