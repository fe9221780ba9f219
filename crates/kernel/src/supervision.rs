//! What every subscription does about its checkpoint and about interruptions.

use std::time::Duration;

use backon::ExponentialBackoff;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::checkpoint::{Checkpoint, CheckpointError, SubscriptionStore};
use crate::event::Position;
use crate::execution::Environment;
use crate::parking::with_sources;
use crate::store::ReadError;
use crate::subscription::SubscriptionState;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why a run over the log ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interruption {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(
        "the checkpoint of {subscription} belongs to another log, or to a later state of this one: the event store was replaced or restored. Stop the server, remove this module's database, and start again: it is built anew from the log"
    )]
    AnotherLog { subscription: String },
}

/// The stored checkpoint, after making sure that it belongs to this log as it is now.
pub(crate) async fn checkpoint_of_this_log<S: SubscriptionStore>(
    environment: &Environment,
    store: &S,
    name: &str,
) -> Result<Option<Checkpoint>, Interruption> {
    let Some(checkpoint) = store.checkpoint(name).await? else { return Ok(None) };
    let log = &environment.store;
    // After a restore another event may stand there, or none.
    if checkpoint.log_id == log.log_id()
        && log.event_id_at(checkpoint.position).await? == checkpoint.event_id
    {
        return Ok(Some(checkpoint));
    }
    Err(Interruption::AnotherLog { subscription: name.to_owned() })
}

/// A checkpoint at a position of this log, with the event that stands there.
pub(crate) async fn checkpoint_at(
    environment: &Environment,
    position: Position,
) -> Result<Checkpoint, ReadError> {
    let log = &environment.store;
    Ok(Checkpoint { log_id: log.log_id(), position, event_id: log.event_id_at(position).await? })
}

/// Tells how a subscription is, and what follows an interruption.
#[derive(Debug)]
pub(crate) struct Supervisor {
    state: watch::Sender<SubscriptionState>,
    pauses: ExponentialBackoff,
    running_since: Option<Instant>,
}

impl Supervisor {
    pub(crate) fn new() -> Self {
        let pauses = backoff::endless(FIRST_PAUSE, LONGEST_PAUSE);
        Self { state: watch::channel(SubscriptionState::Running).0, pauses, running_since: None }
    }

    pub(crate) fn state(&self) -> watch::Receiver<SubscriptionState> {
        self.state.subscribe()
    }

    /// It got somewhere: whatever interrupted it before is over.
    pub(crate) fn running(&mut self) {
        if self.running_since.is_none() {
            self.running_since = Some(Instant::now());
            self.state.send_replace(SubscriptionState::Running);
        }
    }

    /// Waits before the next run; `false` when there is to be none.
    pub(crate) async fn goes_on_after(
        &mut self,
        name: &str,
        interruption: &Interruption,
        shutdown: &CancellationToken,
    ) -> bool {
        if matches!(interruption, Interruption::AnotherLog { .. }) {
            tracing::error!(
                subscription = name,
                error = interruption as &dyn std::error::Error,
                "the subscription stops"
            );
            metrics::gauge!("subscription_stopped", "subscription" => name.to_owned()).set(1);
            self.state.send_replace(SubscriptionState::Stopped(interruption.to_string()));
            return false;
        }
        // Having run well for a while, it begins again with the shortest pause.
        if self.running_since.take().is_some_and(|since| since.elapsed() > LONGEST_PAUSE) {
            self.pauses = backoff::endless(FIRST_PAUSE, LONGEST_PAUSE);
        }
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        tracing::warn!(
            subscription = name,
            error = interruption as &dyn std::error::Error,
            "interrupted; going on in {pause:?}"
        );
        metrics::counter!("subscription_interruptions_total", "subscription" => name.to_owned())
            .increment(1);
        self.state.send_replace(SubscriptionState::Interrupted(with_sources(interruption)));
        tokio::select! {
            () = shutdown.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}
