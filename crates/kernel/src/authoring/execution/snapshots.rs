//! When snapshots are written and when they are valid.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::Loaded;
use crate::authoring::codec::{Codec, CodecError, EventSet as _, purpose_of};
use crate::authoring::decider::Decider;
use crate::authoring::snapshot::{Snapshot, SnapshotRule, SnapshotStore, SnapshotsUnavailable};
use crate::log::complaint::discreet;
use crate::log::event::StreamName;
use crate::log::keys::KeyHolder;
use crate::log::outage::Outage;
use crate::log::store::{BoxError, EventStore, ReadError};

/// Maximum number of snapshots written at once. Further ones are skipped until a later event:
/// snapshots must never slow commands down.
const AT_ONCE: u32 = 4;

static UNWRITTEN: Outage = Outage::new("snapshots_unwritten", "snapshots cannot be written");
static UNREAD: Outage = Outage::new("snapshots_unread", "snapshots cannot be read");

/// The snapshots of this process's aggregates. Clones share the state.
#[derive(Clone)]
pub(crate) struct Snapshots {
    store: Option<Arc<dyn SnapshotStore>>,
    writers: Arc<Semaphore>,
}

impl Snapshots {
    pub(crate) fn new(store: Option<Arc<dyn SnapshotStore>>) -> Self {
        Self { store, writers: Arc::new(Semaphore::new(AT_ONCE as usize)) }
    }

    /// Returns the decider's rule if there is a snapshot store.
    pub(crate) fn rule<D: Decider>(&self) -> Option<SnapshotRule<D::State>> {
        let rule = self.store.as_ref().and_then(|_| D::snapshots())?;
        Some(SnapshotRule { every: rule.every.max(1), ..rule })
    }

    /// Starts writing a snapshot if one is due. The write runs in the background: commands do not
    /// depend on it, and a failure is only reported.
    pub(crate) fn keep_if_due<D: Decider>(
        &self,
        loaded: &mut Loaded<D>,
        codec: &Codec,
        log: &dyn EventStore,
    ) {
        let (Some(rule), Some(store)) = (self.rule::<D>(), &self.store) else { return };
        if loaded.events_since_snapshot() < rule.every {
            return;
        }
        let Ok(writer) = Arc::clone(&self.writers).try_acquire_owned() else { return };
        let Some((revision, event_id)) = loaded.last_event() else { return };
        loaded.snapshot_follows();
        let (store, codec) = (Arc::clone(store), codec.clone());
        let (stream, position) = (loaded.stream.clone(), loaded.position);
        let state = loaded.state.clone();
        let (log_id, current, of) = (log.log_id(), log.watch_incarnation(), loaded.incarnation());
        tokio::spawn(async move {
            let written = async {
                let state = seal::<D>(&codec, &rule, &stream, &state, event_id).await?;
                if *current.borrow() != of {
                    return Err(ReadError::WentBack.into());
                }
                let version = rule.version;
                let snapshot =
                    Snapshot { stream, version, log_id, revision, position, event_id, state };
                store.save(&snapshot).await.map_err(BoxError::from)
            };
            match written.await {
                Ok(()) => {
                    UNWRITTEN.ends(D::CATEGORY);
                    count::<D>("written");
                }
                Err(error) => {
                    UNWRITTEN.occurs(D::CATEGORY, &*error);
                    count::<D>("failed");
                }
            }
            drop(writer);
        });
    }

    /// Returns the state of a stream's snapshot if it has one that this release reads. The caller
    /// checks whether the log still contains its last event.
    pub(crate) async fn find<D: Decider>(
        &self,
        rule: &SnapshotRule<D::State>,
        stream: &StreamName,
        codec: &Codec,
        log_id: Uuid,
        incarnation: u64,
    ) -> Option<Loaded<D>> {
        let snapshot = match self.store.as_ref()?.load(stream).await {
            Ok(snapshot) => {
                UNREAD.ends(D::CATEGORY);
                snapshot?
            }
            Err(error) => {
                UNREAD.occurs(D::CATEGORY, &error);
                count::<D>("failed");
                return None;
            }
        };
        if (snapshot.log_id, snapshot.version) != (log_id, rule.version) {
            count::<D>("outdated");
            return None;
        }
        match open::<D>(codec, rule, &snapshot).await {
            Ok(state) => {
                count::<D>("read");
                Some(Loaded::from_snapshot(&snapshot, state, incarnation))
            }
            Err(error) => {
                tracing::warn!(
                    category = D::CATEGORY,
                    error = &*error as &dyn std::error::Error,
                    "cannot read a snapshot; reading its stream from the beginning"
                );
                count::<D>("failed");
                None
            }
        }
    }

    /// Removes a stream's snapshot.
    pub(crate) async fn forget(&self, stream: &StreamName) -> Result<(), SnapshotsUnavailable> {
        match &self.store {
            Some(store) => store.forget(stream).await,
            None => Ok(()),
        }
    }

    /// Removes a stream's snapshot that belongs to another log.
    pub(crate) async fn discard<D: Decider>(&self, stream: &StreamName) {
        tracing::warn!(category = D::CATEGORY, "removing a snapshot that belongs to another log");
        count::<D>("outdated");
        if let Err(error) = self.forget(stream).await {
            // The next read finds it again.
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot remove the snapshot");
        }
    }

    /// Waits for the writes in progress.
    pub(crate) async fn finish(&self) {
        // Acquiring fails only on a closed semaphore, and this one is never closed.
        drop(self.writers.acquire_many(AT_ONCE).await);
    }
}

fn count<D: Decider>(outcome: &'static str) {
    metrics::counter!("aggregate_snapshots_total", "category" => D::CATEGORY, "outcome" => outcome)
        .increment(1);
}

/// Binds sealed values to the snapshot: they open in no event, and an event's values do not open
/// here.
fn seal_context(event_id: Uuid) -> Uuid {
    Uuid::new_v5(&event_id, b"snapshot")
}

async fn seal<D: Decider>(
    codec: &Codec,
    rule: &SnapshotRule<D::State>,
    stream: &StreamName,
    state: &D::State,
    event_id: Uuid,
) -> Result<Vec<u8>, BoxError> {
    let mut data = (rule.to_json)(state)?;
    // The purpose is the module, as for its events.
    let purpose =
        D::Event::types().first().map_or(D::CATEGORY, |event_type| purpose_of(event_type));
    let holder = || {
        let event_type = || format!("the snapshot of a {}", D::CATEGORY);
        let subject = (rule.data_subject)(stream, state)
            .ok_or_else(|| CodecError::NoDataSubject { event_type: event_type() })?;
        Ok(KeyHolder { subject, purpose: purpose.to_owned() })
    };
    codec.seal(&mut data, holder, seal_context(event_id)).await?;
    Ok(serde_json::to_vec(&data)?)
}

async fn open<D: Decider>(
    codec: &Codec,
    rule: &SnapshotRule<D::State>,
    snapshot: &Snapshot,
) -> Result<D::State, BoxError> {
    let mut data: Value = serde_json::from_slice(&snapshot.state)?;
    codec.open(&mut data, seal_context(snapshot.event_id)).await?;
    Ok((rule.from_json)(data).map_err(|error| discreet(&error))?)
}
