//! Trying a mapping out: one aggregate, or all, from the rows of a feed to the state that a module
//! would be told. What reads, masks, joins and runs is the import's own.

mod pages;

use std::collections::HashMap;
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

use crate::import::{Import, ImportError, Options, Progress, Summary};
use crate::jq::{Limits, Runner};
use crate::mapping::{Aggregate, AggregateId, Direction, Mapping, NodeId, Table, nearest};
use pages::Ran;
pub use pages::{NoSuchRow, Tried};

database::statements! {
    /// Every statement of this file.
    #[cfg(test)]
    pub(crate) const STATEMENTS: [Statement];

    const KEYS: Statement = Statement::Same(
        "SELECT key FROM mirror_row WHERE source = $1 AND tbl = $2 AND image IS NOT NULL \
         ORDER BY key LIMIT $3",
    );

    const KEYS_AFTER: Statement = Statement::Same(
        "SELECT key FROM mirror_row WHERE source = $1 AND tbl = $2 AND image IS NOT NULL \
         AND key > $4 ORDER BY key LIMIT $3",
    );
}

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
    /// What the state refers to and the feed does not have.
    pub no_such_rows: Vec<NoSuchRow>,
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
    #[error("{0}")]
    NoAggregate(String),
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
        let id = self.aggregate(aggregate)?;
        let aggregate = &mapping.aggregates[id];
        let table = &mapping.tables[aggregate.root];
        let key = mapping.names().key(&table.name, vec![key.to_owned()]);
        let ran = self.ran(id, std::slice::from_ref(&key), true).await?.into_iter().next();
        let Ran { is_there, document, result, no_such_rows } =
            ran.ok_or(ImportError::ProgramStuck)?;
        if !is_there {
            let hint = self.hint(table, &key).await?;
            return Err(TrialError::NoRow { table: table.name.clone(), key, hint });
        }
        let mut rows = Vec::new();
        if let Some(document) = &document {
            joined(mapping, aggregate, 0, document, &mut rows);
        }
        let (id, reference) = (mapping.uid(id, &key), aggregate.reference(&key));
        Ok(Look { id, reference, rows, document, result, no_such_rows })
    }

    fn aggregate(&self, name: &str) -> Result<AggregateId, TrialError> {
        let found = self.mapping.aggregates.iter().position(|one| one.name == name);
        found.ok_or_else(|| TrialError::NoAggregate(self.mapping.no_aggregate(name)))
    }

    /// Keys of the rows of a table, in their order.
    async fn keys(
        &self,
        table: &Table,
        after: Option<&str>,
        most: i64,
    ) -> Result<Vec<String>, DatabaseError> {
        let mut reading = self.database.snapshot().await?;
        let keys = reading.query(if after.is_some() { &KEYS_AFTER } else { &KEYS });
        let mut keys = keys.bind(&self.mapping.source).bind(&table.name).bind(most);
        if let Some(after) = after {
            keys = keys.bind(after);
        }
        let keys = keys.scalars().await?;
        reading.rollback().await?;
        Ok(keys)
    }

    /// What may be meant by a key that is not there.
    async fn hint(&self, table: &Table, key: &str) -> Result<String, DatabaseError> {
        let keys = self.keys(table, None, LOOKED_THROUGH).await?;
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
