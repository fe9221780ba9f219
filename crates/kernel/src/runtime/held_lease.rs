//! A lease in the hands of its owner.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use super::lag;
use super::outages::{INTERRUPTED, UNRELEASED, UNSAVED};
use crate::authoring::checkpoint::{
    Checkpoint, CheckpointError, SubscriptionStatus, SubscriptionStore,
};
use crate::authoring::lease::Lease;
use crate::authoring::subscription::SubscriptionState;
use crate::log::event::Position;
use crate::log::outage::with_sources;

/// What goes without wanted events is written at most this often.
const SAVE_IDLE_EVERY: Duration = Duration::from_secs(1);

/// How long an event waits for its turn before the other replicas are told.
const WORTH_TELLING: TimeDelta = TimeDelta::seconds(1);

/// A lease in the hands of its owner: it is renewed while it is worked with, and every transaction
/// of the owner goes through it.
pub(super) struct HeldLease<S> {
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
    pub(super) fn new(
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
    pub(super) fn stored(&self) -> Position {
        self.stored.position
    }

    /// The stored checkpoint.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        self.stored
    }

    /// Fails when the tables went back since the lease was acquired: what was stored may be gone.
    pub(super) fn expect_no_return(&self) -> Result<(), CheckpointError> {
        match self.tables.has_changed() {
            Ok(true) => Err(CheckpointError::WentBack),
            Ok(false) | Err(_) => Ok(()),
        }
    }

    /// The event families to read.
    pub(super) fn families(&self) -> &BTreeSet<String> {
        &self.lease.families
    }

    /// How long it is held already.
    pub(super) fn held_for(&self) -> Duration {
        self.acquired.elapsed()
    }

    /// The subscription works.
    pub(super) fn working(&self) {
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
    pub(super) fn ticks(&self) -> Interval {
        let mut ticks = interval_at(Instant::now() + self.tick, self.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Makes sure that it is still ours, with the checkpoint where we left it, and renews it when
    /// that is due. An idle owner notices so that its database went back to an earlier state.
    ///
    /// A database that cannot be used for a moment interrupts nothing: until the lease expires,
    /// nobody else can have it. Whoever comes late has it still if nobody took it.
    pub(super) async fn keep(&mut self) -> Result<(), CheckpointError> {
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
    pub(super) async fn tell_waiting(
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
    pub(super) async fn begin(
        &mut self,
        to: Checkpoint,
    ) -> Result<Fenced<S::Transaction>, CheckpointError> {
        let begun = Instant::now();
        let transaction = self.store.begin_fenced(&self.lease, self.stored.position, to).await?;
        Ok(Fenced { transaction, to, begun })
    }

    /// Commits a transaction of this lease. Dropped on the way, the commit goes on:
    /// [`Self::settle`] waits for it.
    pub(super) async fn commit(
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
    pub(super) async fn settle(&mut self) -> Result<(), CheckpointError> {
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
    pub(super) async fn save(&mut self, to: Checkpoint) -> Result<(), CheckpointError> {
        let fenced = self.begin(to).await?;
        self.commit(fenced).await
    }

    /// Whether a checkpoint that no wanted event moved is to be written again.
    pub(super) fn may_save_idle(&self) -> bool {
        self.saved.elapsed() >= SAVE_IDLE_EVERY
    }

    /// What it is a lease of, and who has it.
    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }
}

/// A transaction that moves the checkpoint.
pub(super) struct Fenced<T> {
    /// What is written in it is visible together with the checkpoint.
    pub(super) transaction: T,
    to: Checkpoint,
    begun: Instant,
}
