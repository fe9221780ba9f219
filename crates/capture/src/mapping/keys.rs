//! Keys as text: equal keys are equal texts, in whatever column.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::file::{AggregateFile, ColumnType, EdgeFile};
use super::{Table, TableId};
use crate::numbers::{normal, plain};

/// The differences that comparing two keys ignores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Compare {
    /// Trailing blanks.
    pub(crate) trimmed: bool,
    /// Case.
    pub(crate) nocase: bool,
}

impl Compare {
    /// Returns the normal form, which is the same for all texts that compare as equal.
    pub(crate) fn of(self, text: &str) -> Cow<'_, str> {
        let trimmed = if self.trimmed { text.trim_end_matches(' ') } else { text };
        if self.nocase { trimmed.to_lowercase().into() } else { trimmed.into() }
    }
}

/// The normal form of a table's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyForm {
    pub(crate) compare: Compare,
    /// Per key column: whether it is a decimal number, for which `7`, `7.00` and `007` are equal.
    pub(crate) numeric: Vec<bool>,
}

impl KeyForm {
    /// Returns the normal form of a column's part of a key.
    pub(crate) fn part(&self, column: usize, text: String) -> String {
        let numeric = self.numeric.get(column).copied().unwrap_or_default();
        let text = if numeric { normal(text) } else { text };
        if self.compare == Compare::default() {
            return text;
        }
        self.compare.of(&text).into_owned()
    }

    pub(crate) fn has_numbers(&self) -> bool {
        self.numeric.contains(&true)
    }

    /// Returns whether keys are used as written.
    pub(crate) fn is_exact(&self) -> bool {
        self.compare == Compare::default() && !self.has_numbers()
    }
}

/// Returns a part of a key as text, if the value can be one. Numbers are written as decimals, whatever
/// their type: `7.0` is `7`.
pub(crate) fn key_part(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_f64() => {
            let text = number.to_string();
            Some(plain(&text).unwrap_or(text))
        }
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns a key as text: the plain value, or a JSON array of texts if it has several parts.
pub(crate) fn key_of(parts: Vec<String>) -> String {
    match <[String; 1]>::try_from(parts) {
        Ok([single]) => single,
        Err(several) => Value::from(several).to_string(),
    }
}

/// The data from which the ids of a legacy's aggregates are derived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) source: String,
    /// Tables whose keys have another normal form than the written one.
    pub(crate) forms: HashMap<String, KeyForm>,
    /// The number of key columns per table.
    pub(crate) key_columns: HashMap<String, usize>,
}

impl From<&str> for Names {
    fn from(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }
}

impl Names {
    /// Returns the normal form of a table's key.
    pub(crate) fn key(&self, table: &str, parts: Vec<String>) -> String {
        let Some(form) = self.forms.get(table) else { return key_of(parts) };
        let several = match &*parts {
            // A key of several columns may be given in its text form.
            [text] if form.numeric.len() > 1 => serde_json::from_str(text).ok(),
            _ => None,
        };
        let parts = several.unwrap_or(parts).into_iter().enumerate();
        key_of(parts.map(|(column, part)| form.part(column, part)).collect())
    }
}

fn is_decimal(kind: Option<ColumnType>) -> bool {
    matches!(kind, Some(ColumnType::Decimal | ColumnType::Precise(_)))
}

/// Finds the key columns that are decimal numbers: those with such a type, and those to which a column
/// with such a type refers.
pub(super) fn find_numbers<'f>(
    tables: &mut [Table],
    ids: &HashMap<String, TableId>,
    aggregates: impl Iterator<Item = &'f AggregateFile>,
) {
    let kind = |table: &Table, column: &String| table.columns.get(column).and_then(|one| one.kind);
    for table in tables.iter_mut() {
        table.form.numeric =
            table.key.iter().map(|column| is_decimal(kind(table, column))).collect();
    }
    for aggregate in aggregates {
        let mut places: BTreeMap<&str, TableId> = BTreeMap::new();
        places.extend(ids.get(&aggregate.root).map(|&root| ("", root)));
        // A parent's path is a prefix of its children's, so it sorts before them.
        for (path, edge) in &aggregate.rows {
            let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
            let EdgeFile { many, fk, one, reference, .. } = edge.get_ref();
            let Some(&parent) = places.get(parent) else { continue };
            let Some(&table) = many.as_ref().or(one.as_ref()).and_then(|name| ids.get(name)) else {
                continue;
            };
            places.insert(path, table);
            let (naming, named) = if many.is_some() { (table, parent) } else { (parent, table) };
            let Some(columns) = fk.as_ref().or(reference.as_ref()) else { continue };
            for (place, column) in columns.all().iter().enumerate() {
                let numeric = is_decimal(kind(&tables[naming], column));
                if let Some(known) = tables[named].form.numeric.get_mut(place) {
                    *known |= numeric;
                }
            }
        }
    }
}
