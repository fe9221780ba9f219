//! Runs a projection as a subscription: while the process lives, or once up to a position.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::applying::Applying;
use super::interruption::Interruption;
use super::subscription::Subscription;
use super::supervision::Supervisor;
use crate::authoring::checkpoint::{CheckpointError, SubscriptionStore};
use crate::authoring::execution::Environment;
use crate::authoring::identity::Identity;
use crate::authoring::progress::Progress;
use crate::authoring::projection::Projection;
use crate::authoring::subscription::SubscriptionState;
use crate::log::event::Position;
use crate::log::store::BoxError;

/// Runs a projection.
pub struct ProjectionRunner<P: Projection> {
    supervisor: Supervisor<P::Store>,
    applying: Applying<P>,
}

/// Why folding a read model failed.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// Another process folds the read model now, or took it over.
    #[error("{subscription} is being folded by {owner}")]
    Leased {
        /// The subscription.
        subscription: String,
        /// The process that folds it.
        owner: String,
    },
    /// The call was cancelled. Folded events stay folded: the next call continues.
    #[error("folding {subscription} was cancelled")]
    Cancelled {
        /// The subscription.
        subscription: String,
    },
    /// A dependency was unavailable. Folded events stay folded: the next call continues.
    #[error("cannot fold {subscription}")]
    Interrupted {
        /// The subscription.
        subscription: String,
        /// The cause.
        #[source]
        source: BoxError,
    },
}

impl<P: Projection> ProjectionRunner<P> {
    /// Creates a runner and the progress that it reports.
    pub fn new(projection: P, environment: Environment, store: P::Store) -> (Self, Progress) {
        let store = Arc::new(store);
        let identity = Identity::of_projection::<P>();
        let supervisor = Supervisor::new(identity, environment.clone(), Arc::clone(&store));
        let identity = Arc::clone(&supervisor.replica.identity);
        let position = supervisor.replica.position.clone();
        let applying = Applying::new(projection, identity, environment, store, position);
        let runner = Self { supervisor, applying };
        let progress = runner.progress();
        (runner, progress)
    }

    /// Folds the log up to a position, waits for the log to reach it, and returns; `report` receives
    /// the progress. It continues from the stored checkpoint and holds the lease during the work,
    /// like [`Subscription::run`]; on cancellation it releases the lease too.
    pub async fn fold_to(
        &mut self,
        position: Position,
        report: &mut (dyn FnMut(Position) + Send),
        cancel: &CancellationToken,
    ) -> Result<(), FoldError> {
        let identity = Arc::clone(&self.supervisor.replica.identity);
        let subscription = &identity.name;
        let leased = |owner: Option<String>| FoldError::Leased {
            subscription: subscription.clone(),
            owner: owner.unwrap_or_else(|| "another process".to_owned()),
        };
        let interrupted = |error: Interruption| match error {
            Interruption::Checkpoint(CheckpointError::LeaseLost { holder, .. }) => leased(holder),
            error => {
                FoldError::Interrupted { subscription: subscription.clone(), source: error.into() }
            }
        };
        let unavailable = |error: CheckpointError| interrupted(error.into());
        self.supervisor.replica.register().await.map_err(unavailable)?;
        let Some(mut lease) = self.supervisor.replica.try_acquire().await.map_err(unavailable)?
        else {
            let status =
                self.supervisor.replica.store.status(subscription).await.map_err(unavailable)?;
            if status.as_ref().is_some_and(|status| status.stopped) {
                return Err(interrupted(self.supervisor.replica.another_log()));
            }
            return Err(leased(status.and_then(|status| status.lease).map(|lease| lease.owner)));
        };
        let folding = async {
            self.supervisor.replica.expect_this_log(&lease.checkpoint()).await?;
            self.applying.follow(&mut lease, Some(position), report).await
        };
        let folded = tokio::select! {
            folded = folding => folded.map_err(interrupted),
            () = cancel.cancelled() => {
                Err(FoldError::Cancelled { subscription: subscription.clone() })
            }
        };
        self.supervisor.replica.give_up(lease, None).await;
        folded
    }
}

#[async_trait]
impl<P: Projection> Subscription for ProjectionRunner<P> {
    fn identity(&self) -> &Identity {
        &self.supervisor.replica.identity
    }

    fn progress(&self) -> Progress {
        Progress::new(self.supervisor.replica.position.subscribe())
    }

    fn state(&self) -> watch::Receiver<SubscriptionState> {
        self.supervisor.replica.state.subscribe()
    }

    async fn run(mut self: Box<Self>, shutdown: CancellationToken) {
        let Self { supervisor, mut applying } = *self;
        supervisor.run(&mut applying, shutdown).await;
    }
}
