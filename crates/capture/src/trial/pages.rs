//! Assembles the aggregates of a kind page by page, and runs their programs.

use jaq_json::Val;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Stated, Trial, TrialError};
use crate::assembly::{Assembled, assemble_within};
use crate::import::{ImportError, state_of};
use crate::jq::{Job, NamedRow, to_plain};
use crate::mapping::AggregateId;
use crate::mirror::{Mirror, RowId};
use kernel::sync::LegacyState;

/// Number of aggregates assembled at once.
const PAGE: i64 = 500;
/// Bytes of rows assembled at once, unless one aggregate has more.
const BYTES: usize = 32 << 20;

/// A row to which a state refers by its id, and which the feed does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoSuchRow {
    /// The first argument of `uid`.
    pub uid: String,
    /// The key.
    pub key: String,
}

/// The result for one aggregate among many.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The key of its root row.
    pub key: String,
    /// Its id.
    pub id: Uuid,
    /// The key as modules see it.
    pub reference: String,
    /// The program's output, or why there is none.
    pub result: Result<Stated, String>,
    /// Rows to which its state refers and which the feed does not have.
    pub no_such_rows: Vec<NoSuchRow>,
}

/// The result for one aggregate, with the document if requested.
pub(super) struct Ran {
    pub(super) is_there: bool,
    pub(super) document: Option<Value>,
    pub(super) result: Result<Stated, String>,
    pub(super) no_such_rows: Vec<NoSuchRow>,
}

impl Trial {
    /// Returns the aggregates of a kind after a key, ordered by key: none after the last. Keeps no more
    /// than a page of them in memory.
    pub async fn page(
        &self,
        aggregate: &str,
        after: Option<&str>,
    ) -> Result<Vec<Tried>, TrialError> {
        let id = self.aggregate(aggregate)?;
        let aggregate = &self.mapping.aggregates[id];
        let keys = self.keys(&self.mapping.tables[aggregate.root], after, PAGE).await?;
        let ran = self.ran(id, &keys, false).await?;
        let tried = keys.into_iter().zip(ran).map(|(key, ran)| Tried {
            id: self.mapping.uid(id, &key),
            reference: aggregate.reference(&key),
            result: ran.result,
            no_such_rows: ran.no_such_rows,
            key,
        });
        Ok(tried.collect())
    }

    /// Assembles aggregates and runs their programs, in the order of the keys: at least one, and no
    /// more than fit into memory.
    pub(super) async fn ran(
        &self,
        id: AggregateId,
        keys: &[String],
        with_documents: bool,
    ) -> Result<Vec<Ran>, ImportError> {
        let mapping = &self.mapping;
        let mut mirror = Mirror::new(mapping.clone());
        let mut reading = self.database.snapshot().await?;
        let room = (&mut 0, BYTES);
        let assembled = assemble_within(&mut mirror, &mut reading, mapping, (id, keys), room);
        let assembled = assembled.await?;
        reading.rollback().await?;
        let root = mapping.aggregates[id].root;
        let mut ran = Vec::with_capacity(assembled.len());
        let (mut jobs, mut of) = (Vec::new(), Vec::new());
        for (key, assembled) in keys.iter().zip(assembled) {
            let mut document = None;
            let result = match assembled {
                Assembled::Deleted => Ok(Stated::Absent("deleted".to_owned())),
                Assembled::Waiting(why) => Err(why),
                Assembled::Document(input) => {
                    document = with_documents.then(|| to_plain(&input)).flatten();
                    of.push(ran.len());
                    jobs.push(self.job(id, input));
                    Err(String::new())
                }
            };
            let is_there = mirror.row(&(root, key.clone())).is_some();
            ran.push(Ran { is_there, document, result, no_such_rows: Vec::new() });
        }
        let answers = self.runner.run_noting(jobs).await.map_err(|_| ImportError::ProgramStuck)?;
        let mut named = Vec::new();
        for (of, (answer, rows)) in of.into_iter().zip(answers) {
            let state = answer.map_err(|error| error.to_string()).and_then(state_of);
            ran[of].result = state.map(|state| match state {
                LegacyState::Present(state) => Stated::Present(state),
                LegacyState::Absent { reason } => Stated::Absent(reason),
            });
            if let Ok(Stated::Present(state)) = &ran[of].result {
                let rows = rows.into_iter().filter(|row| mentions(state, &row.id));
                named.extend(rows.map(|row| (of, row)));
            }
        }
        self.look_up(named, &mut ran).await?;
        Ok(ran)
    }

    fn job(&self, id: AggregateId, input: Val) -> Job {
        Job { program: self.mapping.aggregates[id].program.clone(), input }
    }

    /// Records which of the rows to which states refer do not exist.
    async fn look_up(
        &self,
        named: Vec<(usize, NamedRow)>,
        ran: &mut [Ran],
    ) -> Result<(), ImportError> {
        let mapping = &self.mapping;
        let root = |name: &str| {
            mapping.aggregates.iter().find(|one| mapping.id_name(one) == name).map(|one| one.root)
        };
        let row = |row: &NamedRow| -> Option<RowId> { Some((root(&row.name)?, row.key.clone())) };
        let mut mirror = Mirror::new(mapping.clone());
        let mut reading = self.database.snapshot().await?;
        let rows = named.iter().filter_map(|(_, named)| row(named)).collect::<Vec<_>>();
        mirror.load_rows(&mut reading, rows).await?;
        reading.rollback().await?;
        for (of, named) in named {
            let found = row(&named).and_then(|row| mirror.row(&row).cloned());
            let missing = NoSuchRow { uid: named.name, key: named.key };
            let known = &mut ran[of].no_such_rows;
            if found.is_none_or(|row| row.image.is_none()) && !known.contains(&missing) {
                known.push(missing);
            }
        }
        Ok(())
    }
}

/// Returns whether a text occurs in a value.
fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found == text,
        Value::Array(values) => values.iter().any(|value| mentions(value, text)),
        Value::Object(members) => members.values().any(|value| mentions(value, text)),
        _ => false,
    }
}
