//! A trial of a mapping: one aggregate, or all, from the rows of a feed to the state that would be sent
//! to a module. Reading, masking, joining and running programs is the import's own code.

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

/// Maximum number of keys searched for a similar one.
const LOOKED_THROUGH: i64 = 100_000;

/// A row at a place of a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JoinedRow {
    /// The place, empty for the root.
    pub place: String,
    /// The table.
    pub table: String,
    /// Its columns; null if there is no row at the place.
    pub columns: Option<Map<String, Value>>,
}

/// The result for one aggregate.
#[derive(Debug, Clone, Serialize)]
pub struct Look {
    /// The id of the aggregate, if it is or were imported.
    pub id: Uuid,
    /// The key as modules see it: `legacy.id`.
    pub reference: String,
    /// The joined rows, in the order of the document.
    pub rows: Vec<JoinedRow>,
    /// The input of the program; `None` if a row or value is missing.
    pub document: Option<Value>,
    /// The program's output, or why there is none.
    pub result: Result<Stated, String>,
    /// Rows to which the state refers and which the feed does not have.
    pub no_such_rows: Vec<NoSuchRow>,
}

/// The output of a program.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stated {
    /// A state.
    Present(Value),
    /// This row is not such an aggregate, with the reason.
    Absent(String),
}

impl Stated {
    /// Returns the state for a module.
    pub fn state(&self) -> LegacyState {
        match self {
            Self::Present(state) => LegacyState::Present(state.clone()),
            Self::Absent(reason) => LegacyState::Absent { reason: reason.clone() },
        }
    }
}

/// Why an aggregate cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The mapping has no such aggregate.
    #[error("{0}")]
    NoAggregate(String),
    /// The root table has no such row.
    #[error("`{table}` has no row with the key {key}{hint}")]
    NoRow {
        /// The root table.
        table: String,
        /// The given key.
        key: String,
        /// A suggestion.
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

/// A mirror filled from a feed, whose aggregates can be inspected.
#[derive(Debug)]
pub struct Trial {
    mapping: Arc<Mapping>,
    database: Database,
    runner: Runner,
    /// The summary of reading the feed.
    pub summary: Summary,
}

impl Trial {
    /// Fills a mirror from files. Assembles no document and sends no command.
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

    /// Assembles one aggregate and runs its program.
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

    /// Returns keys of the rows of a table, in order.
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

    /// Returns a suggestion for an unknown key.
    async fn hint(&self, table: &Table, key: &str) -> Result<String, DatabaseError> {
        let keys = self.keys(table, None, LOOKED_THROUGH).await?;
        if keys.is_empty() {
            return Ok(": the feed has no rows of this table".to_owned());
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

/// Returns the rows of a document, in its order.
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
