//! Puts the aggregates of a kind together page by page, and runs their programs.

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

/// Aggregates put together at once.
const PAGE: i64 = 500;
/// Bytes of rows that are put together at once, unless one aggregate has more.
const BYTES: usize = 32 << 20;

/// A row that a state refers to by its id, and that the feed does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoSuchRow {
    /// What `uid` was given.
    pub uid: String,
    /// The key.
    pub key: String,
}

/// What became of one aggregate among many.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The key of its root row.
    pub key: String,
    /// Its id.
    pub id: Uuid,
    /// What its key is called outside.
    pub reference: String,
    /// What the program gave, or why nothing.
    pub result: Result<Stated, String>,
    /// What its state refers to and the feed does not have.
    pub no_such_rows: Vec<NoSuchRow>,
}

/// What became of one aggregate, with the document if it was asked for.
pub(super) struct Ran {
    pub(super) is_there: bool,
    pub(super) document: Option<Value>,
    pub(super) result: Result<Stated, String>,
    pub(super) no_such_rows: Vec<NoSuchRow>,
}

impl Trial {
    /// The aggregates of a kind after a key, in the order of their keys: none after the last. Holds
    /// no more than a page of them.
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

    /// Puts aggregates together and runs their programs, in the order of the keys: at least one, and
    /// no more than fit into memory.
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

    /// Notes which of the rows that states refer to are not there.
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

/// Whether a text stands in a value.
fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found == text,
        Value::Array(values) => values.iter().any(|value| mentions(value, text)),
        Value::Object(members) => members.values().any(|value| mentions(value, text)),
        _ => false,
    }
}
