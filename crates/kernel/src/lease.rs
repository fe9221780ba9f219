//! Which of several replicas runs a subscription: the one that holds its lease.
//!
//! The lease stands in the row of the checkpoint. Its *fencing token* is new at every acquisition
//! and never comes again, also not after a database has lost its last commits; every transaction
//! that moves the checkpoint names it. So a replica that was paused past its lease and goes on
//! changes nothing (M. Kleppmann, "How to do distributed locking", 2016; as the token is compared
//! for equality in the transaction itself, it need not grow).
//!
//! Policies and reactors act outside that transaction. What a late one still does is recognised by
//! reaction ids and idempotency keys.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use uuid::Uuid;

use crate::checkpoint::{Checkpoint, CheckpointError, SubscriptionStatus, SubscriptionStore};
use crate::event::Position;
use crate::lag;
use crate::outage::with_sources;
use crate::seams::new_id;
use crate::subscription::SubscriptionState;
use crate::supervision::{INTERRUPTED, UNRELEASED, UNSAVED};

/// The longest that a lease may last. Whoever finds one that ends later knows that a clock was wrong.
pub const LONGEST: Duration = Duration::from_secs(600);

/// How this process runs its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// What people know this process by, among the replicas.
    pub replica: String,
    /// How long the others wait for this replica when it says nothing any more.
    pub lease_ttl: Duration,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            replica: format!("process {}", std::process::id()),
            lease_ttl: Duration::from_secs(10),
        }
    }
}

impl RuntimeOptions {
    /// The name of one runner of this process: no two are the same, so that a process that has
    /// started anew is not taken for the one before.
    pub(crate) fn owner(&self) -> String {
        let id = new_id().simple().to_string();
        // The random part of a UUIDv7.
        format!("{} ({})", self.replica, &id[20..])
    }

    /// How often an owner looks after its lease, and a standby for one that is free.
    pub(crate) fn tick(&self) -> Duration {
        (self.lease_ttl / 4).min(Duration::from_secs(1))
    }
}

/// The right to run a subscription, as long as nobody else has acquired it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The subscription.
    pub subscription: String,
    /// Who has it.
    pub owner: String,
    /// Fences every transaction of the owner.
    pub token: Uuid,
    /// How long it lasts after each renewal.
    pub ttl: Duration,
    /// Where the checkpoint was when the lease was acquired.
    pub checkpoint: Checkpoint,
    /// The event families to read: all that any replica ever wanted.
    pub families: BTreeSet<String>,
}

/// A lease as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Who has it.
    pub owner: String,
    /// Its fencing token.
    pub token: Uuid,
    /// Until when, unless it is renewed.
    pub expires_at: DateTime<Utc>,
    /// Whether it has expired, by the clock that decides.
    pub expired: bool,
    /// Whether it was given away with its module: the owner runs it on a database of its own, and it
    /// never expires here.
    pub handed_over: bool,
}

impl LeaseStatus {
    /// Whether somebody else has the lease.
    pub(crate) fn is_of_another_than(&self, owner: &str) -> bool {
        self.owner != owner && !self.expired
    }
}

/// What goes without wanted events is written at most this often.
const SAVE_IDLE_EVERY: Duration = Duration::from_secs(1);

/// How long an event waits for its turn before the other replicas are told.
const WORTH_TELLING: TimeDelta = TimeDelta::seconds(1);

/// A lease in the hands of its owner: it is renewed while it is worked with, and every transaction
/// of the owner goes through it.
pub(crate) struct HeldLease<S> {
    store: Arc<S>,
    lease: Lease,
    state: Arc<watch::Sender<SubscriptionState>>,
    tick: Duration,
    /// The stored checkpoint, as far as its owner knows.
    stored: Checkpoint,
    acquired: Instant,
    /// When the last renewal that succeeded was begun: it lasts for its time to live from then on
    /// at least.
    renewed: Instant,
    saved: Instant,
    committing: Option<Committing>,
    /// Changes when the tables go back under the owner.
    tables: watch::Receiver<u64>,
    /// What the other replicas were told of the oldest event that waits for its turn.
    told_waiting: Option<DateTime<Utc>>,
}

/// A commit under way.
struct Committing {
    task: JoinHandle<Result<(), CheckpointError>>,
    to: Checkpoint,
    begun: Instant,
}

impl<S: SubscriptionStore> HeldLease<S> {
    /// A lease whose acquisition was begun at `begun`.
    pub(crate) fn new(
        store: Arc<S>,
        lease: Lease,
        begun: Instant,
        tick: Duration,
        state: Arc<watch::Sender<SubscriptionState>>,
    ) -> Self {
        let stored = lease.checkpoint;
        let tables = store.watch_tables();
        Self {
            tables,
            store,
            lease,
            state,
            tick,
            stored,
            acquired: begun,
            renewed: begun,
            saved: begun,
            committing: None,
            // What a former owner left is not so any more.
            told_waiting: Some(DateTime::UNIX_EPOCH),
        }
    }

    /// Where the stored checkpoint is.
    pub(crate) fn stored(&self) -> Position {
        self.stored.position
    }

    /// The stored checkpoint.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.stored
    }

    /// Fails when the tables went back since the lease was acquired: what was stored may be gone.
    pub(crate) fn expect_no_return(&self) -> Result<(), CheckpointError> {
        match self.tables.has_changed() {
            Ok(true) => Err(CheckpointError::WentBack),
            Ok(false) | Err(_) => Ok(()),
        }
    }

    /// The event families to read.
    pub(crate) fn families(&self) -> &BTreeSet<String> {
        &self.lease.families
    }

    /// How long it is held already.
    pub(crate) fn held_for(&self) -> Duration {
        self.acquired.elapsed()
    }

    /// The subscription works.
    pub(crate) fn working(&self) {
        self.state.send_if_modified(|state| {
            let news = *state != SubscriptionState::Running;
            if news {
                *state = SubscriptionState::Running;
                for outage in [&INTERRUPTED, &UNSAVED, &UNRELEASED] {
                    outage.ends(&self.lease.subscription);
                }
            }
            news
        });
    }

    /// When to look after the lease: see [`Self::keep`].
    pub(crate) fn ticks(&self) -> Interval {
        let mut ticks = interval_at(Instant::now() + self.tick, self.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Makes sure that it is still ours, with the checkpoint where we left it, and renews it when
    /// that is due. An idle owner notices so that its database went back to an earlier state.
    ///
    /// A database that cannot be used for a moment interrupts nothing: until the lease expires,
    /// nobody else can have it. Whoever comes late has it still if nobody took it.
    pub(crate) async fn keep(&mut self) -> Result<(), CheckpointError> {
        let expires = self.renewed + self.lease.ttl;
        let kept = timeout(self.lease.ttl, self.look_and_renew()).await.unwrap_or_else(|_| {
            Err(CheckpointError::Unavailable("the lease could not be renewed in time".into()))
        });
        match kept {
            Ok(status) => lag::tell_parked(&status),
            Err(CheckpointError::Unavailable(error)) if Instant::now() < expires => {
                let (subscription, error) = (&self.lease.subscription, with_sources(&*error));
                tracing::debug!(subscription, error, "the lease could not be looked after");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn look_and_renew(&mut self) -> Result<SubscriptionStatus, CheckpointError> {
        let subscription = &self.lease.subscription;
        let lost =
            |holder| CheckpointError::LeaseLost { subscription: subscription.clone(), holder };
        let status = self.store.status(subscription).await?.ok_or_else(|| lost(None))?;
        if status.lease.as_ref().is_none_or(|lease| lease.token != self.lease.token) {
            return Err(lost(status.lease.map(|lease| lease.owner)));
        }
        let found = status.checkpoint.position;
        if found != self.stored.position {
            let (subscription, expected) = (subscription.clone(), self.stored.position);
            return Err(CheckpointError::Elsewhere { subscription, expected, found });
        }
        if self.renewed.elapsed() >= self.lease.ttl / 3 {
            let begun = Instant::now();
            self.store.renew(&self.lease).await?;
            self.renewed = begun;
        }
        Ok(status)
    }

    /// Tells the other replicas since when the oldest event has been waiting for its turn. One that
    /// waits for a moment only is not worth a write, and a database that cannot be used is told the next time.
    pub(crate) async fn tell_waiting(
        &mut self,
        waiting_since: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) {
        let waiting_since = waiting_since.filter(|since| now - since >= WORTH_TELLING);
        if waiting_since == self.told_waiting {
            return;
        }
        match self.store.tell_waiting(&self.lease, waiting_since).await {
            Ok(()) => self.told_waiting = waiting_since,
            Err(error) => {
                let (subscription, error) = (&self.lease.subscription, with_sources(&error));
                tracing::debug!(subscription, error, "the other replicas were not told what waits");
            }
        }
    }

    /// Opens a transaction at whose end the checkpoint is at `to`.
    pub(crate) async fn begin(
        &mut self,
        to: Checkpoint,
    ) -> Result<Fenced<S::Transaction>, CheckpointError> {
        let begun = Instant::now();
        let transaction = self.store.begin_fenced(&self.lease, self.stored.position, to).await?;
        Ok(Fenced { transaction, to, begun })
    }

    /// Commits a transaction of this lease. Dropped on the way, the commit goes on:
    /// [`Self::settle`] waits for it.
    pub(crate) async fn commit(
        &mut self,
        fenced: Fenced<S::Transaction>,
    ) -> Result<(), CheckpointError> {
        let Fenced { transaction, to, begun } = fenced;
        let store = Arc::clone(&self.store);
        let task = tokio::spawn(async move { store.commit(transaction).await });
        self.committing = Some(Committing { task, to, begun });
        self.settle().await
    }

    /// Waits for a commit that is still under way, after which it is known where the checkpoint is.
    pub(crate) async fn settle(&mut self) -> Result<(), CheckpointError> {
        let Some(Committing { task, to, begun }) = &mut self.committing else { return Ok(()) };
        let (to, begun) = (*to, *begun);
        let committed = task.await;
        self.committing = None;
        committed.map_err(|error| CheckpointError::Unavailable(error.into()))??;
        self.stored = to;
        self.renewed = begun;
        self.saved = begun;
        Ok(())
    }

    /// Moves the checkpoint, and nothing else.
    pub(crate) async fn save(&mut self, to: Checkpoint) -> Result<(), CheckpointError> {
        let fenced = self.begin(to).await?;
        self.commit(fenced).await
    }

    /// Whether a checkpoint that no wanted event moved is to be written again.
    pub(crate) fn may_save_idle(&self) -> bool {
        self.saved.elapsed() >= SAVE_IDLE_EVERY
    }

    /// What it is a lease of, and who has it.
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }
}

/// A transaction that moves the checkpoint.
pub(crate) struct Fenced<T> {
    /// What is written in it is visible together with the checkpoint.
    pub(crate) transaction: T,
    to: Checkpoint,
    begun: Instant,
}
