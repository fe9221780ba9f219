//! Subscriptions at work, as a process has them: it can be paused, and it can vanish.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::task::AtomicWaker;
use kernel::execution::Environment;
use kernel::projection::{Progress, Projection, ProjectionRunner};
use kernel::subscription::{Subscription, SubscriptionState};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::names::Names;
use crate::subscriptions::MemoryDatabase;

/// Longer than anything here takes.
pub const ENOUGH: Duration = Duration::from_secs(300);

/// A subscription at work.
pub struct Running {
    pub state: watch::Receiver<SubscriptionState>,
    pub progress: Progress,
    shutdown: CancellationToken,
    pause: Arc<Pause>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Pause {
    paused: AtomicBool,
    waker: AtomicWaker,
}

impl Pause {
    /// Does nothing of a task while it is paused, as a stopped process.
    async fn over<T>(&self, task: impl Future<Output = T>) -> T {
        let mut task = Box::pin(task);
        poll_fn(|context| {
            self.waker.register(context.waker());
            match self.paused.load(Ordering::SeqCst) {
                true => Poll::Pending,
                false => task.as_mut().poll(context),
            }
        })
        .await
    }
}

pub fn run(subscription: impl Subscription + 'static) -> Running {
    let (state, progress) = (subscription.state(), subscription.progress());
    let shutdown = CancellationToken::new();
    let (pause, ended) = (Arc::<Pause>::default(), shutdown.clone());
    let pausing = Arc::clone(&pause);
    let task = tokio::spawn(async move { pausing.over(Box::new(subscription).run(ended)).await });
    Running { state, progress, shutdown, pause, task }
}

impl Running {
    /// Stops it as a process stops that is asked to.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    /// Ends it as a process ends that is killed.
    pub async fn vanish(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.pause.paused.store(true, Ordering::SeqCst);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.pause.paused.store(false, Ordering::SeqCst);
        self.pause.waker.wake();
    }

    /// Waits until it is as wanted.
    pub async fn until(
        &mut self,
        wanted: impl Fn(&SubscriptionState) -> bool,
    ) -> SubscriptionState {
        let reached = tokio::time::timeout(ENOUGH, self.state.wait_for(wanted)).await;
        reached.expect("it never was").unwrap().clone()
    }
}

/// A projection at work.
pub fn project<P: Projection<Store = MemoryDatabase>>(
    projection: P,
    environment: &Environment,
    database: &MemoryDatabase,
) -> (Progress, Running) {
    let (runner, progress) =
        ProjectionRunner::new(projection, environment.clone(), database.clone());
    (progress, run(runner))
}

/// The read model of names at work.
pub fn names(environment: &Environment, database: &MemoryDatabase) -> (Progress, Running) {
    project(Names::<1>::default(), environment, database)
}
