//! The trait of long-running subscriptions.

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::authoring::backlog::Backlog;
use crate::authoring::identity::Identity;
use crate::authoring::progress::Progress;
use crate::authoring::subscription::SubscriptionState;

/// A running projection, policy or reactor.
#[async_trait]
pub trait Subscription: Send {
    /// Returns the subscription's identity.
    fn identity(&self) -> &Identity;

    /// Returns the name under which its checkpoint is stored.
    fn name(&self) -> String {
        self.identity().name.clone()
    }

    /// Returns its state, which changes while it runs.
    fn state(&self) -> watch::Receiver<SubscriptionState>;

    /// Returns its progress, for callers that wait for a position.
    fn progress(&self) -> Progress;

    /// Returns since when its oldest event has been waiting for its turn, on this replica or the one
    /// that runs it. `None` for a subscription that no unfinished work waits for.
    fn backlog(&self) -> Option<Backlog> {
        None
    }

    /// Runs until shutdown, on one replica at a time; the others stand by. Retries failures
    /// internally.
    async fn run(self: Box<Self>, shutdown: CancellationToken);
}
