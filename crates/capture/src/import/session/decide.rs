//! From assembled documents to the commands that say something new.

use std::collections::HashMap;

use chrono::DateTime;
use database::Transaction;
use kernel::execution::Cause;
use kernel::seams::new_id;
use kernel::sync::{LegacyReference, LegacyState, SyncRequest};
use serde_json::Value;
use uuid::Uuid;

use super::super::ImportError;
use super::super::deliver::Command;
use super::{Session, Turn, Work};
use crate::assembly::Assembled;
use crate::ids::aggregate_id;
use crate::jq::Job;
use crate::mirror::Root;

/// Purpose of the digests of delivered states.
const PURPOSE: &str = "capture.delivered";

impl Session<'_> {
    /// Turns documents into states and those that say something new into commands.
    pub(super) async fn decide(
        &self,
        transaction: &mut Transaction,
        turn: &mut Turn,
    ) -> Result<(), ImportError> {
        let mapping = &self.import.mapping;
        let mut work = std::mem::take(&mut turn.work);
        let mut jobs = Vec::new();
        for work in &mut work {
            if let Assembled::Document(input) = &mut work.assembled {
                let program = mapping.aggregates[work.root.0].program.clone();
                jobs.push(Job { program, input: std::mem::take(input) });
            }
        }
        let results = self.import.runner.run(jobs).await.map_err(|_| ImportError::ProgramStuck)?;
        let mut results = results.into_iter();
        let stored = self.stored_digests(transaction, &work).await?;
        let mut sent: HashMap<Root, usize> = HashMap::new();
        let mut causes: HashMap<i64, Uuid> = HashMap::new();
        for Work { root, mark, occurred_ms, assembled } in work {
            let state = match assembled {
                Assembled::Deleted => Ok(LegacyState::Absent { reason: "deleted".to_owned() }),
                Assembled::Waiting(_) if !turn.last => continue,
                Assembled::Waiting(why) => Err(why),
                Assembled::Document(_) => match results.next() {
                    Some(Ok(value)) => state_of(value),
                    Some(Err(error)) => Err(error.to_string()),
                    None => return Err(ImportError::ProgramStuck),
                },
            };
            let state = match state {
                Ok(state) => state,
                Err(why) => {
                    turn.done.push((root.clone(), mark));
                    turn.quarantined.push((root, why));
                    continue;
                }
            };
            let digest = self.digest(&state);
            let flying = self.flight.as_ref().and_then(|flight| flight.digests.get(&root));
            if let Some(&before) = sent.get(&root) {
                let before = &mut turn.commands[before];
                if before.digest == digest {
                    // Its acknowledgement is that of this mark too.
                    before.mark = mark;
                    continue;
                }
            } else if let Some(flying) = flying {
                if *flying == digest {
                    // The mark that goes with the command on its way stays until that is answered.
                    turn.dirty.remove(&root);
                    continue;
                }
            } else if stored.get(&root) == Some(&digest) {
                turn.done.push((root.clone(), mark));
                turn.quarantined.retain(|(broken, _)| *broken != root);
                turn.released.push(root);
                continue;
            }
            let correlation =
                if turn.one_cause { *causes.entry(mark).or_insert_with(new_id) } else { new_id() };
            sent.insert(root.clone(), turn.commands.len());
            let request = self.request(&root, state, correlation, occurred_ms);
            turn.commands.push(Command { aggregate: root.0, key: root.1, mark, digest, request });
        }
        Ok(())
    }

    fn request(
        &self,
        root: &Root,
        state: LegacyState,
        correlation: Uuid,
        occurred_ms: i64,
    ) -> SyncRequest {
        let mapping = &self.import.mapping;
        let source = &mapping.source;
        let table = &mapping.tables[mapping.aggregates[root.0].root].name;
        let mut cause = Cause::request(correlation, "import");
        cause.origin_system.clone_from(source);
        cause.occurred_at = DateTime::from_timestamp_millis(occurred_ms);
        SyncRequest {
            id: aggregate_id(source, table, &root.1),
            legacy: LegacyReference { source: source.clone(), id: root.1.clone() },
            state,
            cause,
        }
    }

    fn digest(&self, state: &LegacyState) -> String {
        let text = match state {
            LegacyState::Present(value) => format!("present {}", canonical(value)),
            LegacyState::Absent { reason } => format!("absent {reason}"),
        };
        hex::encode(self.import.key.digest(PURPOSE, &text))
    }

    async fn stored_digests(
        &self,
        transaction: &mut Transaction,
        work: &[Work],
    ) -> Result<HashMap<Root, String>, ImportError> {
        let mut stored = HashMap::new();
        for (id, aggregate) in self.import.mapping.aggregates.iter().enumerate() {
            let roots = work.iter().map(|work| &work.root).filter(|root| root.0 == id);
            let keys: Vec<&str> = roots.map(|root| root.1.as_str()).collect();
            if keys.is_empty() {
                continue;
            }
            let digests = self.ledger.digests(transaction, &aggregate.name, &keys).await?;
            stored.extend(digests.into_iter().map(|(key, digest)| ((id, key), digest)));
        }
        Ok(stored)
    }
}

/// What a program's result says.
fn state_of(value: Value) -> Result<LegacyState, String> {
    let Value::Object(members) = &value else {
        return Err("the program's output is not an object".to_owned());
    };
    match members.get("absent") {
        None => Ok(LegacyState::Present(value)),
        Some(Value::String(reason)) if members.len() == 1 => {
            Ok(LegacyState::Absent { reason: reason.clone() })
        }
        Some(_) => Err("the program's output has `absent` beside other fields".to_owned()),
    }
}

/// A value as text, the same whatever the order of members.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let text = members.iter().map(|(name, value)| {
                format!("{}:{}", Value::from(name.as_str()), canonical(value))
            });
            format!("{{{}}}", text.collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
