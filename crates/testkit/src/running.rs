//! A running module: support for the scenario tests of every module.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use database::Statement;
use kernel::codec::EventSet;
use kernel::event::{EventFilter, Position, RecordedEvent};
use kernel::execution::{Cause, Environment};
use kernel::projection::Progress;
use kernel::seams::new_id;
use kernel::subscription::{Delivery, LogReader, Subscription, SubscriptionKind};
use kernel::sync::{LegacyReference, LegacyState, SyncError, SyncOutcome, SyncRequest};
use module::OpenModule;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::modules::record;

/// Longer than any step of a scenario; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A module whose subscriptions follow the log until this is stopped or dropped.
pub struct Running {
    /// The environment of the module.
    pub environment: Environment,
    /// The module.
    pub module: OpenModule,
    /// How far each subscription is, by its name.
    progress: BTreeMap<String, Progress>,
    /// The read models that are at work.
    projecting: Vec<Progress>,
    held: Vec<Box<dyn Subscription>>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Running {
    /// Starts the module with all its subscriptions.
    pub fn all(environment: &Environment, module: OpenModule) -> Self {
        Self::some(environment, module, |_| true)
    }

    /// Starts the module with only those subscriptions whose name passes.
    pub fn some(
        environment: &Environment,
        mut module: OpenModule,
        runs: impl Fn(&str) -> bool,
    ) -> Self {
        let progress = module.subscriptions.iter();
        let progress = progress.map(|one| (one.name(), one.progress())).collect();
        let (running, held): (Vec<_>, Vec<_>) = std::mem::take(&mut module.subscriptions)
            .into_iter()
            .partition(|subscription| runs(&subscription.name()));
        let (tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
        let mut started = Self {
            environment: environment.clone(),
            module,
            progress,
            projecting: Vec::new(),
            held: running,
            tasks,
            shutdown,
        };
        started.release();
        Self { held, ..started }
    }

    /// Starts the other subscriptions.
    pub fn release(&mut self) {
        for subscription in self.held.drain(..) {
            if subscription.identity().kind == SubscriptionKind::Projection {
                self.projecting.push(subscription.progress());
            }
            self.tasks.spawn(subscription.run(self.shutdown.clone()));
        }
    }

    /// Stops it at any point, in order.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.join_all().await;
        self.module.database.close().await;
    }

    /// Stops it like a kill: nothing is saved any more.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
        self.module.database.close().await;
    }

    /// Records an event of any module as if that module had. Returns its id.
    pub async fn happened<E: EventSet>(&self, category: &'static str, id: Uuid, event: E) -> Uuid {
        record(&self.environment, category, id, event).await
    }

    /// Returns the position of the log's last event.
    pub async fn head(&self) -> Position {
        self.environment.store.head().await.unwrap()
    }

    /// Returns the types of all events of the log, in order.
    pub async fn log(&self) -> Vec<String> {
        let page = self.environment.store.read_log(0, &EventFilter::all(), 1_000).await.unwrap();
        page.events.iter().map(|event| event.event_type.to_string()).collect()
    }

    /// Returns the progress of a projection.
    pub fn progress(&self, projection: &str) -> &Progress {
        let mut projections = self.module.projections.iter();
        &projections.find(|(name, _)| name == projection).expect("no such projection").1
    }

    /// How far a subscription has come, by its own name.
    fn progress_of(&self, subscription: &str) -> &Progress {
        self.progress.get(subscription).expect("no such subscription")
    }

    /// Waits until a projection shows everything recorded so far.
    pub async fn caught_up(&self, projection: &str) {
        let reached = self.progress(projection).reached(self.head().await, PATIENCE).await;
        assert!(reached, "{projection} does not progress");
    }

    /// Waits until subscriptions are through with everything recorded so far, and with what they
    /// themselves have added, and the read models that are at work show it.
    pub async fn settled(&self, subscriptions: &[&str]) {
        let named = subscriptions.iter().map(|name| self.progress_of(name));
        let all: Vec<&Progress> = named.chain(&self.projecting).collect();
        loop {
            let head = self.head().await;
            let reached = Progress::all_reached(&all, head, PATIENCE).await;
            assert!(reached, "one of {subscriptions:?} stands still");
            if self.head().await == head {
                return;
            }
        }
    }

    /// Returns the reasons of parked events, for all subscriptions.
    pub async fn all_parked(&self) -> Vec<String> {
        let errors = Statement::Same("SELECT error FROM parked_event");
        self.module.database.query(&errors).scalars().await.unwrap()
    }

    /// Waits until a subscription has parked an event. Returns the reason.
    pub async fn parked(&self, subscription: &str) -> String {
        let error = Statement::Same("SELECT error FROM parked_event WHERE subscription = $1");
        eventually("no event was parked", async || {
            let query = self.module.database.query(&error).bind(subscription);
            query.scalar_optional().await.unwrap()
        })
        .await
    }

    /// Waits until the log has an event that passes. Returns the first one.
    pub async fn first<E: EventSet>(&self, wanted: impl Fn(&E) -> bool) -> (E, Arc<RecordedEvent>) {
        let filter = EventFilter::families_of(E::types());
        let mut reader = LogReader::new(Arc::clone(&self.environment.store), 0, filter);
        let search = async {
            loop {
                let Delivery::Event(recorded) = reader.next().await.unwrap() else { continue };
                let codec = &self.environment.codec;
                let decoded = codec.decode::<E>(Arc::clone(&recorded)).await.unwrap();
                if wanted(&decoded.event) {
                    return (decoded.event, recorded);
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("it never happened")
    }

    /// Sends the module a legacy state of an aggregate, by the command for it and the aggregate's key
    /// in the legacy.
    pub async fn legacy_says(
        &self,
        command: &str,
        id: Uuid,
        key: &str,
        state: LegacyState,
    ) -> Result<SyncOutcome, SyncError> {
        let legacy = LegacyReference { source: "tryton".to_owned(), id: key.to_owned() };
        let cause = Cause::request(new_id(), "import");
        let mut targets = self.module.sync_targets.iter();
        let target = targets.find(|target| target.command() == command).expect("no such command");
        target.sync(SyncRequest { id, legacy, state, cause }).await
    }
}

/// Polls until there is a result, for changes that no notification announces.
pub async fn eventually<T>(otherwise: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect(otherwise)
}
