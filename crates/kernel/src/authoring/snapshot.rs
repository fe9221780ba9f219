//! Snapshots: the state of an aggregate stored beside the log, so that a long stream need not be
//! read from its beginning. Never the source of truth: a snapshot that is missing, damaged, of
//! another schema or of another log only costs time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::log::event::{Position, Revision, StreamName};
use crate::log::store::BoxError;

/// How a decider's state is stored beside the log.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotRule<S> {
    /// Version of the state's schema. A snapshot of another version is ignored and replaced.
    pub version: u32,
    /// Number of events between snapshots; at least 1.
    pub every: u64,
    /// Returns the data subject whose key seals the state's personal values, `None` if it has none.
    pub data_subject: fn(&StreamName, &S) -> Option<Uuid>,
    /// Returns the state as JSON, personal values unsealed behind their marker.
    pub to_json: fn(&S) -> Result<Value, serde_json::Error>,
    /// Parses the result of [`Self::to_json`] in this version.
    pub from_json: fn(Value) -> Result<S, serde_json::Error>,
}

impl<S: Serialize + DeserializeOwned> SnapshotRule<S> {
    /// Creates a rule that uses serde's form of the state. Raise the version whenever the form or
    /// its meaning changes.
    pub fn new(
        version: u32,
        every: u64,
        data_subject: fn(&StreamName, &S) -> Option<Uuid>,
    ) -> Self {
        Self {
            version,
            every,
            data_subject,
            to_json: |state| serde_json::to_value(state),
            from_json: |data| serde_json::from_value(data),
        }
    }
}

/// The state of an aggregate at a revision of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The stream it was folded from. A stream has one snapshot, the latest.
    pub stream: StreamName,
    /// Version of the state's schema.
    pub version: u32,
    /// The log it was read from.
    pub log_id: Uuid,
    /// The last revision that it covers.
    pub revision: Revision,
    /// Position of that revision in the log.
    pub position: Position,
    /// Id of the event at that position: a restored log may hold another event there, or none.
    pub event_id: Uuid,
    /// The state as JSON text, personal values sealed.
    pub state: Vec<u8>,
}

/// The snapshot store is not available at the moment.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot store is unavailable")]
pub struct SnapshotsUnavailable(#[source] pub BoxError);

/// Stores snapshots.
#[async_trait]
pub trait SnapshotStore: Send + Sync + 'static {
    /// Returns the snapshot of a stream.
    async fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, SnapshotsUnavailable>;

    /// Stores a snapshot and replaces the stream's earlier one. Of two with the same schema and log,
    /// the later revision stays. It need not survive a crash.
    async fn save(&self, snapshot: &Snapshot) -> Result<(), SnapshotsUnavailable>;

    /// Removes the snapshot of a stream.
    async fn forget(&self, stream: &StreamName) -> Result<(), SnapshotsUnavailable>;
}

/// An in-memory snapshot store, for tests.
#[derive(Debug, Default)]
pub struct MemorySnapshots(Mutex<HashMap<StreamName, Snapshot>>);

impl MemorySnapshots {
    fn snapshots(&self) -> MutexGuard<'_, HashMap<StreamName, Snapshot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SnapshotStore for MemorySnapshots {
    async fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, SnapshotsUnavailable> {
        Ok(self.snapshots().get(stream).cloned())
    }

    async fn save(&self, snapshot: &Snapshot) -> Result<(), SnapshotsUnavailable> {
        let mut snapshots = self.snapshots();
        let is_earlier = snapshots.get(&snapshot.stream).is_some_and(|kept| {
            (kept.log_id, kept.version) == (snapshot.log_id, snapshot.version)
                && kept.revision >= snapshot.revision
        });
        if !is_earlier {
            snapshots.insert(snapshot.stream.clone(), snapshot.clone());
        }
        Ok(())
    }

    async fn forget(&self, stream: &StreamName) -> Result<(), SnapshotsUnavailable> {
        self.snapshots().remove(stream);
        Ok(())
    }
}
