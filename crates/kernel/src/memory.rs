//! An event store in memory, for tests: the same promises, but nothing is durable.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use crate::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use crate::planning::{MAX_EVENT_BYTES, Plan, validate};
use crate::seams::{SharedClock, new_id};
use crate::store::{AppendError, AppendRequest, Appended, EventStore, LogPage, Place, ReadError};

#[derive(Debug, Default)]
struct Log {
    events: Vec<Arc<RecordedEvent>>,
    streams: HashMap<StreamName, Vec<usize>>,
}

/// An event store in memory.
pub struct MemoryStore {
    log_id: Uuid,
    clock: SharedClock,
    log: Mutex<Log>,
    head: watch::Sender<Position>,
    stream_reads: AtomicUsize,
    stream_events: AtomicUsize,
}

/// What was read of single streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamReads {
    /// How often.
    pub reads: usize,
    /// How many events that gave.
    pub events: usize,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(clock: SharedClock) -> Self {
        Self {
            log_id: new_id(),
            clock,
            log: Mutex::default(),
            head: watch::channel(0).0,
            stream_reads: AtomicUsize::new(0),
            stream_events: AtomicUsize::new(0),
        }
    }

    /// What was read of single streams since it was last asked: how a test sees what a command
    /// costs.
    pub fn take_stream_reads(&self) -> StreamReads {
        StreamReads {
            reads: self.stream_reads.swap(0, Ordering::Relaxed),
            events: self.stream_events.swap(0, Ordering::Relaxed),
        }
    }

    fn count_read(&self, events: usize) {
        self.stream_reads.fetch_add(1, Ordering::Relaxed);
        self.stream_events.fetch_add(events, Ordering::Relaxed);
    }

    /// The same store under the id of another log: what a restored backup looks like.
    pub fn with_log_id(self, log_id: Uuid) -> Self {
        Self { log_id, ..self }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place_of(event: &RecordedEvent) -> Place {
    Place { revision: event.revision, position: event.position }
}

#[async_trait]
impl EventStore for MemoryStore {
    fn log_id(&self) -> Uuid {
        self.log_id
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        validate(&requests, MAX_EVENT_BYTES)?;
        let recorded_at = self.clock.now();
        let mut log = self.log();
        let mut revisions = HashMap::new();
        let mut known = HashMap::new();
        for request in &requests {
            let places = log.streams.get(&request.stream).map_or(&[][..], Vec::as_slice);
            revisions.insert(request.stream.clone(), (places.len() as Revision).checked_sub(1));
            for place in places {
                let event = &log.events[*place];
                known.insert((request.stream.clone(), event.id), place_of(event));
            }
        }
        let mut plan = Plan::new(log.events.len() as Position, revisions, known);
        let appended = plan.add(&requests)?;
        let places: Vec<_> =
            plan.events.iter().map(|event| (event.position, event.revision)).collect();
        let mut places = places.into_iter();
        for request in requests {
            let placed = request.events.into_iter().zip(&mut places);
            for (event, (position, revision)) in placed {
                let place = log.events.len();
                log.streams.entry(request.stream.clone()).or_default().push(place);
                let stream = request.stream.clone();
                log.events.push(Arc::new(event.recorded(position, stream, revision, recorded_at)));
            }
        }
        self.head.send_replace(log.events.len() as Position);
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let log = self.log();
        let places = log.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let wanted = places.iter().skip(from).take(limit);
        let events: Vec<_> = wanted.map(|place| Arc::clone(&log.events[*place])).collect();
        self.count_read(events.len());
        Ok(events)
    }

    async fn read_last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        let log = self.log();
        let place = log.streams.get(stream).and_then(|places| places.last());
        self.count_read(place.iter().count());
        Ok(place.map(|place| Arc::clone(&log.events[*place])))
    }

    async fn find_in_stream(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<Place>, ReadError> {
        let log = self.log();
        let places = log.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let mut events = places.iter().map(|place| &log.events[*place]);
        self.count_read(0);
        Ok(events.find(|event| event.id == event_id).map(|event| place_of(event)))
    }

    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        let log = self.log();
        let from = usize::try_from(after).unwrap_or(usize::MAX);
        let mut page = LogPage { events: Vec::new(), scanned_to: after };
        for event in log.events.iter().skip(from) {
            if page.events.len() == limit {
                break;
            }
            page.scanned_to = event.position;
            if filter.matches(&event.event_type) {
                page.events.push(Arc::clone(event));
            }
        }
        Ok(page)
    }

    async fn read_correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let log = self.log();
        let of_it = |event: &&Arc<RecordedEvent>| {
            event.position > after && event.metadata.correlation_id == correlation_id
        };
        Ok(log.events.iter().filter(of_it).take(limit).cloned().collect())
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        let place = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        Ok(place.and_then(|place| self.log().events.get(place).map(|event| event.id)))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.log().events.len() as Position)
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }
}
