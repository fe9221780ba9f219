//! Load, decide, append: how a command reaches an aggregate, with a bounded retry when another
//! writer was faster.

mod cause;
mod expected;
mod failure;
mod loaded;
mod loading;
mod shared;
mod unit;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;
use uuid::Uuid;

pub use self::cause::Cause;
pub use self::expected::ExpectedAt;
pub use self::failure::{ExecuteError, LoadError};
pub use self::loaded::Loaded;
pub use self::shared::SharedOutcome;
pub use self::unit::{Committed, UnitOfWork};
use self::unit::{Retries, Source};
use crate::admission::Admission;
use crate::cache::{AggregateCache, CacheOptions};
use crate::codec::Codec;
use crate::decider::Decider;
use crate::event::{Position, Revision, StreamName};
use crate::keys::SecretKey;
use crate::lease::RuntimeOptions;
use crate::seams::SharedClock;
use crate::snapshot::{SnapshotStore, Snapshots, SnapshotsUnavailable};
use crate::store::{AppendError, EventStore};

/// Name of this system in `origin_system`.
pub const ORIGIN: &str = "bascule";

/// What modules are handed to do their work with. Cheap to clone; clones share what is in memory.
#[derive(Clone)]
pub struct Environment {
    /// The event store.
    pub store: Arc<dyn EventStore>,
    /// Encodes and decodes events.
    pub codec: Codec,
    /// Tells the time.
    pub clock: SharedClock,
    /// Key of the digests for lookups by personal data.
    pub lookup_key: SecretKey,
    /// How this process runs its subscriptions.
    pub runtime: RuntimeOptions,
    incarnation: watch::Receiver<u64>,
    /// Whether something new may be begun.
    pub admission: Admission,
    aggregates: AggregateCache,
    snapshots: Snapshots,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executed {
    /// The last revision of the aggregate's stream, `None` when it has no event.
    pub revision: Option<Revision>,
    /// Everything this command wrote is at or before this position.
    pub position: Position,
    /// Id of the event there, `None` when there is none.
    pub event_id: Option<Uuid>,
    /// Whether it recorded anything now.
    pub recorded: bool,
}

/// A command that was carried out, with what it recorded.
#[derive(Debug, Clone)]
pub struct CarriedOut<E> {
    /// Where the aggregate stands now.
    pub executed: Executed,
    /// What was recorded now: nothing when the command was carried out before, too.
    pub events: Vec<E>,
}

/// What [`Environment::in_unit`] runs: one try to decide.
pub type Attempt<'w, T, R> = BoxFuture<'w, Result<T, ExecuteError<R>>>;

impl Environment {
    /// An environment without snapshots that keeps as many aggregates in memory as
    /// [`CacheOptions`] does by default.
    pub fn new(
        store: Arc<dyn EventStore>,
        codec: Codec,
        clock: SharedClock,
        lookup_key: SecretKey,
    ) -> Self {
        let aggregates = AggregateCache::new(CacheOptions::default());
        let (runtime, snapshots) = (RuntimeOptions::default(), Snapshots::new(None));
        let admission = Admission::default();
        let (codec, incarnation) = (codec.beside(&*store), store.watch_incarnation());
        Self {
            store,
            codec,
            clock,
            lookup_key,
            runtime,
            incarnation,
            admission,
            aggregates,
            snapshots,
        }
    }

    /// The same, running its subscriptions in another way than the usual one.
    pub fn with_runtime(self, runtime: RuntimeOptions) -> Self {
        Self { runtime, ..self }
    }

    /// The same, beginning nothing new while the gate is closed.
    pub fn with_admission(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }

    /// The same with another cache of its own.
    pub fn with_cache(self, options: CacheOptions) -> Self {
        Self { aggregates: AggregateCache::new(options), ..self }
    }

    /// The same with a place for snapshots.
    pub fn with_snapshots(self, store: Arc<dyn SnapshotStore>) -> Self {
        Self { snapshots: Snapshots::new(Some(store)), ..self }
    }

    /// Carries out a command on one aggregate, deciding again when another writer was faster.
    ///
    /// A cause that was carried out before is recognised by the id of its first event and changes
    /// nothing.
    pub async fn execute<D: Decider>(
        &self,
        id: D::Id,
        command: D::Command,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<Executed, ExecuteError<D::Refusal>> {
        Ok(self.carry_out::<D>(id, command, cause, expected).await?.executed)
    }

    /// [`Self::execute`], for a caller who needs to know what was recorded, too.
    pub async fn carry_out<D: Decider>(
        &self,
        id: D::Id,
        command: D::Command,
        cause: &Cause,
        expected: Option<ExpectedAt>,
    ) -> Result<CarriedOut<D::Event>, ExecuteError<D::Refusal>> {
        let (command, expected) = (&command, expected.as_ref());
        let attempt = self.in_unit(cause, |work| {
            Box::pin(async move {
                let loaded = work.load::<D>(id).await?;
                let events = work.decide(&loaded, command, expected).await?;
                Ok((loaded, events))
            })
        });
        let ((loaded, events), committed) = attempt.await?;
        let executed = committed.executed(&loaded);
        Ok(CarriedOut { executed, events: if executed.recorded { events } else { Vec::new() } })
    }

    /// [`Self::execute`] for a command that makes a new aggregate: it is decided without reading.
    /// Should the aggregate be there already, it is decided on that.
    pub async fn create<D: Decider>(
        &self,
        id: D::Id,
        command: D::Command,
        cause: &Cause,
    ) -> Result<Executed, ExecuteError<D::Refusal>> {
        let command = &command;
        let attempt = self.in_unit(cause, |work| {
            Box::pin(async move {
                let loaded = work.load_new::<D>(id).await?;
                work.decide(&loaded, command, None).await?;
                Ok(loaded)
            })
        });
        let (loaded, committed) = attempt.await?;
        Ok(committed.executed(&loaded))
    }

    /// Makes one decision over one or several aggregates and appends what it records, all or
    /// nothing; again when another writer was faster.
    ///
    /// The first attempt decides on what this process has in memory. If that ends in a refusal or
    /// records nothing, it is made again on what the log says: only an append proves that what was
    /// in memory was still true.
    pub async fn in_unit<'a, T, R: std::error::Error>(
        &'a self,
        cause: &'a Cause,
        mut attempt: impl for<'w> FnMut(&'w mut UnitOfWork<'a>) -> Attempt<'w, T, R>,
    ) -> Result<(T, Committed), ExecuteError<R>> {
        let mut retries = Retries::default();
        let mut source = Source::Memory;
        let mut met_its_ids = false;
        loop {
            let mut work = UnitOfWork::new(self, cause, source);
            let outcome = attempt(&mut work).await;
            source = Source::Log;
            if work.is_to_be_decided_again(&outcome) {
                continue;
            }
            let (value, assumes) = (outcome?, work.assumes());
            match work.commit().await {
                Ok(committed) if assumes && committed.is_repetition() => {}
                Ok(committed) => return Ok((value, committed)),
                // The cause was carried out meanwhile and decided otherwise: that is found done,
                // unless its events are elsewhere.
                Err(AppendError::IdempotencyMismatch { .. }) if !met_its_ids => met_its_ids = true,
                Err(AppendError::WrongExpectedRevision { .. } | AppendError::WentBack) => {
                    if !retries.again().await {
                        return Err(ExecuteError::Contention);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Forgets what is kept of a stream outside the log: its snapshot, and its state in this
    /// process's memory. Other processes forget it within a minute.
    pub async fn forget(&self, stream: &StreamName) -> Result<(), SnapshotsUnavailable> {
        self.aggregates.forget(stream);
        // One that is being written now would come back.
        self.snapshots.finish().await;
        self.snapshots.forget(stream).await
    }

    /// Forgets every aggregate and every key that this process has in memory: because keys were
    /// destroyed, and any of the aggregates may show what they opened.
    pub fn forget_memory(&self) {
        self.codec.forget_keys();
        self.aggregates.forget_all();
    }

    /// The incarnation of the log, see [`EventStore::watch_incarnation`].
    pub(crate) fn incarnation(&self) -> u64 {
        *self.incarnation.borrow()
    }

    /// Waits until the snapshots that are being written are written.
    pub async fn finish(&self) {
        self.snapshots.finish().await;
    }

    /// Whether anything becomes of an aggregate's state after its events are appended.
    fn remembers<D: Decider>(&self) -> bool {
        !self.aggregates.is_off() || self.snapshots.rule::<D>().is_some()
    }
}
