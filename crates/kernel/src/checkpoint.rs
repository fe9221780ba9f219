//! How far a subscription has come, kept where its effects are kept.

use async_trait::async_trait;
use uuid::Uuid;

use crate::event::Position;
use crate::store::BoxError;

/// How far a subscription has come in which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log it was reading.
    pub log_id: Uuid,
    /// Everything up to here is done.
    pub position: Position,
    /// Id of the event there, where one was seen: a restored log has another one in its place.
    pub event_id: Option<Uuid>,
}

/// An event that was set aside because it could not be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Where it stands in the log.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// What it was in order with: later events of the same key wait behind it.
    pub key: String,
    /// Why it could not be handled. Never holds personal data.
    pub error: String,
    /// How often it was tried; 0 when it only waits behind another.
    pub attempts: u32,
}

/// Why a subscription's own database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The database cannot be used now.
    #[error("the subscription's database is unavailable")]
    Unavailable(#[source] BoxError),
    /// Another process has moved the checkpoint: this one must stop and read it afresh.
    #[error("another process moved the checkpoint of {subscription}")]
    Moved {
        /// The subscription.
        subscription: String,
    },
}

/// The database of a module, as far as the subscription runtime needs it.
#[async_trait]
pub trait SubscriptionStore: Send + Sync + 'static {
    /// An open transaction: what a projection writes and the checkpoint move in it together.
    type Transaction: Send;

    /// Whether an error says that the database cannot be used now, rather than that an event
    /// cannot be handled: a healthy event must not be parked because the disk was full.
    fn is_unavailable(error: &BoxError) -> bool;

    /// The stored checkpoint of a subscription.
    async fn checkpoint(&self, subscription: &str) -> Result<Option<Checkpoint>, CheckpointError>;

    /// Opens a transaction.
    async fn begin(&self) -> Result<Self::Transaction, CheckpointError>;

    /// Moves a checkpoint from where it was believed to be, and commits. Fails with
    /// [`CheckpointError::Moved`], and rolls everything back, when it is elsewhere.
    async fn advance(
        &self,
        transaction: Self::Transaction,
        subscription: &str,
        from: Option<Position>,
        to: Checkpoint,
    ) -> Result<(), CheckpointError>;

    /// Sets an event aside within a transaction. Setting it aside twice changes nothing.
    async fn park(
        &self,
        transaction: &mut Self::Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> Result<(), CheckpointError>;

    /// The keys of a subscription that have parked events.
    async fn parked_keys(&self, subscription: &str) -> Result<Vec<String>, CheckpointError>;
}
