//! The content of a `Sync…` command, and its outcome.

use async_trait::async_trait;
use event_contract::LegacyReference;
use serde_json::Value;
use uuid::Uuid;

use crate::authoring::execution::Cause;

/// The legacy system's state of one aggregate: as returned by the mapping's program, or as parsed by
/// the aggregate's module.
#[derive(Debug, Clone, PartialEq)]
pub enum LegacyState<S = Value> {
    /// The aggregate exists with this state. An absent field means "keep the current value", null
    /// means "clear".
    Present(S),
    /// It is not, or is no longer, an aggregate of this kind.
    Absent {
        /// The reason, for display.
        reason: String,
    },
}

/// One `Sync…` command.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// The aggregate's id: UUIDv5 of source, table and key.
    pub id: Uuid,
    /// The source of the state.
    pub legacy: LegacyReference,
    /// The legacy system's state of the aggregate.
    pub state: LegacyState,
    /// Correlation, actor and origin of the change.
    pub cause: Cause,
}

/// A legacy aggregate as a decider receives it, to compare with the known state.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyReport<S> {
    /// The aggregate's id.
    pub id: Uuid,
    /// The source of the state.
    pub legacy: LegacyReference,
    /// The legacy system's state of the aggregate.
    pub state: LegacyState<S>,
}

/// The outcome of a `Sync…` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncOutcome {
    /// The aggregate was new and was imported.
    Imported,
    /// The aggregate was known and these fields changed.
    Revised(Vec<String>),
    /// The state is the same as before: nothing was recorded.
    Unchanged,
    /// Absent in the legacy system and unknown here: nothing to do.
    Ignored,
    /// bascule owns the aggregate now; the legacy state is ignored and nothing was recorded.
    Conflict,
    /// The data subject was erased here: nothing was recorded, and nothing may be stored.
    Suppressed,
}

/// Why a `Sync…` command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The state cannot be parsed: it belongs in quarantine. The text never contains personal data.
    #[error("{0}")]
    NotUnderstood(String),
    /// The state can never be recorded as it is: it belongs in quarantine. The text never contains
    /// personal data.
    #[error("{0}")]
    Impossible(String),
    /// The store rejected it for now; the same command may succeed later.
    #[error("cannot execute the command")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A module's handler for the `Sync…` command of one kind of aggregate.
#[async_trait]
pub trait SyncTarget: Send + Sync {
    /// Returns the command's name, which a mapping refers to: `<module>.Sync<Aggregate>`.
    fn command(&self) -> &'static str;

    /// Compares the legacy state with ours and records the difference.
    async fn sync(&self, request: SyncRequest) -> Result<SyncOutcome, SyncError>;
}
