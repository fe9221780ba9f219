//! What a `Sync…` command carries, and what becomes of it.

use async_trait::async_trait;
use event_contract::LegacyReference;
use serde_json::Value;
use uuid::Uuid;

use crate::authoring::execution::Cause;

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
