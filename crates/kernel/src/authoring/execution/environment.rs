//! The services that modules work with.

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

/// The services that modules receive. Cheap to clone; clones share the in-memory state.
#[derive(Clone)]
pub struct Environment {
    /// The event store.
    pub store: Arc<dyn EventStore>,
    /// Encodes and decodes events.
    pub codec: Codec,
    /// The clock.
    pub clock: SharedClock,
    /// The key of the digests for lookups by personal data.
    pub lookup_key: SecretKey,
    /// How this process runs its subscriptions.
    pub runtime: RuntimeOptions,
    pub(super) incarnation: watch::Receiver<u64>,
    /// Decides whether new business is admitted.
    pub admission: Admission,
    pub(super) aggregates: AggregateCache,
    pub(super) snapshots: Snapshots,
}

impl Environment {
    /// Creates an environment without snapshots and with a cache of the default [`CacheOptions`].
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

    /// Returns the environment with these options for running subscriptions.
    pub fn with_runtime(self, runtime: RuntimeOptions) -> Self {
        Self { runtime, ..self }
    }

    /// Returns the environment with this admission gate.
    pub fn with_admission(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }

    /// Returns the environment with a new cache of its own.
    pub fn with_cache(self, options: CacheOptions) -> Self {
        Self { aggregates: AggregateCache::new(options), ..self }
    }

    /// Returns the environment with a snapshot store.
    pub fn with_snapshots(self, store: Arc<dyn SnapshotStore>) -> Self {
        Self { snapshots: Snapshots::new(Some(store)), ..self }
    }

    /// Removes what is stored of a stream outside the log: its snapshot, and its state in this
    /// process's memory. Other processes drop it within a minute.
    pub async fn forget(&self, stream: &StreamName) -> Result<(), SnapshotsUnavailable> {
        self.aggregates.forget(stream);
        // A snapshot being written now would reappear.
        self.snapshots.finish().await;
        self.snapshots.forget(stream).await
    }

    /// Drops every cached aggregate and key of this process: after keys were destroyed, any
    /// aggregate may hold values that they opened.
    pub fn forget_memory(&self) {
        self.codec.forget_keys();
        self.aggregates.forget_all();
    }

    /// Returns the incarnation of the log, see [`EventStore::watch_incarnation`].
    pub(crate) fn incarnation(&self) -> u64 {
        *self.incarnation.borrow()
    }

    /// Waits for the snapshots that are being written.
    pub async fn finish(&self) {
        self.snapshots.finish().await;
    }

    /// Returns whether an aggregate's state is needed after its events are appended.
    pub(super) fn remembers<D: Decider>(&self) -> bool {
        !self.aggregates.is_off() || self.snapshots.rule::<D>().is_some()
    }
}
