//! The mapping: which columns of a legacy system are stored and how, which rows make up which
//! aggregate, and the programs that convert them into the states of `Sync…` commands.
//!
//! The format is described in `docs/mapping.md`.

mod check;
mod file;
mod keys;
mod names;
mod personal;
pub(crate) mod roots;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

pub(crate) use file::ColumnType;
pub(crate) use keys::{Compare, KeyForm, Names, key_of, key_part};
pub use names::nearest;
pub use personal::Revealed;
pub use survey::{Survey, SurveyedTable, Unknown};

use uuid::Uuid;

use crate::ids::aggregate_id;
use crate::jq::Program;
use crate::mask::{Image, LONGEST_KEY};
use crate::unavailable::Placeholder;

/// Why a mapping cannot be used, with the place in the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file cannot be read.
    #[error("cannot read the mapping {file}")]
    Unreadable {
        /// The file.
        file: String,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or does not have the structure of a mapping.
    #[error("the mapping is not valid: {0}")]
    Malformed(String),
    /// A value is not valid.
    #[error("the mapping is not valid: line {line}, {place}: {problem}")]
    Invalid {
        /// The line in the file.
        line: usize,
        /// The place in the file, as `aggregates.order.rows."lines.unit"`.
        place: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// All places where programs read unknown names, or derive ids from keys with the wrong columns.
    #[error("the mapping is not valid: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Misread(Vec<Misread>),
}

/// A mistake at one place of a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}, {place}: {problem}")]
pub struct Misread {
    /// The line in the file.
    pub line: usize,
    /// The column in the line, in characters.
    pub column: usize,
    /// The place in the file, such as `aggregates.order.jq`.
    pub place: String,
    /// What is wrong, and a suggestion.
    pub problem: String,
}

/// A checked mapping with its programs compiled.
#[derive(Debug)]
pub struct Mapping {
    pub(crate) source: String,
    pub(crate) tables_from: String,
    pub(crate) unavailable: String,
    pub(crate) unavailable_forms: Placeholder,
    /// Tables that differ from mapped ones in case only and are not mapped.
    pub(crate) ignore: BTreeSet<String>,
    pub(crate) tables: Vec<Table>,
    pub(crate) table_ids: HashMap<String, TableId>,
    /// The tables by their topics in lower case.
    pub(crate) topics_in_small: HashMap<String, TableId>,
    pub(crate) links: Vec<Link>,
    pub(crate) aggregates: Vec<Aggregate>,
    /// Changes if the content of the mirror would be different.
    pub(crate) mirror_fingerprint: String,
    /// The file's text.
    pub(crate) text: String,
    /// For each aggregate, the columns from which the fields of its state are computed. Empty in a
    /// stored mapping.
    pub(crate) made_of: Vec<names::Fields>,
}

/// Index into [`Mapping::tables`].
pub(crate) type TableId = usize;
/// Index into [`Mapping::links`].
pub(crate) type LinkId = usize;
/// Index into [`Mapping::aggregates`].
pub(crate) type AggregateId = usize;
/// Index into [`Aggregate::nodes`].
pub(crate) type NodeId = usize;

/// A table of the legacy.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// The line of the mapping file.
    pub(crate) line: usize,
    pub(crate) key: Vec<String>,
    /// How its keys are compared with each other and with columns that refer to them.
    pub(crate) form: KeyForm,
    pub(crate) columns: BTreeMap<String, Column>,
    /// Columns with data about the person to whose aggregate a row belongs.
    pub(crate) personal: BTreeSet<String>,
    /// The links whose column is in this table.
    pub(crate) links: Vec<LinkId>,
    /// The columns of those links.
    pub(crate) joining: BTreeSet<String>,
    /// The places of this table's rows in documents.
    pub(crate) uses: Vec<(AggregateId, NodeId)>,
}

impl Table {
    /// Returns whether its rows are roots of aggregates.
    pub(crate) fn is_root(&self) -> bool {
        self.uses.iter().any(|(_, node)| *node == 0)
    }

    /// Returns the columns of its key, for messages.
    pub(crate) fn key_in_words(&self) -> String {
        let columns = match self.key.len() {
            1 => "one column".to_owned(),
            several => format!("{several} columns"),
        };
        format!("the key of `{}` has {columns} (`{}`)", self.name, self.key.join("`, `"))
    }

    /// Returns whether a column joins rows of this table to others.
    pub(crate) fn joins(&self, column: &str) -> bool {
        self.joining.contains(column)
    }
}

/// A stored column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) mask: Mask,
    pub(crate) kind: Option<ColumnType>,
    /// Whether it may be missing in a record; it is null then.
    pub(crate) optional: bool,
}

/// How a column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mask {
    /// Unchanged.
    Keep,
    /// As an HMAC digest.
    Hash,
}

/// The columns that refer to rows of another table. One index over them serves both directions: from a
/// row to the rows that refer to it, and (by the row itself) to the row to which it refers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) table: TableId,
    /// In the order of the key columns to which they refer.
    pub(crate) columns: Vec<String>,
    pub(crate) prefix: Option<String>,
    /// How these keys are compared.
    pub(crate) form: KeyForm,
}

impl Link {
    /// Returns the key to which a row refers.
    pub(crate) fn target(&self, image: &Image) -> Option<String> {
        let part = |(place, column): (usize, &String)| {
            let text = key_part(image.get(column)?)?;
            let text = match &self.prefix {
                None => text,
                Some(prefix) => text.strip_prefix(prefix)?.to_owned(),
            };
            Some(self.form.part(place, text))
        };
        let key = key_of(self.columns.iter().enumerate().map(part).collect::<Option<_>>()?);
        // No row has a longer key.
        (key.len() <= LONGEST_KEY).then_some(key)
    }
}

/// A kind of aggregate.
#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) root: TableId,
    /// Replaces the root's name in ids, if the mapping has it.
    pub(crate) ids: Option<String>,
    /// The root, then every place of the document, parents first.
    pub(crate) nodes: Vec<Node>,
    pub(crate) program: Arc<Program>,
    /// Changes if documents or states would be different.
    pub(crate) fingerprint: String,
}

impl Aggregate {
    /// Returns the legacy key as modules see it: they identify an aggregate by its command and this
    /// reference alone. Keys of different roots, and of several aggregates of one root, must not
    /// collide there.
    pub(crate) fn reference(&self, key: &str) -> String {
        match &self.ids {
            Some(ids) => format!("{ids}/{key}"),
            None => key.to_owned(),
        }
    }
}

/// A place in a document.
#[derive(Debug)]
pub(crate) struct Node {
    /// The path as written: `lines.product`; empty for the root.
    pub(crate) path: String,
    /// The last part of the path.
    pub(crate) field: String,
    pub(crate) table: TableId,
    /// How its rows are joined to those of the parent; `None` for the root.
    pub(crate) edge: Option<Edge>,
    pub(crate) follow: bool,
    pub(crate) required: bool,
    pub(crate) children: Vec<NodeId>,
}

impl Node {
    /// Returns whether the root row refers to its row.
    pub(crate) fn is_named_by_root(&self) -> bool {
        self.edge.is_some_and(|edge| edge.parent == 0 && edge.direction == Direction::One)
    }

    /// Returns whether its rows refer to those of the parent place as their owner.
    pub(crate) fn is_owned(&self) -> bool {
        self.edge.is_some_and(|edge| edge.direction == Direction::Many)
    }
}

/// How rows are joined to those of the parent place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) parent: NodeId,
    pub(crate) link: LinkId,
    pub(crate) direction: Direction,
}

/// Which side has the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The rows refer to the parent: any number of them.
    Many,
    /// The parent refers to the row: one or none.
    One,
}

impl Mapping {
    /// Reads and checks a mapping file. `commands` are the existing `Sync…` commands.
    pub fn load(path: &Path, commands: &BTreeSet<String>) -> Result<Self, MappingError> {
        Self::parse(&read(path)?, commands)
    }

    /// Checks a mapping file without the existing commands: everything else.
    pub fn check(path: &Path) -> Result<(), MappingError> {
        Self::parse_with(&read(path)?, None).map(drop)
    }

    /// Checks the text of a mapping file.
    pub fn parse(text: &str, commands: &BTreeSet<String>) -> Result<Self, MappingError> {
        Self::parse_with(text, Some(commands))
    }

    /// Parses a mapping that was checked before, perhaps by an earlier release: it is accepted again if
    /// that release accepted it.
    pub(crate) fn stored(text: &str) -> Result<Self, MappingError> {
        let file = file::read(text)?;
        check::Check::new(text, None).mapping(&file)
    }

    fn parse_with(text: &str, commands: Option<&BTreeSet<String>>) -> Result<Self, MappingError> {
        let file = file::read(text)?;
        let mut mapping = check::Check::new(text, commands).mapping(&file)?;
        let made_of = names::check(text, &mapping, &file.aggregates_in_order(), &file.jq.defs)?;
        mapping.made_of = made_of;
        let aggregates = file.aggregates_in_order();
        mapping.check_named_rows(|id| names::position(text, aggregates[id].1.span().start).0)?;
        Ok(mapping)
    }

    /// Returns the mapping without its aggregates: rows are stored, and no commands result.
    pub(crate) fn rows_only(&self) -> Self {
        let mut tables = self.tables.clone();
        tables.iter_mut().for_each(|table| table.uses.clear());
        Self {
            source: self.source.clone(),
            tables_from: self.tables_from.clone(),
            unavailable: self.unavailable.clone(),
            unavailable_forms: self.unavailable_forms.clone(),
            ignore: self.ignore.clone(),
            tables,
            table_ids: self.table_ids.clone(),
            topics_in_small: self.topics_in_small.clone(),
            links: self.links.clone(),
            aggregates: Vec::new(),
            mirror_fingerprint: self.mirror_fingerprint.clone(),
            text: self.text.clone(),
            made_of: Vec::new(),
        }
    }

    /// Returns the legacy system's name.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the names and commands of the aggregates, in the order in which their commands are sent.
    pub fn aggregates(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aggregates
            .iter()
            .map(|aggregate| (aggregate.name.as_str(), aggregate.command.as_str()))
    }

    /// Returns the message for an unknown aggregate.
    pub fn no_aggregate(&self, name: &str) -> String {
        let known: Vec<&str> = self.aggregates().map(|(name, _)| name).collect();
        let meant = names::meant(name, known.iter().copied());
        format!("the mapping has no aggregate `{name}`; there are {}{meant}", known.join(", "))
    }

    /// Returns the id of the aggregate whose root row has this key.
    pub(crate) fn uid(&self, aggregate: AggregateId, key: &str) -> Uuid {
        aggregate_id(&self.source, self.id_name(&self.aggregates[aggregate]), key)
    }

    /// Returns the name that precedes the key in ids.
    pub(crate) fn id_name<'m>(&'m self, aggregate: &'m Aggregate) -> &'m str {
        aggregate.ids.as_deref().unwrap_or(&self.tables[aggregate.root].name)
    }

    /// Returns the aggregate, and the key of its root row, of a command and a reference.
    pub(crate) fn referenced<'r>(
        &self,
        command: &str,
        reference: &'r str,
    ) -> Option<(AggregateId, &'r str)> {
        let candidates =
            || self.aggregates.iter().enumerate().filter(|(_, one)| one.command == command);
        let named = candidates().find_map(|(id, one)| {
            let key = reference.strip_prefix(one.ids.as_deref()?)?.strip_prefix('/')?;
            Some((id, key))
        });
        named.or_else(|| {
            candidates().find(|(_, one)| one.ids.is_none()).map(|(id, _)| (id, reference))
        })
    }

    /// Returns the aggregates of a root table.
    pub(crate) fn rooted_in(&self, table: TableId) -> impl Iterator<Item = AggregateId> {
        let aggregates = self.aggregates.iter().enumerate();
        aggregates.filter(move |(_, one)| one.root == table).map(|(id, _)| id)
    }

    /// Returns a link's name in the mirror.
    pub(crate) fn link_name(&self, link: LinkId) -> String {
        let Link { table, columns, prefix, form } = &self.links[link];
        let prefix = prefix.as_deref().map(|prefix| format!("|{prefix}")).unwrap_or_default();
        let trimmed = if form.compare.trimmed { "~trimmed" } else { "" };
        let nocase = if form.compare.nocase { "~nocase" } else { "" };
        let numeric = if form.has_numbers() { "~numeric" } else { "" };
        let columns = columns.join("+");
        format!("{}.{columns}{prefix}{trimmed}{nocase}{numeric}", self.tables[*table].name)
    }

    /// Returns whether the mapping has a type for a key's column, or for one that refers to it.
    pub(crate) fn has_typed_keys(&self) -> bool {
        let kind = |table: &Table, column: &String| {
            table.columns.get(column).is_some_and(|column| column.kind.is_some())
        };
        let typed = |table: &Table| table.key.iter().any(|column| kind(table, column));
        self.tables.iter().any(|table| table.form.has_numbers() || typed(table))
    }

    /// Returns the names and key forms for programs that derive ids.
    pub(crate) fn names(&self) -> Names {
        let formed = self.tables.iter().filter(|table| !table.form.is_exact());
        let formed = formed.map(|table| (table.name.clone(), table.form.clone()));
        let key_columns = self.tables.iter().map(|table| (table.name.clone(), table.key.len()));
        Names {
            source: self.source.clone(),
            forms: formed.collect(),
            key_columns: key_columns.collect(),
        }
    }
}

fn read(path: &Path) -> Result<String, MappingError> {
    std::fs::read_to_string(path)
        .map_err(|source| MappingError::Unreadable { file: path.display().to_string(), source })
}
