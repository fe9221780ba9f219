//! The structure of the mapping file. The parent module defines its meaning.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use super::MappingError;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MappingFile {
    pub(super) version: Spanned<i64>,
    pub(super) source: Spanned<String>,
    pub(super) tables_from: String,
    #[serde(default = "unavailable")]
    pub(super) unavailable: String,
    #[serde(default)]
    pub(super) ignore: BTreeSet<String>,
    pub(super) tables: BTreeMap<String, Spanned<TableFile>>,
    #[serde(default)]
    pub(super) jq: DefinitionsFile,
    pub(super) aggregates: BTreeMap<String, Spanned<AggregateFile>>,
}

/// Parses a file's text.
pub(super) fn read(text: &str) -> Result<MappingFile, MappingError> {
    toml::from_str(text)
        .map_err(|error| MappingError::Malformed(error.to_string().trim_end().to_owned()))
}

impl MappingFile {
    /// Returns the aggregates in the order of the file, in which their commands are sent.
    pub(super) fn aggregates_in_order(&self) -> Vec<(&String, &Spanned<AggregateFile>)> {
        let mut aggregates: Vec<_> = self.aggregates.iter().collect();
        aggregates.sort_by_key(|(_, aggregate)| aggregate.span().start);
        aggregates
    }
}

fn unavailable() -> String {
    "__debezium_unavailable_value".to_owned()
}

/// Definitions shared by all programs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DefinitionsFile {
    #[serde(default)]
    pub(super) defs: String,
}

/// One table of the legacy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableFile {
    #[serde(default = "id")]
    pub(super) key: Vec<String>,
    #[serde(default)]
    pub(super) keep: Vec<String>,
    #[serde(default)]
    pub(super) hash: Vec<String>,
    #[serde(default)]
    pub(super) personal: Vec<String>,
    #[serde(default)]
    pub(super) optional: Vec<String>,
    #[serde(default)]
    pub(super) types: BTreeMap<String, ColumnType>,
    #[serde(default)]
    pub(super) compare: CompareFile,
}

/// How the values of a key are compared: by one rule or several.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged, expecting = "write \"trimmed\", \"nocase\", or both in a list")]
pub(super) enum CompareFile {
    /// Character by character.
    #[default]
    Exactly,
    /// One rule.
    One(CompareBy),
    /// Several rules.
    All(Vec<CompareBy>),
}

/// A rule that ignores differences between keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CompareBy {
    /// Ignores nothing: every character counts.
    Exact,
    /// Ignores trailing blanks.
    Trimmed,
    /// Ignores case.
    Nocase,
}

impl CompareFile {
    pub(super) fn by(&self) -> &[CompareBy] {
        match self {
            Self::Exactly => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::All(all) => all,
        }
    }
}

fn id() -> Vec<String> {
    vec!["id".to_owned()]
}

/// The meaning of a column's bare JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ColumnType {
    /// Days since 1970-01-01, read as `2025-01-06`.
    Date,
    /// Microseconds since 1970-01-01 UTC, read as RFC 3339.
    Timestamp,
    /// Milliseconds since 1970-01-01 UTC, read as RFC 3339.
    TimestampMs,
    /// A number or a text, read as exact decimal text.
    Decimal,
    /// The bytes of an unscaled number in base64, as `decimal.handling.mode=precise` writes them, with
    /// this number of decimals; read as exact decimal text.
    Precise(u32),
}

impl ColumnType {
    /// Returns whether it is read as a date or a time.
    pub(super) fn is_time(self) -> bool {
        matches!(self, Self::Date | Self::Timestamp | Self::TimestampMs)
    }
}

/// One kind of aggregate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AggregateFile {
    pub(super) root: String,
    pub(super) command: String,
    /// Replaces the root's name in ids.
    pub(super) ids: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) rows: BTreeMap<String, Spanned<EdgeFile>>,
    pub(super) jq: ProgramFile,
}

/// The program of an aggregate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramFile {
    pub(super) program: Spanned<String>,
}

/// The rows at a place of the document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EdgeFile {
    pub(super) many: Option<String>,
    pub(super) fk: Option<ColumnsFile>,
    pub(super) one: Option<String>,
    #[serde(rename = "ref")]
    pub(super) reference: Option<ColumnsFile>,
    pub(super) prefix: Option<String>,
    #[serde(default = "yes")]
    pub(super) follow: bool,
    #[serde(default)]
    pub(super) required: bool,
}

/// One column, or several in the order of the key columns to which they refer.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum ColumnsFile {
    One(String),
    Several(Vec<String>),
}

impl ColumnsFile {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

/// Formats a single column like a name, because fingerprints of documents derive from this format.
impl fmt::Debug for ColumnsFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.all() {
            [one] => one.fmt(formatter),
            several => several.fmt(formatter),
        }
    }
}

fn yes() -> bool {
    true
}
