//! The event store's port: the contract of every backend, and its errors.
//!
//! The contract is one test suite in `testkit`, which runs against every backend.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::event::{EventFilter, NewEvent, Position, RecordedEvent, Revision, StreamName};

/// Any error of an outer layer, kept as the source of a kernel error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The writer's expectation of a stream; the append fails if it is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedRevision {
    /// No expectation.
    Any,
    /// The stream has no event yet.
    NoStream,
    /// The stream has at least one event.
    Exists,
    /// The last event has this revision.
    Revision(Revision),
}

impl ExpectedRevision {
    /// Expects exactly the state that was read: a revision, or no stream.
    pub fn exactly(revision: Option<Revision>) -> Self {
        revision.map_or(Self::NoStream, Self::Revision)
    }

    /// Returns whether a stream whose last revision is `actual` meets the expectation.
    pub fn is_met_by(self, actual: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual.is_none(),
            Self::Exists => actual.is_some(),
            Self::Revision(expected) => actual == Some(expected),
        }
    }
}

impl std::fmt::Display for ExpectedRevision {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => formatter.write_str("any revision"),
            Self::NoStream => formatter.write_str("no stream"),
            Self::Exists => formatter.write_str("an existing stream"),
            Self::Revision(revision) => write!(formatter, "revision {revision}"),
        }
    }
}

/// Events to append to one stream.
#[derive(Debug, Clone)]
pub struct AppendRequest {
    /// The stream.
    pub stream: StreamName,
    /// The expected revision of the stream.
    pub expected: ExpectedRevision,
    /// At least one event.
    pub events: Vec<NewEvent>,
}

/// The location of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLocation {
    /// Revision in its stream.
    pub revision: Revision,
    /// Position in the log.
    pub position: Position,
}

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Revision of the last event of the request.
    pub revision: Revision,
    /// Position of the last event of the request.
    pub position: Position,
    /// Whether events of these ids already existed, so that nothing was written. Their content may
    /// differ from this request. A store that lost the response of its database and retries by
    /// itself cannot distinguish its own write from another: the flag is then `true`, although this
    /// request may have written the events.
    pub repeated: bool,
}

/// Why an append failed. Nothing was written unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream does not meet the expected revision.
    #[error("stream {stream}: expected {expected}, found {}", found(.actual))]
    WrongExpectedRevision {
        /// The stream.
        stream: StreamName,
        /// The expected revision.
        expected: ExpectedRevision,
        /// The stream's last revision, `None` if the stream does not exist.
        actual: Option<Revision>,
    },
    /// Some of the event ids already exist in the stream, but not all of them in this order: the ids
    /// were used for another append.
    #[error("stream {stream}: event id {event_id} was already used for another append")]
    IdempotencyMismatch {
        /// The stream.
        stream: StreamName,
        /// The event id that was already used.
        event_id: Uuid,
    },
    /// An event exceeds the store's size limit.
    #[error("event {event_id} has {size} bytes; the limit is {limit}")]
    EventTooLarge {
        /// The event.
        event_id: Uuid,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The request is invalid (no events, the same stream or id twice).
    #[error("invalid append: {0}")]
    Invalid(String),
    /// The store's queue stayed full until the deadline. Retry later.
    #[error("the event store is overloaded; retry later")]
    Overloaded,
    /// The backend does not support this operation.
    #[error("this event store does not support {0}")]
    Unsupported(&'static str),
    /// The store is not writable at the moment.
    #[error("the event store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The log went back to an earlier state during the append: the events that the decision was
    /// based on, and the keys that sealed its personal values, may not exist any more. Nothing was
    /// written; decide again.
    #[error("the event store went back to an earlier state; decide again on its current events")]
    WentBack,
    /// The connection was lost during the commit: the events may or may not be written. Appending
    /// the same ids again resolves it.
    #[error("the outcome of the append is unknown; append the same event ids again")]
    OutcomeUnknown(#[source] BoxError),
}

fn found(actual: &Option<Revision>) -> String {
    actual.map_or_else(|| "no stream".to_owned(), |revision| format!("revision {revision}"))
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store is not readable at the moment.
    #[error("the event store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The log went back to an earlier state, as after a failover that lost its end: events read
    /// before may not exist any more, and their positions may hold other events.
    #[error(
        "the event store went back to an earlier state: events read before may not exist any more"
    )]
    WentBack,
    /// The stored event cannot be parsed.
    #[error("the event at position {position} is damaged")]
    Damaged {
        /// The event's position.
        position: Position,
        /// The parse error.
        #[source]
        source: BoxError,
    },
}

/// A page ends with the event that reaches this number of bytes, whatever limit the caller gave. It
/// has at least one event.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A page of the log.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// The selected events, in order.
    pub events: Vec<Arc<RecordedEvent>>,
    /// The position up to which the log was scanned, including events that are not selected. Equal
    /// to the start of the read if the log ends there.
    pub scanned_to: Position,
    /// Id of the event at `scanned_to`, selected or not, found by the same read; `None` at the start
    /// of the read.
    pub scanned_id: Option<Uuid>,
}

impl LogPage {
    /// Creates an empty page that ends at a position.
    pub fn nothing_after(position: Position) -> Self {
        Self { events: Vec::new(), scanned_to: position, scanned_id: None }
    }

    /// Moves the end of the page to an event without including the event.
    pub fn scan(&mut self, position: Position, event_id: Uuid) {
        (self.scanned_to, self.scanned_id) = (position, Some(event_id));
    }
}

/// The incarnation of logs that never go back.
static ONLY_INCARNATION: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// An append-only log of events in streams.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Returns the id of the log. A checkpoint is only valid for the log with its id.
    fn log_id(&self) -> Uuid;

    /// Appends events to one stream. They are durable when this returns.
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let mut appended = self.append_many(vec![request]).await?;
        appended.pop().ok_or_else(|| AppendError::Invalid("no result".to_owned()))
    }

    /// Appends events to several streams, all or nothing. Returns one result per request, in their
    /// order.
    async fn append_many(&self, requests: Vec<AppendRequest>)
    -> Result<Vec<Appended>, AppendError>;

    /// Returns up to `limit` events of a stream from a revision on, oldest first. An unknown stream
    /// is empty.
    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError>;

    /// Like [`Self::read_stream`], but limited to a page of [`PAGE_BYTES`]: for callers that do not
    /// know the size of the stream and cannot hold all of it. The stream ends where a page is empty.
    async fn read_stream_page(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        const STEP: usize = 4;
        let (mut page, mut bytes, mut next) = (Vec::new(), 0, from);
        while page.len() < limit && bytes < PAGE_BYTES {
            let step = STEP.min(limit - page.len());
            let events = self.read_stream(stream, next, step).await?;
            let is_last = events.len() < step;
            for event in events {
                bytes += event.size();
                next = event.revision + 1;
                page.push(event);
            }
            if is_last {
                break;
            }
        }
        Ok(page)
    }

    /// Returns the last event of a stream.
    async fn read_last(&self, stream: &StreamName)
    -> Result<Option<Arc<RecordedEvent>>, ReadError>;

    /// Returns the place of the event with this id in a stream, `None` if the stream does not
    /// contain it. This is one look-up, whatever the length of the stream.
    async fn find_in_stream(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<EventLocation>, ReadError>;

    /// Returns up to `limit` selected events after a position, in log order, limited to a page of
    /// [`PAGE_BYTES`].
    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError>;

    /// Returns up to `limit` events of one correlation after a position, in log order.
    async fn read_correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError>;

    /// Returns the id of the event at a position, `None` if there never was one. Includes events
    /// that other processes wrote.
    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError>;

    /// Returns the current position of the last event, 0 for an empty log.
    async fn head(&self) -> Result<Position, ReadError>;

    /// Watches the position of the last event known to this process. It grows with the log, and goes
    /// down when the log went back: see [`Self::watch_incarnation`].
    fn watch_head(&self) -> watch::Receiver<Position>;

    /// Watches the log's incarnation, which grows whenever this process finds that the log went back
    /// to an earlier state: a failover lost its end, or a backup was restored. Everything cached
    /// from the log before that (events, positions, states of aggregates, keys) may then be wrong;
    /// the store has invalidated its own caches by the time this value changes. A read or decision
    /// is valid for the incarnation that was current before it began.
    fn watch_incarnation(&self) -> watch::Receiver<u64> {
        ONLY_INCARNATION.subscribe()
    }

    /// Removes the events of a stream below a revision permanently, at most `limit` of them, and
    /// returns how many it removed. The last event of a stream is always kept, so that its revisions
    /// continue. A removed event leaves a hole in the log, and its position keeps the event id:
    /// checkpoints stay valid.
    /// there keeps its event id: checkpoints stay valid.
    /// For streams from outside only: streams of modules are never truncated.
    /// For streams from outside: those of modules are never truncated.
    async fn scavenge(
        &self,
        stream: &StreamName,
        below: Revision,
        limit: usize,
    ) -> Result<u64, AppendError> {
        let _ = (stream, below, limit);
        Err(AppendError::Unsupported("scavenging"))
    }

    /// Returns an error with the reason if appends cannot succeed at the moment, as far as this can
    /// be determined without an append. For probes; an append may still fail.
    async fn check_writable(&self) -> Result<(), AppendError> {
        Ok(())
    }
}
