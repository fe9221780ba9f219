//! A lease held by its owner.

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

/// Minimum interval between checkpoint writes that no selected event caused.
const SAVE_IDLE_EVERY: Duration = Duration::from_secs(1);

/// How long an event must wait for its turn before the other replicas are informed.
const REPORT_WAITING_AFTER: TimeDelta = TimeDelta::seconds(1);

/// A lease held by its owner: it is renewed during the work, and every transaction of the owner goes
/// through it.
pub(super) struct HeldLease<S> {
    store: Arc<S>,
    lease: Lease,
    state: Arc<watch::Sender<SubscriptionState>>,
    tick: Duration,
    /// The stored checkpoint, as known to the owner.
    stored: Checkpoint,
    acquired: Instant,
    /// When the last successful renewal began: the lease is valid for at least its time to live from
    /// then on.
    renewed: Instant,
    saved: Instant,
    committing: Option<Committing>,
    /// Changes when the tables go back to an earlier state while the lease is held.
    tables: watch::Receiver<u64>,
    /// The last reported waiting time of the oldest event that waits for its turn.
    reported_waiting: Option<DateTime<Utc>>,
}

/// A commit in progress.
struct Committing {
    task: JoinHandle<Result<(), CheckpointError>>,
    to: Checkpoint,
    begun: Instant,
}

impl<S: SubscriptionStore> HeldLease<S> {
    /// Wraps a lease whose acquisition began at `begun`.
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
            // A value that differs from any report: the report of a former owner is outdated.
            reported_waiting: Some(DateTime::UNIX_EPOCH),
        }
    }

    /// Returns the position of the stored checkpoint.
    pub(super) fn stored(&self) -> Position {
        self.stored.position
    }

    /// Returns the stored checkpoint.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        self.stored
    }

    /// Fails if the tables went back since the lease was acquired: stored data may not exist any
    /// more.
    pub(super) fn expect_no_return(&self) -> Result<(), CheckpointError> {
        match self.tables.has_changed() {
            Ok(true) => Err(CheckpointError::WentBack),
            Ok(false) | Err(_) => Ok(()),
        }
    }

    /// Returns the event families to read.
    pub(super) fn families(&self) -> &BTreeSet<String> {
        &self.lease.families
    }

    /// Returns how long the lease has been held.
    pub(super) fn held_for(&self) -> Duration {
        self.acquired.elapsed()
    }

    /// Marks the subscription as running.
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

    /// Returns the interval at which to call [`Self::keep`].
    pub(super) fn ticks(&self) -> Interval {
        let mut ticks = interval_at(Instant::now() + self.tick, self.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Checks that the lease is still ours and the checkpoint unchanged, and renews the lease when
    /// due. Through this an idle owner notices that its database went back to an earlier state.
    ///
    /// A brief database failure does not interrupt the work: until the lease expires, no other
    /// replica can acquire it. An expired lease that no other replica acquired is still ours.
    pub(super) async fn keep(&mut self) -> Result<(), CheckpointError> {
        let expires = self.renewed + self.lease.ttl;
        let kept = timeout(self.lease.ttl, self.look_and_renew()).await.unwrap_or_else(|_| {
            Err(CheckpointError::Unavailable("cannot renew the lease in time".into()))
        });
        match kept {
            Ok(status) => lag::report_parked(&status),
            Err(CheckpointError::Unavailable(error)) if Instant::now() < expires => {
                let (subscription, error) = (&self.lease.subscription, with_sources(&*error));
                tracing::debug!(subscription, error, "cannot check or renew the lease");
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

    /// Reports to the other replicas since when the oldest event has been waiting for its turn. A
    /// short wait is not worth a write; after a database failure the next call reports again.
    pub(super) async fn report_waiting(
        &mut self,
        waiting_since: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) {
        let waiting_since = waiting_since.filter(|since| now - since >= REPORT_WAITING_AFTER);
        if waiting_since == self.reported_waiting {
            return;
        }
        match self.store.tell_waiting(&self.lease, waiting_since).await {
            Ok(()) => self.reported_waiting = waiting_since,
            Err(error) => {
                let (subscription, error) = (&self.lease.subscription, with_sources(&error));
                tracing::debug!(
                    subscription,
                    error,
                    "cannot report waiting events to the other replicas"
                );
            }
        }
    }

    /// Begins a transaction that moves the checkpoint to `to` on commit.
    pub(super) async fn begin(
        &mut self,
        to: Checkpoint,
    ) -> Result<Fenced<S::Transaction>, CheckpointError> {
        let begun = Instant::now();
        let transaction = self.store.begin_fenced(&self.lease, self.stored.position, to).await?;
        Ok(Fenced { transaction, to, begun })
    }

    /// Commits a transaction of this lease. If this future is dropped, the commit continues;
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

    /// Waits for a commit in progress; the checkpoint's position is known afterwards.
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

    /// Moves the checkpoint without other writes.
    pub(super) async fn save(&mut self, to: Checkpoint) -> Result<(), CheckpointError> {
        let fenced = self.begin(to).await?;
        self.commit(fenced).await
    }

    /// Returns whether a checkpoint that no selected event moved may be written again.
    pub(super) fn may_save_idle(&self) -> bool {
        self.saved.elapsed() >= SAVE_IDLE_EVERY
    }

    /// Returns the lease: its subscription and owner.
    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }
}

/// A transaction that moves the checkpoint.
pub(super) struct Fenced<T> {
    /// Its writes become visible together with the checkpoint.
    pub(super) transaction: T,
    to: Checkpoint,
    begun: Instant,
}
