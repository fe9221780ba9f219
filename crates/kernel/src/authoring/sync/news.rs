//! What is new in the state that the legacy system has.

use serde::Serialize;
use serde_json::Value;

use super::command::LegacyState;

/// What is new in the legacy system's word on an aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum News<S> {
    /// Nothing that need be recorded.
    None,
    /// It is there, and was not known here: `…Imported`.
    Imported(S),
    /// It was known, and stands otherwise now: `…Revised`.
    Revised {
        /// How it stands now.
        state: S,
        /// The names of what changed.
        changed: Vec<String>,
    },
}

/// Compares the legacy system's word with what is known. What is said is laid over that by `merge`;
/// what is there no longer stands as `withdraw` says, with the reason. What never was there is no
/// news.
pub fn compare<S: Serialize, W, R>(
    known: Option<&S>,
    word: LegacyState<W>,
    merge: impl FnOnce(Option<&S>, W) -> Result<S, R>,
    withdraw: impl FnOnce(&S, String) -> S,
) -> Result<News<S>, R> {
    let state = match (known, word) {
        (_, LegacyState::Present(said)) => merge(known, said)?,
        (Some(known), LegacyState::Absent { reason }) => withdraw(known, reason),
        (None, LegacyState::Absent { .. }) => return Ok(News::None),
    };
    let Some(known) = known else {
        return Ok(News::Imported(state));
    };
    let changed = changed_fields(known, &state);
    Ok(if changed.is_empty() { News::None } else { News::Revised { state, changed } })
}

/// The names of the top-level fields in which two states differ, in the order of the struct.
///
/// Both are compared as the JSON they are stored as. States without a JSON form do not exist; if
/// they did, recording one too many is the safe side: the whole state counts as changed.
fn changed_fields<S: Serialize>(before: &S, after: &S) -> Vec<String> {
    let (Ok(Value::Object(before)), Ok(Value::Object(after))) =
        (serde_json::to_value(before), serde_json::to_value(after))
    else {
        return vec!["state".to_owned()];
    };
    let mut changed: Vec<String> = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(*value))
        .map(|(name, _)| name.clone())
        .collect();
    changed.extend(before.keys().filter(|name| !after.contains_key(*name)).cloned());
    changed
}
