//! Determines what changed in the state of the legacy system.

use serde::Serialize;
use serde_json::Value;

use super::command::LegacyState;

/// The change of a legacy system's aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum News<S> {
    /// No change to record.
    None,
    /// The aggregate exists and was unknown here: `…Imported`.
    Imported(S),
    /// The aggregate was known and its state changed: `…Revised`.
    Revised {
        /// The new state.
        state: S,
        /// The names of the changed fields.
        changed: Vec<String>,
    },
}

/// Compares the legacy system's state with the known one. `merge` applies a present state to the
/// known one; `withdraw` marks an aggregate that no longer exists, with the reason. An aggregate
/// that never existed is no change.
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

/// Returns the names of the top-level fields in which two states differ, in the order of the struct.
///
/// Both are compared as the JSON that is stored. A state without a JSON form should not exist; if
/// one did, the whole state counts as changed, because recording too much is safe.
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
