//! A subscription on this replica: its identity, its position, and the acquisition and release of
//! its lease.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::held_lease::HeldLease;
use super::interruption::Interruption;
use super::outages::{UNRELEASED, UNSAVED};
use crate::authoring::backlog::Backlog;
use crate::authoring::checkpoint::{Checkpoint, CheckpointError, Registration, SubscriptionStore};
use crate::authoring::execution::Environment;
use crate::authoring::identity::Identity;
use crate::authoring::lease::Lease;
use crate::authoring::subscription::SubscriptionState;
use crate::log::backoff;
use crate::log::event::Position;
use crate::log::outage::with_sources;
use crate::log::store::ReadError;

/// The first pause between retries while a dependency is unavailable.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Time limit for saving at the end of the work, and then for the release. Unsaved work is repeated;
/// an unreleased lease expires.
const SAVE_WITHIN: Duration = Duration::from_secs(4);
const RELEASE_WITHIN: Duration = Duration::from_secs(4);

/// An event that this replica cannot read. The replica stands by until another one has passed the
/// event.
pub(super) struct Beyond {
    pub(super) event_type: String,
    pub(super) position: Position,
    /// The position at which the checkpoint was left.
    pub(super) left_at: Position,
}

impl Beyond {
    /// Returns whether the reason to stand by is gone: the event was passed, or the checkpoint was
    /// reset to before it, so that this replica can read many events again.
    pub(super) fn is_over(&self, stored: Position) -> bool {
        stored >= self.position || stored < self.left_at
    }
}

/// A subscription on this replica.
pub(super) struct Replica<S> {
    pub(super) identity: Arc<Identity>,
    pub(super) environment: Environment,
    pub(super) store: Arc<S>,
    pub(super) owner: String,
    /// The position up to which all events are completed, as known to this replica.
    pub(super) position: watch::Sender<Position>,
    pub(super) state: Arc<watch::Sender<SubscriptionState>>,
    pub(super) beyond: Option<Beyond>,
    /// Changes when the log goes back.
    pub(super) incarnation: watch::Receiver<u64>,
    /// When the subscription was last reset, as this replica read it before any failure.
    pub(super) reset_at: Option<DateTime<Utc>>,
    /// Since when its oldest event has been waiting, on whichever replica it runs.
    pub(super) backlog: Backlog,
    /// A lease acquisition in progress. Its result is awaited even if it is no longer needed:
    /// otherwise the other replicas would wait for the expiry of a lease that has no user.
    acquiring: Option<JoinHandle<Result<Option<Lease>, CheckpointError>>>,
}

impl<S: SubscriptionStore> Replica<S> {
    pub(super) fn new(identity: Identity, environment: Environment, store: Arc<S>) -> Self {
        let position = watch::Sender::new(0);
        store.entrust(&identity.name, position.clone());
        Self {
            identity: Arc::new(identity),
            owner: environment.runtime.owner(),
            incarnation: environment.store.watch_incarnation(),
            reset_at: None,
            environment,
            store,
            position,
            state: Arc::new(watch::Sender::new(SubscriptionState::Starting)),
            beyond: None,
            backlog: Backlog::default(),
            acquiring: None,
        }
    }

    /// Fails if the log went back and this replica has not processed that yet.
    pub(super) fn expect_no_return(&self) -> Result<(), ReadError> {
        match self.incarnation.has_changed() {
            Ok(true) => Err(ReadError::WentBack),
            Ok(false) | Err(_) => Ok(()),
        }
    }

    pub(super) async fn register(&self) -> Result<(), CheckpointError> {
        let registration = Registration {
            subscription: self.identity.name.clone(),
            kind: self.identity.kind,
            families: self.identity.families(),
            log_id: self.environment.store.log_id(),
        };
        self.store.register(&registration).await
    }

    /// Acquires the lease unless another replica holds it.
    pub(super) async fn try_acquire(&mut self) -> Result<Option<HeldLease<S>>, CheckpointError> {
        let begun = Instant::now();
        let (ttl, tick) = (self.environment.runtime.lease_ttl, self.environment.runtime.tick());
        let (store, owner) = (Arc::clone(&self.store), self.owner.clone());
        let subscription = self.identity.name.clone();
        let acquiring = async move { store.acquire(&subscription, &owner, ttl).await };
        let acquired = self.acquiring.insert(tokio::spawn(acquiring)).await;
        self.acquiring = None;
        let lease = acquired.map_err(|error| CheckpointError::Unavailable(error.into()))??;
        Ok(lease.map(|lease| {
            let (store, state) = (Arc::clone(&self.store), Arc::clone(&self.state));
            HeldLease::new(store, lease, begun, tick, state)
        }))
    }

    /// Releases the lease whose acquisition was in progress at the shutdown.
    pub(super) async fn stop_acquiring(&mut self) {
        let Some(acquiring) = self.acquiring.take() else { return };
        match timeout(SAVE_WITHIN, acquiring).await {
            Ok(Ok(Ok(Some(lease)))) => self.release(&lease).await,
            // This replica holds no lease.
            Ok(Ok(Ok(None) | Err(_)) | Err(_)) => {}
            Err(elapsed) => UNRELEASED.occurs(&self.identity.name, &elapsed),
        }
    }

    /// Releases a lease. Retries while the database is unavailable: after a lost release all
    /// replicas wait for the lease to expire.
    async fn release(&self, lease: &Lease) {
        let releasing = async {
            let mut pauses = backoff::endless(FIRST_PAUSE, LONGEST_PAUSE);
            loop {
                match self.store.release(lease).await {
                    Err(CheckpointError::Unavailable(error)) => {
                        let error = with_sources(&*error);
                        tracing::debug!(
                            subscription = lease.subscription,
                            error,
                            "releasing again"
                        );
                        tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
                    }
                    released => return released,
                }
            }
        };
        match timeout(RELEASE_WITHIN, releasing).await {
            Ok(Ok(())) => UNRELEASED.ends(&self.identity.name),
            Ok(Err(error)) => UNRELEASED.occurs(&self.identity.name, &error),
            Err(elapsed) => UNRELEASED.occurs(&self.identity.name, &elapsed),
        }
    }

    /// Fails unless a checkpoint belongs to this log in its current state.
    pub(super) async fn expect_this_log(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<(), Interruption> {
        if checkpoint.is_of(&*self.environment.store).await? {
            return Ok(());
        }
        Err(self.another_log())
    }

    pub(super) fn another_log(&self) -> Interruption {
        let Identity { name, kind, .. } = &*self.identity;
        Interruption::AnotherLog { subscription: name.clone(), kind: *kind }
    }

    /// Saves completed work and releases the lease, whether or not saving succeeds. Returns the
    /// position of the checkpoint afterwards.
    pub(super) async fn give_up(
        &self,
        mut lease: HeldLease<S>,
        finished: Option<Checkpoint>,
    ) -> Position {
        let subscription = self.identity.name.as_str();
        // Unsaved events are handled again.
        match timeout(SAVE_WITHIN, self.save(&mut lease, finished)).await {
            Ok(Ok(())) => UNSAVED.ends(subscription),
            Ok(Err(error)) => UNSAVED.occurs(subscription, &error),
            Err(elapsed) => UNSAVED.occurs(subscription, &elapsed),
        }
        let left_at = lease.stored();
        self.release(lease.lease()).await;
        left_at
    }

    /// Moves the stored checkpoint to the completed one if they differ.
    async fn save(
        &self,
        lease: &mut HeldLease<S>,
        finished: Option<Checkpoint>,
    ) -> Result<(), CheckpointError> {
        lease.settle().await?;
        match finished.filter(|to| to.position > lease.stored()) {
            Some(to) => lease.save(to).await,
            None => Ok(()),
        }
    }
}
