//! What modules do their work with.

use std::sync::Arc;

use tokio::sync::watch;

use super::snapshots::Snapshots;
use crate::authoring::admission::Admission;
use crate::authoring::cache::{AggregateCache, CacheOptions};
use crate::authoring::codec::Codec;
use crate::authoring::decider::Decider;
use crate::authoring::lease::RuntimeOptions;
use crate::authoring::snapshot::{SnapshotStore, SnapshotsUnavailable};
use crate::log::event::StreamName;
use crate::log::keys::SecretKey;
use crate::log::seams::SharedClock;
use crate::log::store::EventStore;

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
    pub(super) incarnation: watch::Receiver<u64>,
    /// Whether something new may be begun.
    pub admission: Admission,
    pub(super) aggregates: AggregateCache,
    pub(super) snapshots: Snapshots,
}

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
    pub(super) fn remembers<D: Decider>(&self) -> bool {
        !self.aggregates.is_off() || self.snapshots.rule::<D>().is_some()
    }
}
