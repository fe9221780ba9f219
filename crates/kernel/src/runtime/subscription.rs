//! The trait of everything that runs for as long as the process does.

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::authoring::backlog::Backlog;
use crate::authoring::identity::Identity;
use crate::authoring::progress::Progress;
use crate::authoring::subscription::SubscriptionState;

/// A projection, policy or reactor at work.
#[async_trait]
pub trait Subscription: Send {
    /// What it is.
    fn identity(&self) -> &Identity;

    /// Its name, which its checkpoint is kept under.
    fn name(&self) -> String {
        self.identity().name.clone()
    }

    /// How it is, changing while it runs.
    fn state(&self) -> watch::Receiver<SubscriptionState>;

    /// Returns how far it has come, for those who wait for it.
    fn progress(&self) -> Progress;

    /// Since when its oldest event has been waiting for its turn, here or on the replica that runs
    /// it. `None` of what nothing that is begun waits for.
    fn backlog(&self) -> Option<Backlog> {
        None
    }

    /// Works until shut down, on one replica at a time; the others stand by. Failures are retried
    /// inside.
    async fn run(self: Box<Self>, shutdown: CancellationToken);
}
