//! The database of a module, as far as the subscription runtime needs it.

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

/// What a replica says of a subscription before it runs it.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its name.
    pub subscription: String,
    /// What it is.
    pub kind: SubscriptionKind,
    /// The event families that this replica wants for it.
    pub families: BTreeSet<String>,
    /// The log that this replica reads.
    pub log_id: Uuid,
}

/// What is kept of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionStatus {
    /// Its name.
    pub subscription: String,
    /// What it is.
    pub kind: SubscriptionKind,
    /// How far it has come.
    pub checkpoint: Checkpoint,
    /// When that was written.
    pub updated_at: DateTime<Utc>,
    /// Every event family that any replica ever wanted for it.
    pub families: BTreeSet<String>,
    /// Who runs it, or ran it last without releasing it.
    pub lease: Option<LeaseStatus>,
    /// What went wrong last, and when. Never holds personal data.
    pub last_error: Option<(String, DateTime<Utc>)>,
    /// How many of its events are parked.
    pub parked: u64,
    /// When it began, or was last put somewhere else by a rebuild, by the clock of its database.
    pub reset_at: DateTime<Utc>,
    /// Whether it was stopped because the log went back, and was not reset since.
    pub stopped: bool,
    /// Since when its oldest event has been waiting for its turn, as its owner said last. Told only
    /// while that is long.
    pub waiting_since: Option<DateTime<Utc>>,
}

/// Why a subscription's own database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The database cannot be used now.
    #[error("the subscription's database is unavailable")]
    Unavailable(#[source] BoxError),
    /// Nobody ever registered it.
    #[error("there is no subscription {subscription}")]
    Unknown {
        /// Its name.
        subscription: String,
    },
    /// The lease is no longer this replica's. Nothing was changed.
    #[error(
        "the lease of {subscription} was lost{}",
        .holder.as_ref().map_or_else(String::new, |holder| format!("; {holder} has it"))
    )]
    LeaseLost {
        /// The subscription.
        subscription: String,
        /// Who has it now, if anybody. The former owner itself when it only has to acquire it anew,
        /// because the families grew.
        holder: Option<String>,
    },
    /// The tables turned out to be as they were before: the database lost its last commits, as after a
    /// crash or a failover.
    #[error("the subscription's tables went back to an earlier state")]
    WentBack,
    /// The checkpoint is not where its owner left it: the database lost its last commits in a
    /// crash, or somebody set it back. Nothing was changed.
    #[error("expected the checkpoint of {subscription} at {expected}, found it at {found}")]
    Elsewhere {
        /// The subscription.
        subscription: String,
        /// Where its owner left it.
        expected: Position,
        /// Where it is.
        found: Position,
    },
}

/// The database of a module, as far as the subscription runtime needs it.
///
/// A subscription is one row: its checkpoint, who may move it, and until when. Every change of the
/// owner goes through [`Self::begin_fenced`], which names the lease's token: a replica that was
/// paused past its lease, or cut off, finds another token there and changes nothing.
pub trait SubscriptionStore: Send + Sync + 'static {
    /// An open transaction: what a projection writes and the checkpoint move in it together.
    type Transaction: Send + 'static;

    /// Whether an error says that the database cannot be used now, rather than that an event
    /// cannot be handled: a healthy event must not be parked because the disk was full.
    fn is_unavailable(error: &BoxError) -> bool;

    /// Makes the subscription known, at the beginning of the log, and adds the families to those
    /// it has. When they grow, the lease's token changes, so that the present owner has to acquire
    /// the lease again and reads the new ones, too. A subscription that has not moved yet takes
    /// the log named here.
    fn register(
        &self,
        registration: &Registration,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Takes the lease for `ttl` if nobody has it, if it has expired, or if it is this owner's
    /// already; `None` while it is another's, or the subscription is stopped. The token is new in any case. Durable when it
    /// returns.
    fn acquire(
        &self,
        subscription: &str,
        owner: &str,
        ttl: Duration,
    ) -> impl Future<Output = Result<Option<Lease>, CheckpointError>> + Send;

    /// Makes the lease last for its time to live from now on.
    fn renew(&self, lease: &Lease) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Keeps since when the oldest event has been waiting for its turn, for the other replicas to see.
    /// Nothing happens if the lease is lost.
    fn tell_waiting(
        &self,
        lease: &Lease,
        waiting_since: Option<DateTime<Utc>>,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Ends the lease, so that another replica need not wait for it to expire. Nothing happens if
    /// it is lost already.
    fn release(&self, lease: &Lease) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Ends every lease, for who knows that no other process is at work: what is left is of
    /// processes that ended before they could release it.
    fn release_all(&self) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Opens a transaction in which the lease is renewed and the checkpoint has moved from where it
    /// was left. Until it ends, nobody else can take the lease.
    fn begin_fenced(
        &self,
        lease: &Lease,
        from: Position,
        to: Checkpoint,
    ) -> impl Future<Output = Result<Self::Transaction, CheckpointError>> + Send;

    /// Hands over what this process believes of a subscription's position: it is lowered at once when the
    /// tables turn out to be as they were before, as after a crash of their database or a failover.
    fn entrust(&self, _subscription: &str, _position: watch::Sender<Position>) {}

    /// Changes when that happens; what is under way was decided on what may be gone. Never, where tables
    /// cannot go back under a process.
    fn watch_tables(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    /// Makes everything that was done in the transaction visible at once.
    fn commit(
        &self,
        transaction: Self::Transaction,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// What is kept of a subscription, `None` when it was never registered.
    fn status(
        &self,
        subscription: &str,
    ) -> impl Future<Output = Result<Option<SubscriptionStatus>, CheckpointError>> + Send;

    /// What is kept of every subscription, by name.
    fn statuses(
        &self,
    ) -> impl Future<Output = Result<Vec<SubscriptionStatus>, CheckpointError>> + Send;

    /// The stored checkpoint of a subscription. Cheap: standbys ask often.
    fn checkpoint(
        &self,
        subscription: &str,
    ) -> impl Future<Output = Result<Option<Checkpoint>, CheckpointError>> + Send;

    /// Keeps what went wrong, for people to see. Never holds personal data.
    fn record_error(
        &self,
        subscription: &str,
        error: &str,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Stops the subscription until it is reset, because the log went back under it: its effects may
    /// come from events that are gone. The present owner is fenced out. Nothing happens if it was
    /// reset after `reset_at`.
    fn stop(
        &self,
        subscription: &str,
        reset_at: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Begins again from the start of a log: the checkpoint goes there, what was parked is
    /// forgotten, and the present owner is fenced out. Of a policy or reactor, reactions that exist
    /// already are recognised; the rows of a projection have to be removed as well.
    fn restart(
        &self,
        subscription: &str,
        log_id: Uuid,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Within a transaction that replaces what a subscription made: puts its checkpoint and its
    /// parked events there, lets it go on if it was stopped, and fences the present owner out.
    fn reset(
        &self,
        transaction: &mut Self::Transaction,
        subscription: &str,
        checkpoint: Checkpoint,
        parked: &[ParkedEvent],
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Sets an event aside within a transaction. Setting it aside twice changes nothing.
    fn park(
        &self,
        transaction: &mut Self::Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Keeps, within a transaction, that a parked event failed again: its error and attempts. What
    /// was asked for its key is done with that.
    fn park_again(
        &self,
        transaction: &mut Self::Transaction,
        subscription: &str,
        event: &ParkedEvent,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// Takes an event out of the parked ones within a transaction: it was handled after all.
    fn unpark(
        &self,
        transaction: &mut Self::Transaction,
        subscription: &str,
        position: Position,
    ) -> impl Future<Output = Result<(), CheckpointError>> + Send;

    /// The keys of a subscription that have parked events.
    fn parked_keys(
        &self,
        subscription: &str,
    ) -> impl Future<Output = Result<Vec<String>, CheckpointError>> + Send;

    /// Up to `limit` parked events after a position, in the order of the log; of one key only, if
    /// one is given.
    fn parked_events(
        &self,
        subscription: &str,
        key: Option<&str>,
        after: Position,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ParkedEvent>, CheckpointError>> + Send;

    /// The keys whose parked events are to be tried again: somebody asked for one of them, or
    /// nothing stands before the first any more (it was discarded).
    fn keys_to_replay(
        &self,
        subscription: &str,
    ) -> impl Future<Output = Result<Vec<String>, CheckpointError>> + Send;

    /// Asks for a parked event, with the others of its key, to be tried again by whoever runs the
    /// subscription; `false` when it is not parked.
    fn request_replay(
        &self,
        subscription: &str,
        position: Position,
    ) -> impl Future<Output = Result<bool, CheckpointError>> + Send;

    /// Gives a parked event up; those that waited behind it are tried again. `false` when it is not
    /// parked.
    fn discard(
        &self,
        subscription: &str,
        position: Position,
    ) -> impl Future<Output = Result<bool, CheckpointError>> + Send;
}
