//! The port to a module's database that the subscription runtime needs.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Checkpoint, ParkedEvent};
use crate::authoring::lease::{Lease, LeaseStatus};
use crate::authoring::subscription::SubscriptionKind;
use crate::log::event::Position;
use crate::log::store::BoxError;

/// A replica's registration of a subscription, made before running it.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its name.
    pub subscription: String,
    /// Its kind.
    pub kind: SubscriptionKind,
    /// The event families that this replica reads for it.
    pub families: BTreeSet<String>,
    /// The log that this replica reads.
    pub log_id: Uuid,
}

/// The stored state of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionStatus {
    /// Its name.
    pub subscription: String,
    /// Its kind.
    pub kind: SubscriptionKind,
    /// Its checkpoint.
    pub checkpoint: Checkpoint,
    /// When the checkpoint was written.
    pub updated_at: DateTime<Utc>,
    /// Every event family that any replica has ever read for it.
    pub families: BTreeSet<String>,
    /// The lease of the replica that runs it, or that ran it last and did not release it.
    pub lease: Option<LeaseStatus>,
    /// The last error and its time. Never contains personal data.
    pub last_error: Option<(String, DateTime<Utc>)>,
    /// Number of its parked events.
    pub parked: u64,
    /// When it started or was last reset by a rebuild, by the clock of its database.
    pub reset_at: DateTime<Utc>,
    /// Whether it was stopped because the log went back, and not reset since.
    pub stopped: bool,
    /// Since when its oldest event has been waiting for its turn, as last reported by its owner.
    /// Reported only while the wait is long.
    pub waiting_since: Option<DateTime<Utc>>,
}

/// Why a subscription's database operation failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The database is not available at the moment.
    #[error("the subscription's database is unavailable")]
    Unavailable(#[source] BoxError),
    /// The subscription was never registered.
    #[error("there is no subscription {subscription}")]
    Unknown {
        /// Its name.
        subscription: String,
    },
    /// This replica no longer holds the lease. Nothing was changed.
    #[error(
        "the lease of {subscription} was lost{}",
        .holder.as_ref().map_or_else(String::new, |holder| format!("; {holder} holds it"))
    )]
    LeaseLost {
        /// The subscription.
        subscription: String,
        /// The current holder, if any. The former owner itself if it only has to reacquire the lease
        /// because the families grew.
        holder: Option<String>,
    },
    /// The tables are in an earlier state: the database lost its last commits, as after a crash or a
    /// failover.
    #[error("the subscription's tables went back to an earlier state")]
    WentBack,
    /// The checkpoint is not where its owner left it: the database lost its last commits in a crash,
    /// or the checkpoint was reset. Nothing was changed.
    #[error("expected the checkpoint of {subscription} at {expected}, found it at {found}")]
    Elsewhere {
        /// The subscription.
        subscription: String,
        /// The position where its owner left it.
        expected: Position,
        /// The stored position.
        found: Position,
    },
}

/// The port to a module's database that the subscription runtime needs.
///
/// A subscription is one row: its checkpoint, the lease's owner and expiry. Every change by the
/// owner goes through [`Self::begin_fenced`], which names the lease's token: a replica that was
/// paused beyond its lease, or disconnected, finds another token there and changes nothing.
pub trait SubscriptionStore: Send + Sync + 'static {
    /// An open transaction: a projection's writes and the checkpoint commit together.
    type Transaction: Send + 'static;

    /// Returns whether an error means that the database is unavailable, rather than that an event
    /// cannot be handled: a healthy event must not be parked because the disk was full.
    fn is_unavailable(error: &BoxError) -> bool;

    /// Registers the subscription at the beginning of the log and adds the families to the
    /// registered ones. If they grow, the lease's token changes, so that the current owner has to
    /// reacquire the lease and reads the new families too. A subscription that has not moved yet
    /// switches to the log given here.
    fn register(
        &self,
        registration: &Registration,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Acquires the lease for `ttl` if it is free, expired, or already held by this owner; returns
    /// `None` while another owner holds it, or if the subscription is stopped. The token is always
    /// new. Durable on return.
    fn acquire(
        &self,
        subscription: &str,
        owner: &str,
        ttl: Duration,
    ) -> impl Future<Output = Result<Option<Lease>, CheckpointError>> + Send;

    /// Extends the lease to its full time to live from now.
    fn renew(&self, lease: &Lease) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Stores since when the oldest event has been waiting for its turn, for the other replicas. No
    /// effect if the lease is lost.
    fn tell_waiting(
        &self,
        lease: &Lease,
        waiting_since: Option<DateTime<Utc>>,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Releases the lease, so that another replica need not wait for its expiry. No effect if it is
    /// already lost.
    fn release(&self, lease: &Lease) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Releases every lease, for a caller that knows that no other process runs: the remaining
    /// leases belong to processes that ended without releasing them.
    fn release_all(&self) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Begins a transaction that renews the lease and moves the checkpoint from where it was left.
    /// Until it ends, no other owner can acquire the lease.
    fn begin_fenced(
        &self,
        lease: &Lease,
        from: Position,
        to: Checkpoint,
    ) -> impl Future<Output = Result<Self::Transaction, CheckpointError>> + Send;

    /// Registers this process's cached position of a subscription: the store lowers it as soon as
    /// the tables turn out to be in an earlier state, as after a crash of their database or a
    /// failover.
    fn entrust(&self, _subscription: &str, _position: watch::Sender<Position>) {}

    /// Watches for that event, which invalidates work in progress. Never changes if the tables
    /// cannot go back while a process runs.
    fn watch_tables(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    /// Commits the transaction and makes all its changes visible at once.
    fn commit(
        &self,
        transaction: Self::Transaction,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Returns the stored state of a subscription, `None` if it was never registered.
    fn status(
        &self,
        subscription: &str,
    ) -> impl Future<Output = Result<Option<SubscriptionStatus>, CheckpointError>> + Send;

    /// Returns the stored state of every subscription, by name.
    fn statuses(
        &self,
    ) -> impl Future<Output = Result<Vec<SubscriptionStatus>, CheckpointError>> + Send;

    /// Returns the stored checkpoint of a subscription. Must be cheap: standbys call it often.
    fn checkpoint(
        &self,
        subscription: &str,
    ) -> impl Future<Output = Result<Option<Checkpoint>, CheckpointError>> + Send;

    /// Stores an error, for operators. Must not contain personal data.
    fn record_error(
        &self,
        subscription: &str,
        error: &str,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Stops the subscription until it is reset, because the log went back: its effects may come
    /// from events that do not exist any more. Fences out the current owner. No effect if it was
    /// reset after `reset_at`.
    fn stop(
        &self,
        subscription: &str,
        reset_at: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Restarts from the beginning of a log: moves the checkpoint there, removes the parked events,
    /// and fences out the current owner. For a policy or reactor, reactions that already exist are
    /// recognised; the rows of a projection must be removed separately.
    fn restart(
        &self,
        subscription: &str,
        log_id: Uuid,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Within a transaction that replaces a subscription's results: sets its checkpoint and its
    /// parked events, resumes it if it was stopped, and fences out the current owner.
    fn reset(
        &self,
        transaction: &mut Self::Transaction,
        subscription: &str,
        checkpoint: Checkpoint,
        parked: &[ParkedEvent],
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Parks an event within a transaction. Parking it twice changes nothing.
    fn park(
        &self,
        transaction: &mut Self::Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Stores, within a transaction, that a parked event failed again: its error and attempts. This
    /// completes the retry request of its key.
    fn park_again(
        &self,
        transaction: &mut Self::Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Unparks an event within a transaction, after it was handled.
    fn unpark(
        &self,
        transaction: &mut Self::Transaction,
        subscription: &str,
        position: Position,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Returns the keys of a subscription that have parked events.
    fn parked_keys(
        &self,
        subscription: &str,
    ) -> impl Future<Output = Result<Vec<String>, CheckpointError>> + Send;

    /// Returns up to `limit` parked events after a position, in log order; only those of one key if
    /// one is given.
    fn parked_events(
        &self,
        subscription: &str,
        key: Option<&str>,
        after: Position,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ParkedEvent>, CheckpointError>> + Send;

    /// Returns the keys whose parked events are to be retried: a retry of one of them was requested,
    /// or the failed event before them was discarded.
    fn keys_to_replay(
        &self,
        subscription: &str,
    ) -> impl Future<Output = Result<Vec<String>, CheckpointError>> + Send;

    /// Requests the retry of a parked event and the others of its key by the replica that runs the
    /// subscription. Returns `false` if the event is not parked.
    fn request_replay(
        &self,
        subscription: &str,
        position: Position,
    ) -> impl Future<Output = Result<bool, CheckpointError>> + Send;

    /// Discards a parked event; events waiting behind it are retried. Returns `false` if it is not
    /// parked.
    fn discard(
        &self,
        subscription: &str,
        position: Position,
    ) -> impl Future<Output = Result<bool, CheckpointError>> + Send;
}
