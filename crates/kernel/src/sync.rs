//! The seam between an anti-corruption layer and the modules: a `Sync…` command carries the state
//! that the legacy system has, and the module records what is new in it.
//!
//! Imported facts trigger no policy: `…Imported.v1` and `…Revised.v1` are for projections only.

use async_trait::async_trait;
pub use event_contract::LegacyReference;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::execution::Cause;

/// What the legacy system says of one aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum LegacyState {
    /// It is there, and this is its state as the mapping's program returned it. A field that is
    /// absent means "leave alone", null means "clear".
    Present(Value),
    /// It is not, or is no longer, an aggregate of this kind.
    Absent {
        /// Why, for people.
        reason: String,
    },
}

/// One `Sync…` command.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// The aggregate's id: UUIDv5 of source, table and key.
    pub id: Uuid,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says of it.
    pub state: LegacyState,
    /// Correlation, actor and origin of the change.
    pub cause: Cause,
}

/// What became of a `Sync…` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncOutcome {
    /// The aggregate was new here.
    Imported,
    /// It was known and these of its fields changed.
    Revised(Vec<String>),
    /// The same state as before: nothing was recorded.
    Unchanged,
    /// Absent there and never seen here: nothing to do.
    Ignored,
    /// bascule owns the aggregate now; the legacy's word no longer counts and nothing was recorded.
    Conflict,
}

/// Why a `Sync…` command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The state cannot be understood: it belongs in quarantine. The text never holds personal data.
    #[error("{0}")]
    NotUnderstood(String),
    /// The store did not take it; the same command may succeed later.
    #[error("the command could not be carried out")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A module's entrance for one kind of imported aggregate.
#[async_trait]
pub trait SyncTarget: Send + Sync {
    /// The command's name, which a mapping refers to: `<module>.Sync<Aggregate>`.
    fn command(&self) -> &'static str;

    /// Compares the legacy's state with ours and records the difference.
    async fn sync(&self, request: SyncRequest) -> Result<SyncOutcome, SyncError>;
}

/// A field of a `Sync…` state: absent leaves ours alone, null clears it, a value sets it.
///
/// Use with `#[serde(default)]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// The legacy did not say.
    #[default]
    Keep,
    /// The legacy says there is none.
    Clear,
    /// The legacy says this.
    Set(T),
}

impl<T> Patch<T> {
    /// The field's new value, given the present one.
    pub fn over(self, present: Option<T>) -> Option<T> {
        match self {
            Self::Keep => present,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::deserialize(deserializer)? {
            Some(value) => Self::Set(value),
            None => Self::Clear,
        })
    }
}

/// The names of the top-level fields in which two states differ, in the order of the struct.
///
/// Both are compared as the JSON they are stored as.
pub fn changed_fields<T: Serialize>(
    before: &T,
    after: &T,
) -> Result<Vec<String>, serde_json::Error> {
    let (before, after) = (serde_json::to_value(before)?, serde_json::to_value(after)?);
    let (Value::Object(before), Value::Object(after)) = (&before, &after) else {
        return Ok(if before == after { vec![] } else { vec!["state".to_owned()] });
    };
    let mut changed: Vec<String> = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(*value))
        .map(|(name, _)| name.clone())
        .collect();
    changed.extend(before.keys().filter(|name| !after.contains_key(*name)).cloned());
    Ok(changed)
}
