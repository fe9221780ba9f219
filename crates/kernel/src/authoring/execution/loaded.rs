//! An aggregate as read from the log, or as evolved by its own new events.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::Executed;
use crate::authoring::cache::About;
use crate::authoring::codec::Codec;
use crate::authoring::decider::Decider;
use crate::authoring::execution::LoadError;
use crate::authoring::snapshot::Snapshot;
use crate::log::event::{NewEvent, Position, RecordedEvent, Revision, StreamName};

/// The part of its stream that an aggregate is folded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The whole stream.
    Whole,
    /// Only the last event.
    LastEvent,
}

/// An aggregate at its current state in the log, or a recent one.
pub struct Loaded<D: Decider> {
    /// Its stream.
    pub stream: StreamName,
    /// Its state.
    pub state: D::State,
    /// The last revision of its stream.
    pub revision: Option<Revision>,
    /// Position of its last event, 0 if it has none.
    pub position: Position,
    pub(super) extent: Extent,
    /// The incarnation of the log when the read began.
    pub(super) incarnation: u64,
    event_ids: KnownIds,
    /// When the first of its events was read.
    read_at: Instant,
    /// Size in bytes of the events, or of the snapshot and the events since, that it was folded
    /// from.
    bytes: usize,
    /// The number of events that its last snapshot covers.
    in_snapshot: u64,
}

// Not derived: `derive` would require `Clone` of the decider, which is never a value.
impl<D: Decider> Clone for Loaded<D> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            state: self.state.clone(),
            event_ids: self.event_ids.clone(),
            ..*self
        }
    }
}

impl<D: Decider> fmt::Debug for Loaded<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Loaded")
            .field("stream", &self.stream)
            .field("state", &self.state)
            .field("revision", &self.revision)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl<D: Decider> Loaded<D> {
    /// Creates an aggregate without events.
    pub(super) fn empty(stream: StreamName, extent: Extent, incarnation: u64) -> Self {
        Self {
            stream,
            state: D::State::default(),
            revision: None,
            position: 0,
            extent,
            incarnation,
            event_ids: KnownIds::default(),
            read_at: Instant::now(),
            bytes: 0,
            in_snapshot: 0,
        }
    }

    pub(crate) fn from_snapshot(snapshot: &Snapshot, state: D::State, incarnation: u64) -> Self {
        let mut event_ids = KnownIds::default();
        event_ids.add(snapshot.revision, snapshot.event_id);
        Self {
            state,
            revision: Some(snapshot.revision),
            position: snapshot.position,
            event_ids,
            bytes: snapshot.state.len(),
            in_snapshot: snapshot.revision + 1,
            ..Self::empty(snapshot.stream.clone(), Extent::Whole, incarnation)
        }
    }

    /// Applies the next event of its stream.
    pub(super) async fn take(
        &mut self,
        recorded: Arc<RecordedEvent>,
        codec: &Codec,
    ) -> Result<(), LoadError> {
        let (revision, position, id) = (recorded.revision, recorded.position, recorded.id);
        let bytes = recorded.data.len();
        let envelope = codec.decode::<D::Event>(recorded).await?;
        self.state = D::evolve(std::mem::take(&mut self.state), &envelope.event);
        self.moved(revision, id, bytes);
        self.position = position;
        Ok(())
    }

    /// Returns the aggregate after its own new events, once they are in the log.
    pub(super) fn evolved(&self, events: &[D::Event], new_events: &[NewEvent]) -> Self {
        let mut evolved = self.clone();
        for (event, new_event) in events.iter().zip(new_events) {
            evolved.state = D::evolve(evolved.state, event);
            evolved.moved(evolved.next_revision(), new_event.id, new_event.data.len());
        }
        evolved
    }

    fn moved(&mut self, revision: Revision, event_id: Uuid, bytes: usize) {
        self.revision = Some(revision);
        self.event_ids.add(revision, event_id);
        self.bytes += bytes;
    }

    /// Returns the revision of its next event.
    pub(super) fn next_revision(&self) -> Revision {
        self.revision.map_or(0, |revision| revision + 1)
    }

    /// Returns its last event.
    pub(crate) fn last_event(&self) -> Option<(Revision, Uuid)> {
        self.revision.zip(self.event_ids.last.last().copied())
    }

    /// Returns whether its stream contains an event of this id; `None` if later events hide the
    /// answer.
    pub(super) fn has(&self, event_id: Uuid) -> Option<bool> {
        let found = self.event_ids.last.contains(&event_id);
        (found || self.event_ids.complete).then_some(found)
    }

    /// Returns the incarnation of the log when the read began.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    pub(crate) fn events_since_snapshot(&self) -> u64 {
        match self.extent {
            Extent::Whole => self.next_revision().saturating_sub(self.in_snapshot),
            // The stream is never read as a whole.
            Extent::LastEvent => 0,
        }
    }

    /// Notes that a snapshot of the current state is being written.
    pub(crate) fn snapshot_follows(&mut self) {
        self.in_snapshot = self.next_revision();
    }

    /// Returns the cache's description of it, `None` if it is not cached.
    pub(super) fn about(&self) -> Option<About> {
        let bytes = self.bytes + size_of::<Self>() + self.event_ids.last.len() * size_of::<Uuid>();
        let Self { incarnation, read_at, .. } = *self;
        Some(About { revision: self.revision?, incarnation, read_at, bytes })
    }

    /// Returns its place for a command that recorded nothing.
    pub fn unchanged(&self) -> Executed {
        let event_id = self.last_event().map(|(_, event_id)| event_id);
        let Self { revision, position, .. } = *self;
        Executed { revision, position, event_id, recorded: false }
    }
}

/// The ids of the last events of a stream; of all events while it is short.
#[derive(Debug, Clone)]
struct KnownIds {
    last: Vec<Uuid>,
    complete: bool,
}

impl Default for KnownIds {
    fn default() -> Self {
        Self { last: Vec::new(), complete: true }
    }
}

impl KnownIds {
    const MOST: usize = 128;

    fn add(&mut self, revision: Revision, event_id: Uuid) {
        if self.last.len() == Self::MOST {
            self.last.drain(..Self::MOST / 2);
        }
        self.last.push(event_id);
        self.complete = self.last.len() as u64 == revision + 1;
    }
}
