//! Plans a group of appends against the current streams: the rules for expected revisions, repeated
//! event ids and all-or-nothing, shared by the stores that check them in this process.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::event::{NewEvent, Position, Revision, StreamName};
use super::store::{AppendError, AppendRequest, Appended, EventLocation};

/// Default maximum size of an event, in bytes.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// The places of event ids that their streams already contain.
pub type KnownEvents = HashMap<(StreamName, Uuid), EventLocation>;

/// Checks requests without reading the store.
pub fn validate(requests: &[AppendRequest], max_event_bytes: usize) -> Result<(), AppendError> {
    if requests.is_empty() {
        return Err(AppendError::Invalid("expected at least one stream, found none".to_owned()));
    }
    let mut streams = HashSet::new();
    for request in requests {
        if !streams.insert(&request.stream) {
            let problem = format!("stream {} is named twice", request.stream);
            return Err(AppendError::Invalid(problem));
        }
        if request.events.is_empty() {
            let problem = format!("expected at least one event for {}", request.stream);
            return Err(AppendError::Invalid(problem));
        }
        let mut ids = HashSet::new();
        for event in &request.events {
            if !ids.insert(event.id) {
                let problem = format!("event id {} is used twice", event.id);
                return Err(AppendError::Invalid(problem));
            }
            let size = event.size();
            if size > max_event_bytes {
                return Err(AppendError::EventTooLarge {
                    event_id: event.id,
                    size,
                    limit: max_event_bytes,
                });
            }
        }
    }
    Ok(())
}

/// An event with its place in the log.
#[derive(Debug)]
pub struct PlannedEvent<'a> {
    /// The event's stream.
    pub stream: &'a StreamName,
    /// The event's revision in the stream.
    pub revision: Revision,
    /// The event's position in the log.
    pub position: Position,
    /// The event.
    pub event: &'a NewEvent,
}

/// The state of the log while a group of appends is planned, one after the other.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    head: Position,
    /// The last revision of every stream of the group, `None` if it has no event.
    revisions: HashMap<StreamName, Option<Revision>>,
    known: KnownEvents,
    /// The events to write, in order.
    pub events: Vec<PlannedEvent<'a>>,
}

impl<'a> Plan<'a> {
    /// Creates a plan on top of a log: its head, the revisions of every stream of the group (a
    /// missing stream has no event), and which of the group's event ids already exist.
    pub fn new(
        head: Position,
        revisions: HashMap<StreamName, Option<Revision>>,
        known: KnownEvents,
    ) -> Self {
        Self { head, revisions, known, events: Vec::new() }
    }

    /// Returns the position of the last event after all planned writes.
    pub fn head(&self) -> Position {
        self.head
    }

    /// Returns the last revision of every stream after all planned writes.
    pub fn revisions(&self) -> impl Iterator<Item = (&StreamName, Revision)> {
        self.revisions.iter().filter_map(|(stream, revision)| Some((stream, (*revision)?)))
    }

    /// Plans one `append_many`, all or nothing: either all of its events are new and join the plan,
    /// or all exist already and none does. An error leaves the plan unchanged, so that a conflict
    /// fails one request and no other of the group.
    pub fn add(&mut self, requests: &'a [AppendRequest]) -> Result<Vec<Appended>, AppendError> {
        if let Some(first_time) = self.repetition(requests)? {
            return Ok(first_time);
        }
        for request in requests {
            let actual = self.revision(&request.stream);
            if !request.expected.is_met_by(actual) {
                return Err(AppendError::WrongExpectedRevision {
                    stream: request.stream.clone(),
                    expected: request.expected,
                    actual,
                });
            }
        }
        Ok(requests.iter().map(|request| self.place(request)).collect())
    }

    fn revision(&self, stream: &StreamName) -> Option<Revision> {
        self.revisions.get(stream).copied().flatten()
    }

    /// Returns the first result if every event of the requests already exists, in this order.
    fn repetition(&self, requests: &[AppendRequest]) -> Result<Option<Vec<Appended>>, AppendError> {
        let mut results = Vec::with_capacity(requests.len());
        let mut unknown = None;
        let mut known = None;
        for request in requests {
            let mut last: Option<EventLocation> = None;
            for event in &request.events {
                let named = (request.stream.clone(), event.id);
                match self.known.get(&named) {
                    Some(found) if last.is_none_or(|last| last.revision + 1 == found.revision) => {
                        last = Some(*found);
                        known = Some(named);
                    }
                    Some(_) => return Err(mismatch(named)),
                    None => unknown = Some(named),
                }
            }
            results.extend(last.map(|EventLocation { revision, position }| Appended {
                revision,
                position,
                repeated: true,
            }));
        }
        match (known, unknown) {
            (None, _) => Ok(None),
            (Some(_), None) => Ok(Some(results)),
            (Some(_), Some(unknown)) => Err(mismatch(unknown)),
        }
    }

    fn place(&mut self, request: &'a AppendRequest) -> Appended {
        let mut revision = self.revision(&request.stream);
        for event in &request.events {
            let next = revision.map_or(0, |revision| revision + 1);
            revision = Some(next);
            self.head += 1;
            let place = EventLocation { revision: next, position: self.head };
            self.known.insert((request.stream.clone(), event.id), place);
            self.events.push(PlannedEvent {
                stream: &request.stream,
                revision: next,
                position: self.head,
                event,
            });
        }
        self.revisions.insert(request.stream.clone(), revision);
        Appended { revision: revision.unwrap_or(0), position: self.head, repeated: false }
    }
}

fn mismatch((stream, event_id): (StreamName, Uuid)) -> AppendError {
    AppendError::IdempotencyMismatch { stream, event_id }
}
