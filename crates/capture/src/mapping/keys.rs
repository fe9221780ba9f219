//! Keys as text: equal keys are equal texts, whichever column they stand in.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::file::{AggregateFile, ColumnType, EdgeFile};
use super::{Table, TableId};
use crate::numbers::{normal, plain};

/// What makes no difference between two keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Compare {
    /// Blanks at the end.
    pub(crate) trimmed: bool,
    /// Capital and small letters.
    pub(crate) nocase: bool,
}

impl Compare {
    /// The form that is the same for all texts between which there is no difference.
    pub(crate) fn of(self, text: &str) -> Cow<'_, str> {
        let trimmed = if self.trimmed { text.trim_end_matches(' ') } else { text };
        if self.nocase { trimmed.to_lowercase().into() } else { trimmed.into() }
    }
}

/// The form in which the keys of a table are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyForm {
    pub(crate) compare: Compare,
    /// Per column of the key: whether it is a decimal number, of which `7`, `7.00` and `007` are one.
    pub(crate) numeric: Vec<bool>,
}

impl KeyForm {
    /// A column's part of a key.
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

    /// Whether keys are known as they are written.
    pub(crate) fn is_exact(&self) -> bool {
        self.compare == Compare::default() && !self.has_numbers()
    }
}

/// A part of a key as text: of a value that can be one. Whatever its type, a number is written as
/// a decimal is: `7.0` is `7`.
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

/// A key as text: the plain value, or a JSON array of texts where it has several parts.
pub(crate) fn key_of(parts: Vec<String>) -> String {
    match <[String; 1]>::try_from(parts) {
        Ok([single]) => single,
        Err(several) => Value::from(several).to_string(),
    }
}

/// What the ids of a legacy's aggregates are made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) source: String,
    /// Tables whose keys are not known as they are written.
    pub(crate) forms: HashMap<String, KeyForm>,
    /// How many columns the keys of tables have.
    pub(crate) key_columns: HashMap<String, usize>,
}

impl From<&str> for Names {
    fn from(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }
}

impl Names {
    /// A key of a table in the form in which it is known.
    pub(crate) fn key(&self, table: &str, parts: Vec<String>) -> String {
        let Some(form) = self.forms.get(table) else { return key_of(parts) };
        let several = match &*parts {
            // A key of several columns may be given as the text that it is.
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

/// Finds the columns of keys that are decimal numbers: those with such a type, and those that a
/// column with such a type names.
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
