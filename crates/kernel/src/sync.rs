//! The seam between an anti-corruption layer and the modules: a `Sync…` command carries the state
//! that the legacy system has, and the module records what is new in it.
//!
//! Imported facts trigger no policy: `…Imported` and `…Revised` are for projections only.

mod codes;
mod entrance;
mod fields;
mod indexed;
mod reading;
mod stated;

use std::borrow::Cow;

use async_trait::async_trait;
pub use event_contract::LegacyReference;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::execution::Cause;

pub use codes::{Coded, currency};
pub use entrance::{LegacyAggregate, LegacyEntrance, Objection};
pub use fields::{StatedField, without_null};
pub use indexed::{LONGEST_KEY, indexed};
pub use reading::understand;
pub use stated::{PERSONAL, StatedCommand};

/// What the legacy system says of one aggregate: as the mapping's program returned it, or as the
/// aggregate's module reads that.
#[derive(Debug, Clone, PartialEq)]
pub enum LegacyState<S = Value> {
    /// It is there, and this is its state. A field that is absent means "leave alone", null means
    /// "clear".
    Present(S),
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

/// How one aggregate stands in the legacy system: what a decider compares with what it knows.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyReport<S> {
    /// The aggregate's id.
    pub id: Uuid,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says of it.
    pub state: LegacyState<S>,
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
    /// The person it is about was erased here: nothing was recorded, and nothing is to be kept.
    Suppressed,
}

/// Why a `Sync…` command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The state cannot be understood: it belongs in quarantine. The text never holds personal data.
    #[error("{0}")]
    NotUnderstood(String),
    /// It can never be recorded as it is, whatever the number of attempts: it belongs in quarantine.
    /// The text never holds personal data.
    #[error("{0}")]
    Impossible(String),
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

    /// The same, of the value as something else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(change(value)),
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

/// Null or a value.
impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}

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
