//! An in-memory event store for tests: the same contract, but nothing is durable.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use super::planning::{MAX_EVENT_BYTES, Plan, validate};
use super::seams::{SharedClock, new_id};
use super::store::{
    AppendError, AppendRequest, Appended, EventLocation, EventStore, LogPage, PAGE_BYTES, ReadError,
};

#[derive(Debug, Default)]
struct Log {
    /// Indexed by position, from 1.
    entries: Vec<Entry>,
    /// Indexes of a stream's events in `entries`, by revision.
    streams: HashMap<StreamName, Vec<usize>>,
}

#[derive(Debug)]
enum Entry {
    Event(Arc<RecordedEvent>),
    /// The id that remains of a removed event.
    Scavenged(Uuid),
}

impl Entry {
    fn event(&self) -> Option<&Arc<RecordedEvent>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Scavenged(_) => None,
        }
    }

    fn id(&self) -> Uuid {
        match self {
            Self::Event(event) => event.id,
            Self::Scavenged(id) => *id,
        }
    }
}

impl Log {
    /// Returns the events of a stream from a revision on, without the removed ones.
    fn stream(&self, name: &StreamName, from: usize) -> impl Iterator<Item = &Arc<RecordedEvent>> {
        let places = self.streams.get(name).map_or(&[][..], Vec::as_slice);
        places.iter().skip(from).filter_map(|place| self.entries[*place].event())
    }

    /// Returns the events of the log, without the removed ones.
    fn events(&self) -> impl Iterator<Item = &Arc<RecordedEvent>> {
        self.entries.iter().filter_map(Entry::event)
    }

    fn head(&self) -> Position {
        self.entries.len() as Position
    }
}

/// An in-memory event store.
pub struct MemoryStore {
    log_id: Uuid,
    clock: SharedClock,
    log: Mutex<Log>,
    head: watch::Sender<Position>,
    incarnation: watch::Sender<u64>,
    stream_reads: AtomicUsize,
    stream_events: AtomicUsize,
}

/// Counts reads of single streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamReads {
    /// Number of reads.
    pub reads: usize,
    /// Number of events read.
    pub events: usize,
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new(clock: SharedClock) -> Self {
        Self {
            log_id: new_id(),
            clock,
            log: Mutex::default(),
            head: watch::channel(0).0,
            incarnation: watch::channel(0).0,
            stream_reads: AtomicUsize::new(0),
            stream_events: AtomicUsize::new(0),
        }
    }

    /// Returns the stream reads since the last call: tests use it to measure what a command costs.
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

    /// Returns the same store under another log id, like a restored backup.
    pub fn with_log_id(self, log_id: Uuid) -> Self {
        Self { log_id, ..self }
    }

    /// Drops every event after a position, like a failover to a lagging standby.
    pub fn go_back_to(&self, position: Position) {
        let mut log = self.log();
        let left = usize::try_from(position).unwrap_or(usize::MAX);
        log.entries.truncate(left);
        log.streams.retain(|_, places| {
            places.retain(|place| *place < left);
            !places.is_empty()
        });
        self.head.send_replace(log.head());
        self.incarnation.send_modify(|incarnation| *incarnation += 1);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place_of(event: &RecordedEvent) -> EventLocation {
    EventLocation { revision: event.revision, position: event.position }
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
            for event in log.stream(&request.stream, 0) {
                known.insert((request.stream.clone(), event.id), place_of(event));
            }
        }
        let mut plan = Plan::new(log.head(), revisions, known);
        let appended = plan.add(&requests)?;
        let places: Vec<_> =
            plan.events.iter().map(|event| (event.position, event.revision)).collect();
        let mut places = places.into_iter();
        for request in requests {
            let placed = request.events.into_iter().zip(&mut places);
            for (event, (position, revision)) in placed {
                let place = log.entries.len();
                log.streams.entry(request.stream.clone()).or_default().push(place);
                let stream = request.stream.clone();
                let event = event.recorded(position, stream, revision, recorded_at);
                log.entries.push(Entry::Event(Arc::new(event)));
            }
        }
        self.head.send_replace(log.head());
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let log = self.log();
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let events: Vec<_> = log.stream(stream, from).take(limit).cloned().collect();
        self.count_read(events.len());
        Ok(events)
    }

    async fn read_last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        let log = self.log();
        let last = log.stream(stream, 0).last().cloned();
        self.count_read(last.iter().count());
        Ok(last)
    }

    async fn find_in_stream(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<EventLocation>, ReadError> {
        let log = self.log();
        self.count_read(0);
        let mut events = log.stream(stream, 0);
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
        let mut page = LogPage::nothing_after(after);
        let mut bytes = 0;
        for entry in log.entries.iter().skip(from) {
            if page.events.len() == limit || bytes >= PAGE_BYTES {
                break;
            }
            page.scan(page.scanned_to + 1, entry.id());
            if let Some(event) = entry.event().filter(|event| filter.matches(&event.event_type)) {
                bytes += event.size();
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
        Ok(log.events().filter(of_it).take(limit).cloned().collect())
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        let place = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        Ok(place.and_then(|place| self.log().entries.get(place).map(Entry::id)))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.log().head())
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn watch_incarnation(&self) -> watch::Receiver<u64> {
        self.incarnation.subscribe()
    }

    async fn scavenge(
        &self,
        stream: &StreamName,
        below: Revision,
        limit: usize,
    ) -> Result<u64, AppendError> {
        let mut log = self.log();
        let Some((_, places)) = log.streams.get(stream).and_then(|places| places.split_last())
        else {
            return Ok(0);
        };
        let below = usize::try_from(below).unwrap_or(usize::MAX);
        let there = |place: &usize| log.entries[*place].event().is_some();
        let places: Vec<usize> =
            places.iter().take(below).copied().filter(there).take(limit).collect();
        for place in &places {
            let Some(id) = log.entries[*place].event().map(|event| event.id) else { continue };
            log.entries[*place] = Entry::Scavenged(id);
        }
        Ok(places.len() as u64)
    }
}
