//! Projections: read models folded from the log. Rows and checkpoint move in one transaction of
//! the module's own database.

mod applying;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::applying::Applying;
use crate::checkpoint::{CheckpointError, SubscriptionStore};
use crate::codec::{Envelope, EventSet};
use crate::event::Position;
use crate::execution::Environment;
use crate::store::BoxError;
use crate::subscription::{Identity, Subscription, SubscriptionState};
use crate::supervision::{Interruption, Supervisor};

/// A read model and how events change it.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// The database its rows are in.
    type Store: SubscriptionStore;
    /// The events it reads.
    type Event: EventSet;

    /// `<module>.<read model>`. Its checkpoint is kept under it and the version.
    const NAME: &'static str;

    /// Raised when the same events are to give other rows, and when it reads events that it did not
    /// read before: the read model is built anew, beside the one of the version before.
    const VERSION: u32;

    /// The tables that its rows are in, of the module's database. A table that refers to another comes
    /// after it. No other projection writes to them.
    const TABLES: &'static [&'static str];

    /// The event families (`orders.OrderPlaced`) that this version once read and does not read any
    /// more. What is neither read nor retired waits for a replica that reads it.
    const RETIRED_FAMILIES: &'static [&'static str] = &[];

    /// Applies one event to the rows.
    async fn project(
        &self,
        transaction: &mut <Self::Store as SubscriptionStore>::Transaction,
        event: &Envelope<Self::Event>,
    ) -> Result<(), BoxError>;

    /// Applies several events, in their order, to the same end as one after the other. Worth
    /// overriding where catching up must be fast: read the rows of all of them at once, change them
    /// in memory, write them at once.
    async fn project_all(
        &self,
        transaction: &mut <Self::Store as SubscriptionStore>::Transaction,
        events: &[&Envelope<Self::Event>],
    ) -> Result<(), BoxError> {
        for event in events {
            self.project(transaction, event).await?;
        }
        Ok(())
    }
}

/// An event speaks of something that the read model has never heard of.
#[derive(Debug, thiserror::Error)]
#[error("there is no {what} {id} in the read model: its first event is missing or parked")]
pub struct Unknown {
    /// What it is, for people.
    pub what: &'static str,
    /// Its id.
    pub id: Uuid,
}

/// How far a projection has come, for those who wait for it. Cheap to clone.
///
/// It is exact on every replica, whichever of them runs the projection.
#[derive(Debug, Clone)]
pub struct Progress(watch::Receiver<Position>);

impl Progress {
    /// Everything up to here is visible in the read model.
    pub fn position(&self) -> Position {
        *self.0.borrow()
    }

    /// Waits until the read model shows everything up to `position`; `false` when it takes longer
    /// than `within`.
    pub async fn reached(&self, position: Position, within: Duration) -> bool {
        let mut receiver = self.0.clone();
        let reached = receiver.wait_for(|at| *at >= position);
        matches!(tokio::time::timeout(within, reached).await, Ok(Ok(_)))
    }
}

/// A projection at work.
pub struct ProjectionRunner<P: Projection> {
    supervisor: Supervisor<P::Store>,
    applying: Applying<P>,
}

/// Why a read model could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// Another process folds it just now, or took it over.
    #[error("{subscription} is being folded by {owner}")]
    Leased {
        /// The subscription.
        subscription: String,
        /// Who folds it.
        owner: String,
    },
    /// It was cancelled. What was folded by then stays: the next call goes on.
    #[error("folding {subscription} was cancelled")]
    Cancelled {
        /// The subscription.
        subscription: String,
    },
    /// Something was out of reach. What was folded by then stays: the next call goes on.
    #[error("{subscription} could not be folded")]
    Interrupted {
        /// The subscription.
        subscription: String,
        /// What went wrong.
        #[source]
        source: BoxError,
    },
}

impl<P: Projection> ProjectionRunner<P> {
    /// A runner, and where to see how far it has come.
    pub fn new(projection: P, environment: Environment, store: P::Store) -> (Self, Progress) {
        let store = Arc::new(store);
        let identity = Identity::of_projection::<P>();
        let supervisor = Supervisor::new(identity, environment.clone(), Arc::clone(&store));
        let progress = Progress(supervisor.position.subscribe());
        let identity = Arc::clone(&supervisor.identity);
        let position = supervisor.position.clone();
        let applying = Applying::new(projection, identity, environment, store, position);
        (Self { supervisor, applying }, progress)
    }

    /// Folds the log up to a position, waiting for the log to get there, and returns; `report` is
    /// told how far it is. It goes on from the stored checkpoint and takes the lease for as long as
    /// it works, as [`Subscription::run`] does; also when it is cancelled it gives it back.
    pub async fn fold_to(
        &mut self,
        position: Position,
        report: &mut (dyn FnMut(Position) + Send),
        cancel: &CancellationToken,
    ) -> Result<(), FoldError> {
        let identity = Arc::clone(&self.supervisor.identity);
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
        self.supervisor.register().await.map_err(unavailable)?;
        let Some(mut lease) = self.supervisor.try_acquire().await.map_err(unavailable)? else {
            let status = self.supervisor.store.status(subscription).await.map_err(unavailable)?;
            if status.as_ref().is_some_and(|status| status.stopped) {
                return Err(interrupted(self.supervisor.another_log()));
            }
            return Err(leased(status.and_then(|status| status.lease).map(|lease| lease.owner)));
        };
        let folding = async {
            self.supervisor.expect_this_log(&lease.checkpoint()).await?;
            self.applying.follow(&mut lease, Some(position), report).await
        };
        let folded = tokio::select! {
            folded = folding => folded.map_err(interrupted),
            () = cancel.cancelled() => {
                Err(FoldError::Cancelled { subscription: subscription.clone() })
            }
        };
        self.supervisor.give_up(lease, None).await;
        folded
    }
}

#[async_trait]
impl<P: Projection> Subscription for ProjectionRunner<P> {
    fn identity(&self) -> &Identity {
        &self.supervisor.identity
    }

    fn state(&self) -> watch::Receiver<SubscriptionState> {
        self.supervisor.state.subscribe()
    }

    async fn run(mut self: Box<Self>, shutdown: CancellationToken) {
        let Self { supervisor, mut applying } = *self;
        supervisor.run(&mut applying, shutdown).await;
    }
}
