//! A subscription on this replica: what it is, where it is, and its lease as it comes and goes.

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

/// The pauses between two tries while something is out of reach.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long saving may take when the work ends, and then releasing. What is not saved is done again,
/// what is not released expires.
const SAVE_WITHIN: Duration = Duration::from_secs(4);
const RELEASE_WITHIN: Duration = Duration::from_secs(4);

/// An event that this replica could not read. It stands by until another one has passed it.
pub(super) struct Beyond {
    pub(super) event_type: String,
    pub(super) position: Position,
    /// Where the checkpoint was left.
    pub(super) left_at: Position,
}

impl Beyond {
    /// Whether there is no reason to stand by any more: the event was passed, or the checkpoint
    /// was set back, and much stands before the event that this replica can read.
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
    /// Everything up to here is done, as far as this replica knows.
    pub(super) position: watch::Sender<Position>,
    pub(super) state: Arc<watch::Sender<SubscriptionState>>,
    pub(super) beyond: Option<Beyond>,
    /// Changes when the log goes back.
    pub(super) incarnation: watch::Receiver<u64>,
    /// When the subscription was last reset, as this replica knew it while all was well.
    pub(super) reset_at: Option<DateTime<Utc>>,
    /// Since when its oldest event has been waiting, on whichever replica it runs.
    pub(super) backlog: Backlog,
    /// A lease that is being asked for: the answer is waited for even when nobody wants it any more,
    /// or others would wait for a lease to expire that nobody knows to have.
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

    /// Fails when the log went back, and this replica did not notice yet.
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

    /// Takes the lease, unless another has it.
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

    /// Gives back the lease that was being asked for when this was told to stop.
    pub(super) async fn stop_acquiring(&mut self) {
        let Some(acquiring) = self.acquiring.take() else { return };
        match timeout(SAVE_WITHIN, acquiring).await {
            Ok(Ok(Ok(Some(lease)))) => self.release(&lease).await,
            // Nobody has it through us.
            Ok(Ok(Ok(None) | Err(_)) | Err(_)) => {}
            Err(elapsed) => UNRELEASED.occurs(&self.identity.name, &elapsed),
        }
    }

    /// Lets another replica have a lease. Tried again while the database is out of reach: a release
    /// that is lost keeps everybody waiting for the lease to expire.
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

    /// Makes sure that a checkpoint belongs to this log as it is now.
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

    /// Saves what is finished, and lets another replica have the lease, whatever becomes of the
    /// saving. Returns where the checkpoint is left.
    pub(super) async fn give_up(
        &self,
        mut lease: HeldLease<S>,
        finished: Option<Checkpoint>,
    ) -> Position {
        let subscription = self.identity.name.as_str();
        // What is not saved is handled again.
        match timeout(SAVE_WITHIN, self.save(&mut lease, finished)).await {
            Ok(Ok(())) => UNSAVED.ends(subscription),
            Ok(Err(error)) => UNSAVED.occurs(subscription, &error),
            Err(elapsed) => UNSAVED.occurs(subscription, &elapsed),
        }
        let left_at = lease.stored();
        self.release(lease.lease()).await;
        left_at
    }

    /// Moves the stored checkpoint to what is finished, if it is not there.
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
