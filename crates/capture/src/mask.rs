//! Converts a record into the data that may be stored: only the columns in the mapping, hashed if it
//! says so. Dropped values, and the originals of hashed ones, never leave this module.

use std::collections::HashMap;
use std::sync::Arc;

use kernel::keys::SecretKey;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::debezium::{Line, LineError, Operation, Record, SnapshotMark};
use crate::mapping::{Mapping, Mask, Table, TableId, key_of, key_part};
use crate::values::{self, Problem};

/// Purpose of the digests of `hash` columns. One for all columns, so that equal values stay equal
/// across tables.
const PURPOSE: &str = "capture.hash";

/// Longer keys do not fit into an index of PostgreSQL together with the other columns.
pub(crate) const LONGEST_KEY: usize = 1_000;

/// A row's stored columns.
pub(crate) type Image = Map<String, Value>;

/// A change of a row, masked.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// `None` for a table that is not mapped.
    pub(crate) row: Option<(TableId, String)>,
    pub(crate) operation: Operation,
    /// The row after the change; `None` if it is deleted.
    pub(crate) image: Option<Image>,
    /// Columns without a value in the record.
    pub(crate) unavailable: Vec<String>,
    /// For a row of an incremental snapshot: the highest position before it.
    pub(crate) position: i64,
    pub(crate) transaction: Option<i64>,
    pub(crate) snapshot: SnapshotMark,
    /// 0 if the record has no time.
    pub(crate) timestamp_ms: i64,
    /// Bytes of the record.
    pub(crate) size: usize,
    /// Its place: file and line.
    pub(crate) file: usize,
    pub(crate) line: u64,
}

impl Change {
    fn of(record: &Record<'_>, size: usize) -> Self {
        Self {
            row: None,
            operation: record.operation,
            image: None,
            unavailable: Vec::new(),
            position: record.position.unwrap_or_default(),
            transaction: record.transaction,
            snapshot: record.snapshot,
            timestamp_ms: record.timestamp_ms,
            size,
            file: 0,
            line: 0,
        }
    }

    /// Returns whether it is the row that remains of a change of a key, after its deletion.
    pub(crate) fn is_the_rest_of(&self, gone: &Self) -> bool {
        let table = |change: &Self| change.row.as_ref().map(|(table, _)| *table);
        !self.unavailable.is_empty()
            && self.operation == Operation::Create
            && (table(self), self.position, self.transaction)
                == (table(gone), gone.position, gone.transaction)
    }

    /// Returns whether it has a position in the source's log.
    pub(crate) fn is_placed(&self) -> bool {
        self.transaction.is_some() || self.snapshot.is_whole()
    }
}

/// Masks records according to a mapping.
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
    pub(crate) fn read(&self, text: &str, terminated: bool) -> Result<Change, LineError> {
        let line = Line::read(text, terminated)?;
        let Some(id) = self.table(&line.topic)? else {
            return Ok(Change::of(&line.unmapped(), text.len()));
        };
        let table = &self.mapping.tables[id];
        let record = line.record(&table.name)?;
        let mut change = Change::of(&record, text.len());
        change.row = Some((id, key_text(table, &line)?));
        if let Some(after) = record.after.filter(|_| record.operation != Operation::Delete) {
            change.image = Some(self.image(table, after, &mut change.unavailable)?);
        }
        Ok(change)
    }

    /// Returns the mapped table of a topic.
    fn table(&self, topic: &str) -> Result<Option<TableId>, LineError> {
        let mapping = &self.mapping;
        let name = topic.strip_prefix(&mapping.tables_from);
        if let Some(&id) = name.and_then(|name| mapping.table_ids.get(name)) {
            return Ok(Some(id));
        }
        let other_case = mapping.topics_in_small.get(&topic.to_lowercase());
        let ignored = |name: &str| mapping.ignore.contains(name);
        match other_case {
            Some(&id) if !ignored(topic) && !name.is_some_and(ignored) => {
                Err(LineError::OtherCase {
                    topic: topic.to_owned(),
                    mapped: format!("{}{}", mapping.tables_from, mapping.tables[id].name),
                })
            }
            _ => Ok(None),
        }
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
            let wrong = |problem: Problem| LineError::Column {
                table: table.name.clone(),
                column: name.clone(),
                problem,
            };
            let Some(raw) = values.get(name).map(|raw| raw.get()) else {
                if column.optional {
                    image.insert(name.clone(), Value::Null);
                    continue;
                }
                return Err(wrong(missing(name, &values)));
            };
            if self.is_unavailable(raw) {
                unavailable.push(name.clone());
                continue;
            }
            let value = values::read_typed(column.kind, raw).map_err(wrong)?;
            if value.as_str().is_some_and(|text| text.contains('\0')) && table.joins(name) {
                return Err(wrong("joins rows and contains a NUL character".into()));
            }
            image.insert(name.clone(), self.masked(column.mask, value));
        }
        Ok(image)
    }

    /// Returns whether a value is the placeholder for one that the record does not repeat.
    fn is_unavailable(&self, raw: &str) -> bool {
        let compound = raw.starts_with(['[', '{']);
        if !compound && !raw.starts_with('"') {
            return false;
        }
        // Checked again by its form: the placeholder is not a valid value of any type.
        self.mapping.unavailable_forms.may_stand_in(raw)
            && serde_json::from_str(raw)
                .is_ok_and(|value| self.mapping.unavailable_forms.stands_in(&value))
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

fn missing(name: &str, values: &HashMap<String, &RawValue>) -> Problem {
    let mut names = values.keys();
    if let Some(other) = names.find(|other| other.to_lowercase() == name.to_lowercase()) {
        return format!("is not in the record, which has `{other}`: correct the mapping").into();
    }
    "is not in the record: correct the mapping, or list it in `optional` if the legacy added it \
     later or dropped it"
        .into()
}

/// Returns a row's key as text: its values as the mapping's types read them, in normal form.
fn key_text(table: &Table, line: &Line<'_>) -> Result<String, LineError> {
    let shape = |problem: &str| LineError::WrongShape(format!("table `{}`: {problem}", table.name));
    let raw = line.key.get();
    if raw == "null" {
        return Err(shape(line.no_key()));
    }
    let columns: HashMap<String, &RawValue> = serde_json::from_str(raw).map_err(|_| {
        line.wrong_key(format!("the key of table `{}` is not an object", table.name))
    })?;
    let mut parts = Vec::with_capacity(table.key.len());
    for (place, name) in table.key.iter().enumerate() {
        let lacks = "the key lacks a column that the mapping names in `key`";
        let raw = columns
            .get(name)
            .ok_or_else(|| line.wrong_key(format!("table `{}`: {lacks}", table.name)))?;
        let kind = table.columns.get(name).and_then(|column| column.kind);
        let value = values::read_typed(kind, raw.get()).map_err(|problem| LineError::Column {
            table: table.name.clone(),
            column: name.clone(),
            problem,
        })?;
        let part = key_part(&value).ok_or_else(|| {
            shape("a column of the key is null, a list or an object, which cannot identify a row")
        })?;
        if part.contains('\0') {
            return Err(shape("the key contains a NUL character, which keys must not contain"));
        }
        parts.push(table.form.part(place, part));
    }
    check_columns(table, &columns)?;
    let text = key_of(parts);
    if text.len() > LONGEST_KEY {
        return Err(shape("the key is longer than 1,000 bytes"));
    }
    Ok(text)
}

/// Refuses a record whose key has columns that the mapping's key lacks: without them different rows
/// would be treated as one.
pub(crate) fn check_columns(
    table: &Table,
    columns: &HashMap<String, &RawValue>,
) -> Result<(), LineError> {
    if columns.len() <= table.key.len() {
        return Ok(());
    }
    let mut further: Vec<&str> =
        columns.keys().filter(|name| !table.key.contains(name)).map(String::as_str).collect();
    further.sort_unstable();
    let names = match &*further {
        [] => return Ok(()),
        [one] => format!("`{one}`"),
        [others @ .., last] => format!("`{}` and `{last}`", others.join("`, `")),
    };
    Err(LineError::WrongShape(format!(
        "table `{}`: the key of its records also has {names}, which the mapping's `key` lacks, so that \
         different rows would be treated as one: name all columns in `key`, or, if rows are unique \
         without {names}, set `message.key.columns` in the connector",
        table.name
    )))
}
