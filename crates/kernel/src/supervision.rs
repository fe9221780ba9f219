//! What every subscription does about its lease, its checkpoint and interruptions: one replica
//! works, the others stand by.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::ExponentialBackoff;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;
use crate::backoff;
use crate::checkpoint::{Checkpoint, CheckpointError, Registration, SubscriptionStore};
use crate::event::{Position, RecordedEvent};
use crate::execution::Environment;
use crate::lag;
use crate::lease::{HeldLease, Lease};
use crate::outage::Outage;
use crate::outage::with_sources;
use crate::store::{BoxError, ReadError};
use crate::subscription::{Identity, SubscriptionKind, SubscriptionState};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often a subscription that stopped looks whether somebody has mended its checkpoint.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// How long saving may take when the work ends, and then releasing. What is not saved is done again,
/// what is not released expires.
const SAVE_WITHIN: Duration = Duration::from_secs(4);
const RELEASE_WITHIN: Duration = Duration::from_secs(4);
/// How long recording an error may take.
const RECORD_WITHIN: Duration = Duration::from_secs(8);
/// How often the same error is recorded anew.
const RECORD_AGAIN: Duration = Duration::from_secs(60);

/// Why a run over the log ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interruption {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("something it needs is out of reach")]
    OutOfReach(#[source] BoxError),
    #[error(
        "the checkpoint of {subscription} belongs to another log, or to a later state of this one: the event store was replaced or restored, or a failover lost its end. `bascule projections rebuild {subscription}` mends it: {}",
        match .kind {
            SubscriptionKind::Projection => "the read model is built anew from the log",
            _ =>
                "it begins again from the start of the log, and what it did already is recognised",
        }
    )]
    AnotherLog { subscription: String, kind: SubscriptionKind },
    #[error(
        "this release cannot read {event_type} at position {position}; a replica of a newer one has to handle it"
    )]
    Incapable { event_type: String, position: Position },
}

impl Interruption {
    /// An event that only a newer release reads.
    pub(crate) fn incapable(event: &RecordedEvent) -> Self {
        Self::Incapable { event_type: event.event_type.to_string(), position: event.position }
    }

    /// Whether what was finished is still to be saved, the lease being held.
    fn leaves_the_lease_valid(&self) -> bool {
        match self {
            Self::Incapable { .. } | Self::OutOfReach(_) => true,
            // What is finished may be of events that are gone.
            Self::Read(error) => !matches!(error, ReadError::WentBack),
            Self::Checkpoint(_) | Self::AnotherLog { .. } => false,
        }
    }
}

/// Subscriptions that go on by themselves as soon as they can.
pub(crate) static INTERRUPTED: Outage = Outage::new("subscriptions are interrupted");

/// Subscriptions that end a tenure without saving what they finished.
pub(crate) static UNSAVED: Outage = Outage::new("checkpoints could not be saved");

/// Subscriptions whose lease other replicas have to wait for.
pub(crate) static UNRELEASED: Outage =
    Outage::new("leases could not be released and have to expire");

/// What a subscription does while it holds the lease.
#[async_trait]
pub(crate) trait Worker<S: SubscriptionStore>: Send {
    /// Works until something interrupts it.
    async fn work(&mut self, lease: &mut HeldLease<S>) -> Result<Infallible, Interruption>;

    /// Ends everything under way. Where the checkpoint could go, if it is not known to be stored.
    fn stop(&mut self) -> Option<Checkpoint>;
}

/// An event that this replica could not read. It stands by until another one has passed it.
pub(crate) struct Beyond {
    pub(crate) event_type: String,
    pub(crate) position: Position,
    /// Where the checkpoint was left.
    left_at: Position,
}

impl Beyond {
    /// Whether there is no reason to stand by any more: the event was passed, or the checkpoint
    /// was set back, and much stands before the event that this replica can read.
    pub(crate) fn is_over(&self, stored: Position) -> bool {
        stored >= self.position || stored < self.left_at
    }
}

/// Waits until the incarnation of the log, or of the tables, is another.
async fn changes(incarnation: &mut watch::Receiver<u64>) {
    if incarnation.changed().await.is_err() {
        // It never changes, or the store is gone and this is about to be stopped.
        std::future::pending::<()>().await;
    }
}

/// Runs a subscription: waits for its lease, lets it work, and goes on after interruptions.
pub(crate) struct Supervisor<S> {
    pub(crate) identity: Arc<Identity>,
    pub(crate) environment: Environment,
    pub(crate) store: Arc<S>,
    pub(crate) owner: String,
    /// Everything up to here is done, as far as this replica knows.
    pub(crate) position: watch::Sender<Position>,
    pub(crate) state: Arc<watch::Sender<SubscriptionState>>,
    pub(crate) beyond: Option<Beyond>,
    /// Changes when the log goes back.
    incarnation: watch::Receiver<u64>,
    /// Changes when the subscription's own tables go back.
    tables: watch::Receiver<u64>,
    /// When the subscription was last reset, as this replica knew it while all was well.
    pub(crate) reset_at: Option<DateTime<Utc>>,
    /// Whether the log went back under this replica: then the subscription stops unless it was reset
    /// after that time, whatever its checkpoint says. It may be kept beside the log, and have gone back
    /// with it.
    went_back: bool,
    /// Since when its oldest event has been waiting, on whichever replica it runs.
    pub(crate) backlog: Backlog,
    pauses: ExponentialBackoff,
    recorded: Option<(String, Instant)>,
    /// A lease that is being asked for: the answer is waited for even when nobody wants it any more,
    /// or others would wait for a lease to expire that nobody knows to have.
    acquiring: Option<JoinHandle<Result<Option<Lease>, CheckpointError>>>,
}

impl<S: SubscriptionStore> Supervisor<S> {
    pub(crate) fn new(identity: Identity, environment: Environment, store: Arc<S>) -> Self {
        let position = watch::Sender::new(0);
        store.entrust(&identity.name, position.clone());
        Self {
            identity: Arc::new(identity),
            tables: store.watch_tables(),
            owner: environment.runtime.owner(),
            incarnation: environment.store.watch_incarnation(),
            reset_at: None,
            went_back: false,
            environment,
            store,
            position,
            state: Arc::new(watch::Sender::new(SubscriptionState::Starting)),
            beyond: None,
            backlog: Backlog::default(),
            pauses: backoff::endless(FIRST_PAUSE, LONGEST_PAUSE),
            recorded: None,
            acquiring: None,
        }
    }

    /// Works until shut down.
    pub(crate) async fn run(mut self, worker: &mut impl Worker<S>, shutdown: CancellationToken) {
        let observing = lag::observe(
            Arc::clone(&self.identity),
            self.environment.clone(),
            self.position.subscribe(),
            self.state.subscribe(),
        );
        tokio::select! {
            () = observing => {}
            () = self.supervise(worker, &shutdown) => {}
        }
    }

    async fn supervise(&mut self, worker: &mut impl Worker<S>, shutdown: &CancellationToken) {
        loop {
            let mut incarnation = self.incarnation.clone();
            self.tables.mark_unchanged();
            let mut tables = self.tables.clone();
            let mut held = None;
            let mut left_at = 0;
            let interruption = tokio::select! {
                // What is known to be wrong is not worked with.
                biased;
                () = shutdown.cancelled() => None,
                () = changes(&mut incarnation) => Some(ReadError::WentBack.into()),
                () = changes(&mut tables) => Some(CheckpointError::WentBack.into()),
                outcome = self.turn(worker, &mut held) => {
                    let Err(interruption) = outcome;
                    Some(interruption)
                }
            };
            let unsaved = worker.stop();
            self.notice_that_it_went_back();
            self.backlog.set(None);
            if let Some(lease) = held {
                if lease.held_for() > LONGEST_PAUSE {
                    // Having run well for a while, it begins again with the shortest pause.
                    self.pauses = backoff::endless(FIRST_PAUSE, LONGEST_PAUSE);
                }
                let valid = interruption.as_ref().is_none_or(Interruption::leaves_the_lease_valid);
                left_at = self.give_up(lease, unsaved.filter(|_| valid)).await;
            }
            let Some(interruption) = interruption else {
                return self.stop_acquiring().await;
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = changes(&mut incarnation) => {}
                () = self.recover(interruption, left_at) => {}
            }
            self.notice_that_it_went_back();
        }
    }

    /// Fails when the log went back, and this replica did not notice yet.
    pub(crate) fn expect_no_return(&self) -> Result<(), ReadError> {
        match self.incarnation.has_changed() {
            Ok(true) => Err(ReadError::WentBack),
            Ok(false) | Err(_) => Ok(()),
        }
    }

    /// After the log went back nothing that was known of it holds.
    fn notice_that_it_went_back(&mut self) {
        if self.expect_no_return().is_ok() {
            return;
        }
        self.incarnation.mark_unchanged();
        self.went_back = true;
        self.position.send_replace(0);
        let why = ReadError::WentBack.to_string();
        self.state.send_replace(SubscriptionState::Interrupted(why));
    }

    /// Stops the subscription, because the log went back under it, unless it was reset since.
    async fn stop_unless_reset(&mut self) -> Result<(), Interruption> {
        let Some(reset_at) = self.reset_at else {
            // Nothing was done here before.
            self.went_back = false;
            return Ok(());
        };
        self.store.stop(&self.identity.name, reset_at).await?;
        match self.store.status(&self.identity.name).await? {
            Some(status) if status.stopped => Err(self.another_log()),
            _ => {
                self.went_back = false;
                Ok(())
            }
        }
    }

    /// One tenure: from waiting for the lease to whatever ended it.
    async fn turn(
        &mut self,
        worker: &mut impl Worker<S>,
        held: &mut Option<HeldLease<S>>,
    ) -> Result<Infallible, Interruption> {
        self.register().await?;
        if self.went_back {
            self.stop_unless_reset().await?;
        }
        let lease = self.lease_when_free().await?;
        let lease = held.insert(lease);
        self.expect_this_log(&lease.checkpoint()).await?;
        self.beyond = None;
        self.position.send_replace(lease.stored());
        worker.work(lease).await
    }

    pub(crate) async fn register(&self) -> Result<(), CheckpointError> {
        let registration = Registration {
            subscription: self.identity.name.clone(),
            kind: self.identity.kind,
            families: self.identity.families(),
            log_id: self.environment.store.log_id(),
        };
        self.store.register(&registration).await
    }

    /// Takes the lease, unless another has it.
    pub(crate) async fn try_acquire(&mut self) -> Result<Option<HeldLease<S>>, CheckpointError> {
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
    async fn stop_acquiring(&mut self) {
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
    pub(crate) async fn expect_this_log(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<(), Interruption> {
        if checkpoint.is_of(&*self.environment.store).await? {
            return Ok(());
        }
        Err(self.another_log())
    }

    pub(crate) fn another_log(&self) -> Interruption {
        let Identity { name, kind, .. } = &*self.identity;
        Interruption::AnotherLog { subscription: name.clone(), kind: *kind }
    }

    /// Saves what is finished, and lets another replica have the lease, whatever becomes of the
    /// saving. Returns where the checkpoint is left.
    pub(crate) async fn give_up(
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

    /// Does what an interruption calls for before the next turn.
    async fn recover(&mut self, interruption: Interruption, left_at: Position) {
        let subscription = self.identity.name.as_str();
        match &interruption {
            Interruption::Checkpoint(CheckpointError::LeaseLost { holder, .. }) => {
                tracing::info!(subscription, holder, "the lease was lost; standing by");
                return;
            }
            // The next turn finds out what becomes of it.
            Interruption::Read(ReadError::WentBack) => return,
            Interruption::Incapable { event_type, position } => {
                tracing::warn!(
                    subscription,
                    event_type,
                    position,
                    "this release cannot read an event; standing by until a newer one has handled it"
                );
                let event_type = event_type.clone();
                self.beyond = Some(Beyond { event_type, position: *position, left_at });
                return;
            }
            _ => {}
        }
        let text = with_sources(&interruption);
        if matches!(interruption, Interruption::AnotherLog { .. }) {
            let stopped = SubscriptionState::Stopped(text.clone());
            if self.state.send_replace(stopped.clone()) != stopped {
                tracing::error!(subscription, error = text, "the subscription stops");
            }
            self.record(text).await;
            tokio::time::sleep(LOOK_AGAIN).await;
            return;
        }
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        INTERRUPTED.occurs(subscription, &interruption);
        metrics::counter!("subscription_interruptions_total", "subscription" => subscription.to_owned())
            .increment(1);
        self.state.send_replace(SubscriptionState::Interrupted(text.clone()));
        let resume = Instant::now() + pause;
        self.record(text).await;
        tokio::time::sleep_until(resume).await;
    }

    /// Keeps what went wrong beside the checkpoint, where that can be written.
    async fn record(&mut self, error: String) {
        let again = |(text, at): &(String, Instant)| *text != error || at.elapsed() > RECORD_AGAIN;
        if !self.recorded.as_ref().is_none_or(again) {
            return;
        }
        let recording = self.store.record_error(&self.identity.name, &error);
        match timeout(RECORD_WITHIN, recording).await {
            Ok(Ok(())) => self.recorded = Some((error, Instant::now())),
            Ok(Err(error)) => {
                tracing::debug!(error = with_sources(&error), "the error could not be recorded");
            }
            Err(_) => tracing::debug!("the error could not be recorded in time"),
        }
    }
}
