//! Runs a policy, reactor or upkeep as a subscription.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::reacting::Reacting;
use super::subscription::Subscription;
use super::supervision::Supervisor;
use crate::authoring::backlog::Backlog;
use crate::authoring::checkpoint::SubscriptionStore;
use crate::authoring::execution::Environment;
use crate::authoring::identity::Identity;
use crate::authoring::progress::Progress;
use crate::authoring::reaction::{Reaction, ReactionKind};
use crate::authoring::subscription::SubscriptionState;

/// Runs a policy or reactor.
pub struct ReactionRunner<R: Reaction, S: SubscriptionStore> {
    supervisor: Supervisor<S>,
    reacting: Reacting<R, S>,
}

impl<R: Reaction, S: SubscriptionStore> ReactionRunner<R, S> {
    /// Creates a runner that keeps its checkpoint in `store`.
    pub fn new(reaction: R, environment: Environment, store: S) -> Self {
        let store = Arc::new(store);
        let identity = Identity::of_reaction::<R>();
        let supervisor = Supervisor::new(identity, environment.clone(), Arc::clone(&store));
        let identity = Arc::clone(&supervisor.replica.identity);
        let position = supervisor.replica.position.clone();
        let backlog = supervisor.replica.backlog.clone();
        let reacting = Reacting::new(reaction, identity, environment, store, position, backlog);
        Self { supervisor, reacting }
    }
}

#[async_trait]
impl<R: Reaction, S: SubscriptionStore> Subscription for ReactionRunner<R, S> {
    fn identity(&self) -> &Identity {
        &self.supervisor.replica.identity
    }

    fn progress(&self) -> Progress {
        Progress::new(self.supervisor.replica.position.subscribe())
    }

    fn state(&self) -> watch::Receiver<SubscriptionState> {
        self.supervisor.replica.state.subscribe()
    }

    fn backlog(&self) -> Option<Backlog> {
        match R::KIND {
            ReactionKind::Policy | ReactionKind::Reactor => {
                Some(self.supervisor.replica.backlog.clone())
            }
            // Upkeep is never urgent.
            ReactionKind::Upkeep => None,
        }
    }

    async fn run(mut self: Box<Self>, shutdown: CancellationToken) {
        let Self { supervisor, mut reacting } = *self;
        supervisor.run(&mut reacting, shutdown).await;
    }
}
