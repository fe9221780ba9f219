//! Supervises every subscription: its lease, its checkpoint and its interruptions. One replica
//! works, the others stand by.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::held_lease::HeldLease;
use super::interruption::Interruption;
use super::lag;
use super::outages::INTERRUPTED;
use super::replica::{Beyond, FIRST_PAUSE, LONGEST_PAUSE, Replica};
use crate::authoring::checkpoint::{Checkpoint, CheckpointError, SubscriptionStore};
use crate::authoring::execution::Environment;
use crate::authoring::identity::Identity;
use crate::authoring::subscription::SubscriptionState;
use crate::log::backoff;
use crate::log::event::Position;
use crate::log::outage::with_sources;
use crate::log::store::ReadError;

/// How often a stopped subscription checks whether its checkpoint was repaired.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// Time limit for recording an error.
const RECORD_WITHIN: Duration = Duration::from_secs(8);
/// Interval after which the same error is recorded again.
const RECORD_AGAIN: Duration = Duration::from_secs(60);

/// The work of a subscription while it holds the lease.
pub(super) trait Worker<S: SubscriptionStore>: Send {
    /// Works until an interruption.
    fn work(
        &mut self,
        lease: &mut HeldLease<S>,
    ) -> impl Future<Output = Result<Infallible, Interruption>> + Send;

    /// Ends all work in progress. Returns the checkpoint to save, `None` if it is known to be
    /// stored.
    fn stop(&mut self) -> Option<Checkpoint>;
}

/// Waits until the incarnation of the log or of the tables changes.
async fn changes(incarnation: &mut watch::Receiver<u64>) {
    if incarnation.changed().await.is_err() {
        // It never changes, or the store is dropped and this task is about to be stopped.
        std::future::pending::<()>().await;
    }
}

/// Runs a subscription: waits for its lease, lets it work, and resumes after interruptions.
pub(super) struct Supervisor<S> {
    pub(super) replica: Replica<S>,
    /// Changes when the subscription's own tables go back.
    tables: watch::Receiver<u64>,
    /// Whether the log went back while this replica ran: the subscription then stops unless it was
    /// reset after that time, whatever its checkpoint says. The checkpoint may be stored beside the
    /// log and have gone back with it.
    went_back: bool,
    pauses: ExponentialBackoff,
    recorded: Option<(String, Instant)>,
}

impl<S: SubscriptionStore> Supervisor<S> {
    pub(super) fn new(identity: Identity, environment: Environment, store: Arc<S>) -> Self {
        let tables = store.watch_tables();
        Self {
            replica: Replica::new(identity, environment, store),
            tables,
            went_back: false,
            pauses: backoff::endless(FIRST_PAUSE, LONGEST_PAUSE),
            recorded: None,
        }
    }

    /// Runs until shutdown.
    pub(super) async fn run(mut self, worker: &mut impl Worker<S>, shutdown: CancellationToken) {
        let observing = lag::observe(
            Arc::clone(&self.replica.identity),
            self.replica.environment.clone(),
            self.replica.position.subscribe(),
            self.replica.state.subscribe(),
        );
        tokio::select! {
            () = observing => {}
            () = self.supervise(worker, &shutdown) => {}
        }
    }

    async fn supervise(&mut self, worker: &mut impl Worker<S>, shutdown: &CancellationToken) {
        loop {
            let mut incarnation = self.replica.incarnation.clone();
            self.tables.mark_unchanged();
            let mut tables = self.tables.clone();
            let mut held = None;
            let mut left_at = 0;
            let interruption = tokio::select! {
                // Shutdown and a changed incarnation come first: no work continues on invalid data.
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
            self.process_log_that_went_back();
            self.replica.backlog.set(None);
            if let Some(lease) = held {
                if lease.held_for() > LONGEST_PAUSE {
                    // After a long run the pauses start again from the shortest.
                    self.pauses = backoff::endless(FIRST_PAUSE, LONGEST_PAUSE);
                }
                let valid = interruption.as_ref().is_none_or(Interruption::leaves_the_lease_valid);
                left_at = self.replica.give_up(lease, unsaved.filter(|_| valid)).await;
            }
            let Some(interruption) = interruption else {
                return self.replica.stop_acquiring().await;
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = changes(&mut incarnation) => {}
                () = self.recover(interruption, left_at) => {}
            }
            self.process_log_that_went_back();
        }
    }

    /// Invalidates what this replica knew of a log that went back.
    fn process_log_that_went_back(&mut self) {
        if self.replica.expect_no_return().is_ok() {
            return;
        }
        self.replica.incarnation.mark_unchanged();
        self.went_back = true;
        self.replica.position.send_replace(0);
        let why = ReadError::WentBack.to_string();
        self.replica.state.send_replace(SubscriptionState::Interrupted(why));
    }

    /// Stops the subscription because the log went back, unless it was reset since.
    async fn stop_unless_reset(&mut self) -> Result<(), Interruption> {
        let Some(reset_at) = self.replica.reset_at else {
            // The subscription has not worked on this replica before.
            self.went_back = false;
            return Ok(());
        };
        self.replica.store.stop(&self.replica.identity.name, reset_at).await?;
        match self.replica.store.status(&self.replica.identity.name).await? {
            Some(status) if status.stopped => Err(self.replica.another_log()),
            _ => {
                self.went_back = false;
                Ok(())
            }
        }
    }

    /// Runs one tenure: from waiting for the lease to the interruption.
    async fn turn(
        &mut self,
        worker: &mut impl Worker<S>,
        held: &mut Option<HeldLease<S>>,
    ) -> Result<Infallible, Interruption> {
        self.replica.register().await?;
        if self.went_back {
            self.stop_unless_reset().await?;
        }
        let lease = self.replica.lease_when_free().await?;
        let lease = held.insert(lease);
        self.replica.expect_this_log(&lease.checkpoint()).await?;
        self.replica.beyond = None;
        self.replica.position.send_replace(lease.stored());
        worker.work(lease).await
    }

    /// Handles an interruption before the next tenure.
    async fn recover(&mut self, interruption: Interruption, left_at: Position) {
        let subscription = self.replica.identity.name.as_str();
        match &interruption {
            Interruption::Checkpoint(CheckpointError::LeaseLost { holder, .. }) => {
                tracing::info!(subscription, holder, "the lease was lost; standing by");
                return;
            }
            // The next tenure decides what follows.
            Interruption::Read(ReadError::WentBack) => return,
            Interruption::Incapable { event_type, position } => {
                tracing::warn!(
                    subscription,
                    event_type,
                    position,
                    "this release cannot read an event; standing by until a newer one has handled it"
                );
                let event_type = event_type.clone();
                self.replica.beyond = Some(Beyond { event_type, position: *position, left_at });
                return;
            }
            _ => {}
        }
        let text = with_sources(&interruption);
        if matches!(interruption, Interruption::AnotherLog { .. }) {
            let stopped = SubscriptionState::Stopped(text.clone());
            if self.replica.state.send_replace(stopped.clone()) != stopped {
                tracing::error!(
                    subscription,
                    error = text,
                    "subscription stopped; it needs an operator"
                );
            }
            self.record(text).await;
            tokio::time::sleep(LOOK_AGAIN).await;
            return;
        }
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        INTERRUPTED.occurs(subscription, &interruption);
        metrics::counter!("subscription_interruptions_total", "subscription" => subscription.to_owned())
            .increment(1);
        self.replica.state.send_replace(SubscriptionState::Interrupted(text.clone()));
        let resume = Instant::now() + pause;
        self.record(text).await;
        tokio::time::sleep_until(resume).await;
    }

    /// Records an error beside the checkpoint if the database is writable.
    async fn record(&mut self, error: String) {
        let again = |(text, at): &(String, Instant)| *text != error || at.elapsed() > RECORD_AGAIN;
        if !self.recorded.as_ref().is_none_or(again) {
            return;
        }
        let recording = self.replica.store.record_error(&self.replica.identity.name, &error);
        match timeout(RECORD_WITHIN, recording).await {
            Ok(Ok(())) => self.recorded = Some((error, Instant::now())),
            Ok(Err(error)) => {
                tracing::debug!(error = with_sources(&error), "cannot record the error");
            }
            Err(_) => tracing::debug!("cannot record the error in time"),
        }
    }
}
