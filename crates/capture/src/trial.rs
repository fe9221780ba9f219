//! Trying a mapping out: one aggregate, from the rows of a feed to the state that a module would be
//! told. What reads, masks, joins and runs is the import's own.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use database::{Database, DatabaseError, Statement};
use kernel::keys::SecretKey;
use kernel::sync::LegacyState;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::assembly::{Assembled, assemble};
use crate::import::{Import, ImportError, Options, Progress, Summary, state_of};
use crate::jq::{Job, Limits, Runner, to_plain};
use crate::mapping::{Aggregate, AggregateId, Direction, Mapping, NodeId, Table, nearest};
use crate::mirror::Mirror;
use crate::suppression::{Extent, extent_of_root};

const KEYS: Statement = Statement::Same(
    "SELECT key FROM mirror_row WHERE source = $1 AND tbl = $2 AND image IS NOT NULL \
     ORDER BY key LIMIT $3",
);

/// How many keys are looked through for one that may be meant.
const LOOKED_THROUGH: i64 = 100_000;

/// A row at a place of a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JoinedRow {
    /// The place, empty for the root.
    pub place: String,
    /// The table.
    pub table: String,
    /// Its columns; null where the place has no row.
    pub columns: Option<Map<String, Value>>,
}

/// What became of one aggregate.
#[derive(Debug, Clone, Serialize)]
pub struct Look {
    /// The id that it has, or would have.
    pub id: Uuid,
    /// What its key is called outside: `legacy.id`.
    pub reference: String,
    /// The rows that were joined, in the order of the document.
    pub rows: Vec<JoinedRow>,
    /// The document that the program read; none where something is missing.
    pub document: Option<Value>,
    /// What the program gave, or why nothing.
    pub result: Result<Stated, String>,
}

/// What a program gave.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stated {
    /// A state.
    Present(Value),
    /// This is no such aggregate, and why.
    Absent(String),
}

impl Stated {
    /// The same for a module.
    pub fn state(&self) -> LegacyState {
        match self {
            Self::Present(state) => LegacyState::Present(state.clone()),
            Self::Absent(reason) => LegacyState::Absent { reason: reason.clone() },
        }
    }
}

/// Why an aggregate cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// There is no such aggregate in the mapping.
    #[error("the mapping has no aggregate `{name}`; there are {known}")]
    NoAggregate {
        /// What was asked for.
        name: String,
        /// Those it has.
        known: String,
    },
    /// The root table has no such row.
    #[error("`{table}` has no row with the key {key}{hint}")]
    NoRow {
        /// The root table.
        table: String,
        /// The key as it was asked for.
        key: String,
        /// What may be meant.
        hint: String,
    },
    /// The feed cannot be read or assembled.
    #[error(transparent)]
    Import(#[from] ImportError),
}

impl From<DatabaseError> for TrialError {
    fn from(error: DatabaseError) -> Self {
        Self::Import(error.into())
    }
}

/// A mirror of a feed, of which aggregates can be looked at.
#[derive(Debug)]
pub struct Trial {
    mapping: Arc<Mapping>,
    database: Database,
    runner: Runner,
    /// What was read.
    pub summary: Summary,
}

impl Trial {
    /// Fills a mirror from files. No document is assembled and no command is sent.
    pub async fn fill(
        mapping: Arc<Mapping>,
        database: Database,
        key: SecretKey,
        files: &[PathBuf],
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Self, ImportError> {
        let rows_only = Arc::new(mapping.rows_only());
        let import = Import::new(rows_only, database.clone(), key, &HashMap::new())?;
        let summary = import.run(files, Options::default(), progress, cancel).await?;
        let patience = Limits::default().time * 2 + Duration::from_secs(10);
        let runner = Runner::start(patience).map_err(ImportError::Threads)?;
        Ok(Self { mapping, database, runner, summary })
    }

    /// Puts one aggregate together and runs its program.
    pub async fn look(&self, aggregate: &str, key: &str) -> Result<Look, TrialError> {
        let mapping = &self.mapping;
        let found = mapping.aggregates.iter().position(|one| one.name == aggregate);
        let id = found.ok_or_else(|| TrialError::NoAggregate {
            name: aggregate.to_owned(),
            known: mapping.aggregates().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
        })?;
        let aggregate = &mapping.aggregates[id];
        let table = &mapping.tables[aggregate.root];
        let key = &*mapping.names().key(&table.name, vec![key.to_owned()]);
        let mut mirror = Mirror::new(mapping.clone());
        let mut reading = self.database.snapshot().await?;
        let keys = [key.to_owned()];
        let assembled = assemble(&mut mirror, &mut reading, mapping, id, &keys).await?;
        reading.rollback().await?;
        if mirror.row(&(aggregate.root, key.to_owned())).is_none() {
            let hint = self.hint(table, key).await?;
            let (table, key) = (table.name.clone(), key.to_owned());
            return Err(TrialError::NoRow { table, key, hint });
        }
        let (uid, reference) = (mapping.uid(id, key), aggregate.reference(key));
        let nothing = |result| Look {
            id: uid,
            reference: reference.clone(),
            rows: Vec::new(),
            document: None,
            result,
        };
        Ok(match assembled.into_iter().next() {
            None => return Err(ImportError::ProgramStuck.into()),
            Some((Assembled::Deleted, _)) => nothing(Ok(Stated::Absent("deleted".to_owned()))),
            Some((Assembled::Waiting(why), _)) => nothing(Err(why)),
            Some((Assembled::Document(document), _)) => {
                let plain = to_plain(&document);
                let mut rows = Vec::new();
                if let Some(plain) = &plain {
                    joined(mapping, aggregate, 0, plain, &mut rows);
                }
                let result = self.run(id, document).await?;
                Look { id: uid, reference, rows, document: plain, result }
            }
        })
    }

    async fn run(
        &self,
        id: AggregateId,
        input: jaq_json::Val,
    ) -> Result<Result<Stated, String>, ImportError> {
        let job = Job { program: self.mapping.aggregates[id].program.clone(), input };
        let answers = self.runner.run(vec![job]).await.map_err(|_| ImportError::ProgramStuck)?;
        let answer = answers.into_iter().next().ok_or(ImportError::ProgramStuck)?;
        let state = answer.map_err(|error| error.to_string()).and_then(state_of);
        Ok(state.map(|state| match state {
            LegacyState::Present(state) => Stated::Present(state),
            LegacyState::Absent { reason } => Stated::Absent(reason),
        }))
    }

    /// What may be meant by a key that is not there.
    async fn hint(&self, table: &Table, key: &str) -> Result<String, DatabaseError> {
        let mut reading = self.database.snapshot().await?;
        let keys = reading.query(&KEYS).bind(&self.mapping.source).bind(&table.name);
        let keys: Vec<String> = keys.bind(LOOKED_THROUGH).scalars().await?;
        reading.rollback().await?;
        if keys.is_empty() {
            return Ok(": the feed has no row of it".to_owned());
        }
        let alike = |other: &&String| other.trim().eq_ignore_ascii_case(key.trim());
        let meant = keys.iter().find(alike).map(String::as_str);
        let meant = meant.or_else(|| nearest(key, keys.iter().map(String::as_str)));
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
        let some = || {
            let some: Vec<String> = keys.iter().take(5).map(|key| format!("`{key}`")).collect();
            format!("; there are {}{}", some.join(", "), if keys.len() > 5 { ", …" } else { "" })
        };
        Ok(meant.unwrap_or_else(some))
    }

    /// The columns that may be about a person, as an erasure takes them for: those in `personal`,
    /// and of the rows that make up a person's own aggregate all that neither identifies nor joins.
    /// By table; `people` is the command that a person is told by.
    pub fn personal_columns(&self, people: &str) -> HashMap<String, BTreeSet<String>> {
        let mapping = &self.mapping;
        let mut personal: HashMap<String, BTreeSet<String>> = HashMap::new();
        for table in &mapping.tables {
            personal.entry(table.name.clone()).or_default().extend(table.personal.iter().cloned());
        }
        let alone = |root| extent_of_root(mapping, root) == Extent::Row;
        let people = mapping.aggregates.iter().filter(|one| one.command == people);
        for aggregate in people.filter(|one| alone(one.root)) {
            let own = aggregate.nodes.iter().enumerate();
            for (_, node) in own.filter(|(index, node)| *index == 0 || node.is_owned()) {
                let table = &mapping.tables[node.table];
                let columns = table.columns.keys();
                let all =
                    columns.filter(|column| !table.key.contains(column) && !table.joins(column));
                personal.entry(table.name.clone()).or_default().extend(all.cloned());
            }
        }
        personal
    }

    /// Calls a function on the value of every column in a document, with its table and name.
    pub fn each_column(
        &self,
        aggregate: &str,
        document: &mut Value,
        change: &mut dyn FnMut(&str, &str, &mut Value),
    ) {
        let aggregate = self.mapping.aggregates.iter().find(|one| one.name == aggregate);
        if let Some(aggregate) = aggregate {
            each_column(&self.mapping, aggregate, 0, document, change);
        }
    }
}

fn each_column(
    mapping: &Mapping,
    aggregate: &Aggregate,
    node: NodeId,
    value: &mut Value,
    change: &mut dyn FnMut(&str, &str, &mut Value),
) {
    match value {
        Value::Array(rows) => {
            rows.iter_mut().for_each(|row| each_column(mapping, aggregate, node, row, change));
        }
        Value::Object(members) => {
            let place = &aggregate.nodes[node];
            let table = &mapping.tables[place.table].name;
            for (name, value) in members {
                let below =
                    place.children.iter().find(|&&child| aggregate.nodes[child].field == *name);
                match below {
                    Some(&child) => each_column(mapping, aggregate, child, value, change),
                    None => change(table, name, value),
                }
            }
        }
        _ => {}
    }
}

/// The rows of a document, as they stand in it.
fn joined(
    mapping: &Mapping,
    aggregate: &Aggregate,
    node: NodeId,
    value: &Value,
    rows: &mut Vec<JoinedRow>,
) {
    let place = &aggregate.nodes[node];
    let table = mapping.tables[place.table].name.clone();
    let members = match value {
        Value::Array(values) => {
            return values.iter().for_each(|value| joined(mapping, aggregate, node, value, rows));
        }
        Value::Object(members) => members,
        _ => {
            debug_assert!(place.edge.is_some_and(|edge| edge.direction == Direction::One));
            rows.push(JoinedRow { place: place.path.clone(), table, columns: None });
            return;
        }
    };
    let is_place =
        |name: &str| place.children.iter().any(|&child| aggregate.nodes[child].field == name);
    let columns = members.iter().filter(|(name, _)| !is_place(name));
    let columns = columns.map(|(name, value)| (name.clone(), value.clone())).collect();
    rows.push(JoinedRow { place: place.path.clone(), table, columns: Some(columns) });
    for &child in &place.children {
        if let Some(value) = members.get(&aggregate.nodes[child].field) {
            joined(mapping, aggregate, child, value, rows);
        }
    }
}
