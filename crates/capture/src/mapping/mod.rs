//! The mapping: which columns of a legacy system are stored and how, which rows make up which
//! aggregate, and the programs that turn them into the states of `Sync…` commands.
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

/// Why a mapping cannot be used: where in the file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file cannot be read.
    #[error("the mapping {file} cannot be read")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML, or not of the mapping's shape.
    #[error("the mapping is not valid: {0}")]
    Malformed(String),
    /// It does not make sense.
    #[error("the mapping is not valid: line {line}, {place}: {problem}")]
    Invalid {
        /// The line in the file.
        line: usize,
        /// The place in the file, as `aggregates.order.rows."lines.unit"`.
        place: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Programs read names that nothing has, or make ids of keys that no row has: all of them.
    #[error("the mapping is not valid: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Misread(Vec<Misread>),
}

/// What is wrong at one place of a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}, {place}: {problem}")]
pub struct Misread {
    /// The line in the file.
    pub line: usize,
    /// The column in it, in characters.
    pub column: usize,
    /// The place in the file, as `aggregates.order.jq`.
    pub place: String,
    /// What is wrong and what may be meant.
    pub problem: String,
}

/// A checked mapping with its programs compiled.
#[derive(Debug)]
pub struct Mapping {
    pub(crate) source: String,
    pub(crate) tables_from: String,
    pub(crate) unavailable: String,
    pub(crate) unavailable_forms: Placeholder,
    /// Tables not to be taken for mapped ones written in another case.
    pub(crate) ignore: BTreeSet<String>,
    pub(crate) tables: Vec<Table>,
    pub(crate) table_ids: HashMap<String, TableId>,
    /// The tables by their topics in small letters.
    pub(crate) topics_in_small: HashMap<String, TableId>,
    pub(crate) links: Vec<Link>,
    pub(crate) aggregates: Vec<Aggregate>,
    /// Changes when what the mirror holds would be different.
    pub(crate) mirror_fingerprint: String,
    /// The file as it was read.
    pub(crate) text: String,
    /// For each aggregate, the columns that the fields of its state are made of. Empty in a mapping
    /// that was stored.
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
    /// How its keys are compared with each other and with the columns that name them.
    pub(crate) form: KeyForm,
    pub(crate) columns: BTreeMap<String, Column>,
    /// Columns that may speak of the person whose aggregate a row belongs to.
    pub(crate) personal: BTreeSet<String>,
    /// The links whose column is in this table.
    pub(crate) links: Vec<LinkId>,
    /// The columns of those links.
    pub(crate) joining: BTreeSet<String>,
    /// Where rows of this table stand in documents.
    pub(crate) uses: Vec<(AggregateId, NodeId)>,
}

impl Table {
    /// Whether its rows are roots of aggregates.
    pub(crate) fn is_root(&self) -> bool {
        self.uses.iter().any(|(_, node)| *node == 0)
    }

    /// The columns of its key, for messages.
    pub(crate) fn key_in_words(&self) -> String {
        let columns = match self.key.len() {
            1 => "one column".to_owned(),
            several => format!("{several} columns"),
        };
        format!("the key of `{}` has {columns} (`{}`)", self.name, self.key.join("`, `"))
    }

    /// Whether a column joins rows of this table to others.
    pub(crate) fn joins(&self, column: &str) -> bool {
        self.joining.contains(column)
    }
}

/// A stored column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) mask: Mask,
    pub(crate) kind: Option<ColumnType>,
    /// May be missing in a record; it is null then.
    pub(crate) optional: bool,
}

/// How a column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mask {
    /// As it is.
    Keep,
    /// As an HMAC.
    Hash,
}

/// The columns that name rows of another table. One index over them serves both directions: from a
/// row to the rows that name it, and (by the row itself) to the row it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) table: TableId,
    /// In the order of the key that they name.
    pub(crate) columns: Vec<String>,
    pub(crate) prefix: Option<String>,
    /// How the keys that they name are compared.
    pub(crate) form: KeyForm,
}

impl Link {
    /// The key that a row names.
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
        // There is no row with a longer one.
        (key.len() <= LONGEST_KEY).then_some(key)
    }
}

/// A kind of aggregate.
#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) root: TableId,
    /// What ids are made with in the place of the root's name, where the mapping says so.
    pub(crate) ids: Option<String>,
    /// The root, then every place of the document, parents first.
    pub(crate) nodes: Vec<Node>,
    pub(crate) program: Arc<Program>,
    /// Changes when documents or states would be different.
    pub(crate) fingerprint: String,
}

impl Aggregate {
    /// What the legacy's key is called outside: modules know of an aggregate by its command and this
    /// alone. Keys of different roots, and of several aggregates of one root, must not meet there.
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
    /// As written: `lines.product`; empty for the root.
    pub(crate) path: String,
    /// The last part of the path.
    pub(crate) field: String,
    pub(crate) table: TableId,
    /// How its rows are found from those of the parent; the root has none.
    pub(crate) edge: Option<Edge>,
    pub(crate) follow: bool,
    pub(crate) required: bool,
    pub(crate) children: Vec<NodeId>,
}

impl Node {
    /// Whether its row is one that the root row names.
    pub(crate) fn is_named_by_root(&self) -> bool {
        self.edge.is_some_and(|edge| edge.parent == 0 && edge.direction == Direction::One)
    }

    /// Whether its rows name those of the parent place as their owner.
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

/// Which side names the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The rows name the parent: any number of them.
    Many,
    /// The parent names the row: one or none.
    One,
}

impl Mapping {
    /// Reads and checks a mapping file. `commands` are the `Sync…` commands there are.
    pub fn load(path: &Path, commands: &BTreeSet<String>) -> Result<Self, MappingError> {
        Self::parse(&read(path)?, commands)
    }

    /// Checks a mapping file without knowing which commands there are: everything but those.
    pub fn check(path: &Path) -> Result<(), MappingError> {
        Self::parse_with(&read(path)?, None).map(drop)
    }

    /// Checks the text of a mapping file.
    pub fn parse(text: &str, commands: &BTreeSet<String>) -> Result<Self, MappingError> {
        Self::parse_with(text, Some(commands))
    }

    /// Reads a mapping that was checked before, maybe by an earlier release: what that took is
    /// taken again.
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

    /// The same without its aggregates: rows are stored, and nothing comes of them.
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

    /// The legacy system's name.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Names and commands of the aggregates, in the order their commands are sent.
    pub fn aggregates(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aggregates
            .iter()
            .map(|aggregate| (aggregate.name.as_str(), aggregate.command.as_str()))
    }

    /// What to say where it has no aggregate of a name.
    pub fn no_aggregate(&self, name: &str) -> String {
        let known: Vec<&str> = self.aggregates().map(|(name, _)| name).collect();
        let meant = names::meant(name, known.iter().copied());
        format!("the mapping has no aggregate `{name}`; there are {}{meant}", known.join(", "))
    }

    /// The id of the aggregate whose root row has this key.
    pub(crate) fn uid(&self, aggregate: AggregateId, key: &str) -> Uuid {
        aggregate_id(&self.source, self.id_name(&self.aggregates[aggregate]), key)
    }

    /// What stands before the key in ids.
    pub(crate) fn id_name<'m>(&'m self, aggregate: &'m Aggregate) -> &'m str {
        aggregate.ids.as_deref().unwrap_or(&self.tables[aggregate.root].name)
    }

    /// The aggregate, and the key of its root row, that a command and a reference stand for.
    pub(crate) fn referenced<'r>(
        &self,
        command: &str,
        reference: &'r str,
    ) -> Option<(AggregateId, &'r str)> {
        let told = || self.aggregates.iter().enumerate().filter(|(_, one)| one.command == command);
        let named = told().find_map(|(id, one)| {
            let key = reference.strip_prefix(one.ids.as_deref()?)?.strip_prefix('/')?;
            Some((id, key))
        });
        named.or_else(|| told().find(|(_, one)| one.ids.is_none()).map(|(id, _)| (id, reference)))
    }

    /// The aggregates of a root table.
    pub(crate) fn rooted_in(&self, table: TableId) -> impl Iterator<Item = AggregateId> {
        let aggregates = self.aggregates.iter().enumerate();
        aggregates.filter(move |(_, one)| one.root == table).map(|(id, _)| id)
    }

    /// How a link is named in the mirror.
    pub(crate) fn link_name(&self, link: LinkId) -> String {
        let Link { table, columns, prefix, form } = &self.links[link];
        let prefix = prefix.as_deref().map(|prefix| format!("|{prefix}")).unwrap_or_default();
        let trimmed = if form.compare.trimmed { "~trimmed" } else { "" };
        let nocase = if form.compare.nocase { "~nocase" } else { "" };
        let numeric = if form.has_numbers() { "~numeric" } else { "" };
        let columns = columns.join("+");
        format!("{}.{columns}{prefix}{trimmed}{nocase}{numeric}", self.tables[*table].name)
    }

    /// Whether the mapping says of a key's column, or of one that names it, what its values mean.
    pub(crate) fn has_typed_keys(&self) -> bool {
        let kind = |table: &Table, column: &String| {
            table.columns.get(column).is_some_and(|column| column.kind.is_some())
        };
        let typed = |table: &Table| table.key.iter().any(|column| kind(table, column));
        self.tables.iter().any(|table| table.form.has_numbers() || typed(table))
    }

    /// How a table's keys are made, for programs that make ids of keys.
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
