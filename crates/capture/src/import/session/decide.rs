//! Converts assembled documents into commands with new states.

use std::collections::HashMap;

use database::Transaction;
use kernel::keys::SecretKey;
use kernel::seams::new_id;
use kernel::sync::LegacyState;
use serde_json::Value;
use uuid::Uuid;

use super::super::ImportError;
use super::super::deliver::{Command, Stated};
use super::{Session, Turn, Work};
use crate::assembly::Assembled;
use crate::jq::Job;
use crate::mirror::Root;

/// Purpose of the digests of delivered states.
const PURPOSE: &str = "capture.delivered";
/// The reason for the absence of an aggregate whose root row was deleted.
pub(in crate::import) const DELETED: &str = "deleted";

impl Session<'_> {
    /// Converts documents into states, and new states into commands, given the digests of the last
    /// delivered states; returns `false` if the import was cancelled meanwhile.
    pub(super) async fn decide(
        &self,
        delivered: &HashMap<Root, String>,
        turn: &mut Turn,
    ) -> Result<bool, ImportError> {
        let mapping = &self.import.mapping;
        let mut work = std::mem::take(&mut turn.work);
        let mut jobs = Vec::new();
        for work in &mut work {
            if let Assembled::Document(input) = &mut work.assembled {
                let program = mapping.aggregates[work.root.0].program.clone();
                jobs.push(Job { program, input: std::mem::take(input) });
            }
        }
        let results = tokio::select! {
            biased;
            results = self.import.runner.run(jobs) => results,
            () = self.cancel.cancelled() => return Ok(false),
        };
        let mut results = results.map_err(|_| ImportError::ProgramStuck)?.into_iter();
        // The last decision on each aggregate in this turn: a state, or none.
        let mut latest: HashMap<Root, Option<String>> = HashMap::new();
        let mut causes: HashMap<i64, Uuid> = HashMap::new();
        for Work { root, mark, occurred_ms, assembled } in work {
            let state = match assembled {
                Assembled::Deleted => Ok(LegacyState::Absent { reason: DELETED.to_owned() }),
                Assembled::Waiting(_) if !turn.last => {
                    turn.wait(root, mark, occurred_ms);
                    continue;
                }
                Assembled::Waiting(why) => Err(why),
                Assembled::Document(_) => match results.next() {
                    Some(Ok(value)) => state_of(value),
                    Some(Err(error)) => Err(error.to_string()),
                    None => return Err(ImportError::ProgramStuck),
                },
            };
            turn.decided(&root, mark);
            if self.suppression.holds_root(mapping, root.0, &root.1) {
                // An erased person: no command is sent, whatever the document contains.
                turn.released.push((root, mark));
                continue;
            }
            let state = match state {
                Ok(state) => state,
                Err(why) => {
                    latest.insert(root.clone(), None);
                    turn.quarantined.insert(root, (mark, why));
                    continue;
                }
            };
            let digest = digest(&self.import.key, &state);
            let sent = latest.get(&root).map(Option::as_ref);
            match sent.or_else(|| self.pending.get(&root).map(Some)) {
                // The answer to it decides on this one too.
                Some(sent) if sent == Some(&digest) => continue,
                Some(_) => {}
                None if delivered.get(&root) == Some(&digest) => {
                    turn.released.push((root, mark));
                    continue;
                }
                None => {}
            }
            let correlation =
                if turn.one_cause { *causes.entry(mark).or_insert_with(new_id) } else { new_id() };
            latest.insert(root.clone(), Some(digest.clone()));
            let stated = match state {
                LegacyState::Present(value) => Stated::Present(value.to_string()),
                LegacyState::Absent { reason } => Stated::Absent(reason),
            };
            let seq = self.next_seq + turn.commands.len() as i64;
            turn.commands.push(Command {
                seq,
                root,
                mark,
                occurred_ms,
                correlation,
                digest,
                stated,
            });
        }
        Ok(true)
    }

    /// Returns the digests of the last delivered states of the aggregates in work.
    pub(super) async fn delivered(
        &self,
        reading: &mut Transaction,
        work: &[Work],
    ) -> Result<HashMap<Root, String>, ImportError> {
        let mut delivered = HashMap::new();
        for (id, aggregate) in self.import.mapping.aggregates.iter().enumerate() {
            let roots = work.iter().map(|work| &work.root).filter(|root| root.0 == id);
            let keys: Vec<&str> = roots.map(|root| root.1.as_str()).collect();
            if keys.is_empty() {
                continue;
            }
            let digests = self.ledger.digests(&mut *reading, &aggregate.name, &keys).await?;
            delivered.extend(digests.into_iter().map(|(key, digest)| ((id, key), digest)));
        }
        Ok(delivered)
    }
}

/// Returns the digest of a sent state.
pub(in crate::import) fn digest(key: &SecretKey, state: &LegacyState) -> String {
    let text = match state {
        LegacyState::Present(value) => format!("present {}", canonical(value)),
        LegacyState::Absent { reason } => format!("absent {reason}"),
    };
    hex::encode(key.digest(PURPOSE, &text))
}

/// Stored with every row, counted, and shown in full.
const LONGEST_REASON: usize = 1_000;

/// Returns the state in a program's output.
pub(crate) fn state_of(value: Value) -> Result<LegacyState, String> {
    let Value::Object(members) = &value else {
        return Err("the program's output is not an object".to_owned());
    };
    match members.get("absent") {
        None => Ok(LegacyState::Present(value)),
        Some(Value::String(reason)) if reason.contains('\0') => {
            Err("the reason in `absent` contains a NUL character".to_owned())
        }
        Some(Value::String(reason)) if reason.len() > LONGEST_REASON => {
            Err("the reason in `absent` is longer than 1,000 bytes".to_owned())
        }
        Some(Value::String(reason)) if members.len() == 1 => {
            Ok(LegacyState::Absent { reason: reason.clone() })
        }
        Some(_) => Err("the program's output has `absent` together with other fields".to_owned()),
    }
}

/// Returns a value as text, equal whatever the order of members.
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
