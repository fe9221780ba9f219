//! Projections: read models folded from the log. Rows and checkpoint move in one transaction of
//! the module's own database.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backoff;
use crate::checkpoint::{Checkpoint, CheckpointError, ParkedEvent, SubscriptionStore};
use crate::codec::{CodecError, Envelope, EventSet};
use crate::event::{EventFilter, Position, RecordedEvent};
use crate::execution::Environment;
use crate::parking::ParkedKeys;
use crate::store::{BoxError, LogPage};
use crate::subscription::{LogReader, Subscription, SubscriptionState};
use crate::supervision::{Interruption, Supervisor, checkpoint_at, checkpoint_of_this_log};

/// A read model and how events change it.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// The database its rows are in.
    type Store: SubscriptionStore;
    /// The events it reads.
    type Event: EventSet;

    /// `<module>.<read model>`. Its checkpoint is kept under it and the version.
    fn name(&self) -> &'static str;

    /// Raised when the same events are to give other rows: the read model is built anew.
    fn version(&self) -> u32;

    /// Applies one event to the rows.
    async fn project(
        &self,
        transaction: &mut <Self::Store as SubscriptionStore>::Transaction,
        event: &Envelope<Self::Event>,
    ) -> Result<(), BoxError>;
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

const BATCH: usize = 500;
/// How often a failing event is tried, its transaction alone, before it is set aside.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A projection at work.
pub struct ProjectionRunner<P: Projection> {
    projection: P,
    environment: Environment,
    store: P::Store,
    progress: watch::Sender<Position>,
    supervisor: Supervisor,
}

impl<P: Projection> ProjectionRunner<P> {
    /// A runner, and where to see how far it has come.
    pub fn new(projection: P, environment: Environment, store: P::Store) -> (Self, Progress) {
        let (progress, receiver) = watch::channel(0);
        (
            Self { projection, environment, store, progress, supervisor: Supervisor::new() },
            Progress(receiver),
        )
    }

    fn subscription_name(&self) -> String {
        format!("{}.v{}", self.projection.name(), self.projection.version())
    }
}

#[async_trait]
impl<P: Projection> Subscription for ProjectionRunner<P> {
    fn name(&self) -> String {
        self.subscription_name()
    }

    fn state(&self) -> watch::Receiver<SubscriptionState> {
        self.supervisor.state()
    }

    async fn run(mut self: Box<Self>, shutdown: CancellationToken) {
        let name = self.subscription_name();
        loop {
            let Err(interruption) = tokio::select! {
                () = shutdown.cancelled() => return,
                outcome = self.follow(&name) => outcome,
            };
            if !self.supervisor.goes_on_after(&name, &interruption, &shutdown).await {
                return;
            }
        }
    }
}

impl<P: Projection> ProjectionRunner<P> {
    async fn follow(&mut self, name: &str) -> Result<Infallible, Interruption> {
        let checkpoint = checkpoint_of_this_log(&self.environment, &self.store, name).await?;
        let mut from = checkpoint.map(|checkpoint| checkpoint.position);
        let mut parked = ParkedKeys::new(self.store.parked_keys(name).await?);
        let filter = EventFilter::families_of(P::Event::types());
        let log = Arc::clone(&self.environment.store);
        let mut reader = LogReader::new(log, from.unwrap_or(0), filter);
        self.progress.send_replace(from.unwrap_or(0));
        loop {
            let page = reader.page(BATCH).await?;
            if page.scanned_to <= from.unwrap_or(0) {
                self.supervisor.running();
                reader.wait().await;
                continue;
            }
            let to = checkpoint_at(&self.environment, page.scanned_to).await?;
            if self.apply(name, &page.events, &parked, from, to).await.is_err() {
                // Something in the batch does not go through: one by one, to find what.
                self.apply_singly(name, &page, &mut parked, &mut from).await?;
            }
            from = Some(to.position);
            self.supervisor.running();
            self.report_lag(name, to.position);
            self.progress.send_replace(to.position);
        }
    }

    async fn apply(
        &self,
        name: &str,
        events: &[Arc<RecordedEvent>],
        parked: &ParkedKeys,
        from: Option<Position>,
        to: Checkpoint,
    ) -> Result<(), BoxError> {
        let mut transaction = self.store.begin().await?;
        for recorded in events {
            if parked.holds(recorded.stream.as_str()) {
                let waiting = ParkedEvent::waiting(recorded, recorded.stream.as_str());
                self.store.park(&mut transaction, name, &waiting).await?;
                continue;
            }
            let envelope = self.environment.codec.decode(Arc::clone(recorded)).await?;
            self.projection.project(&mut transaction, &envelope).await?;
        }
        self.store.advance(transaction, name, from, to).await?;
        Ok(())
    }

    async fn apply_singly(
        &self,
        name: &str,
        page: &LogPage,
        parked: &mut ParkedKeys,
        from: &mut Option<Position>,
    ) -> Result<(), Interruption> {
        let log_id = self.environment.store.log_id();
        for recorded in &page.events {
            let to =
                Checkpoint { log_id, position: recorded.position, event_id: Some(recorded.id) };
            let mut pauses = backoff::endless(FIRST_PAUSE, LONGEST_PAUSE);
            let mut attempts = 0;
            while let Err(error) =
                self.apply(name, std::slice::from_ref(recorded), parked, *from, to).await
            {
                if let Some(CheckpointError::Moved { .. }) = error.downcast_ref() {
                    return Err(CheckpointError::Moved { subscription: name.to_owned() }.into());
                }
                if error.downcast_ref().is_some_and(CodecError::is_transient)
                    || P::Store::is_unavailable(&error)
                {
                    return Err(CheckpointError::Unavailable(error).into());
                }
                attempts += 1;
                if attempts >= ATTEMPTS {
                    self.park(name, recorded, &error, attempts, *from, to).await?;
                    parked.add(recorded.stream.as_str());
                    break;
                }
                tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
            }
            *from = Some(recorded.position);
        }
        let rest = checkpoint_at(&self.environment, page.scanned_to).await?;
        if *from != Some(rest.position) {
            let transaction = self.store.begin().await?;
            self.store.advance(transaction, name, *from, rest).await?;
        }
        Ok(())
    }

    /// Sets an event aside. Fails, so that nothing is set aside, while the database itself fails.
    async fn park(
        &self,
        name: &str,
        recorded: &RecordedEvent,
        error: &BoxError,
        attempts: u32,
        from: Option<Position>,
        to: Checkpoint,
    ) -> Result<(), Interruption> {
        let parked = ParkedEvent::failed(recorded, recorded.stream.as_str(), error, attempts);
        let mut transaction = self.store.begin().await?;
        self.store.park(&mut transaction, name, &parked).await?;
        self.store.advance(transaction, name, from, to).await?;
        parked.announce(name);
        Ok(())
    }

    fn report_lag(&self, name: &str, position: Position) {
        let head = *self.environment.store.watch_head().borrow();
        metrics::gauge!("projection_lag_events", "projection" => name.to_owned())
            .set(head.saturating_sub(position) as f64);
    }
}
