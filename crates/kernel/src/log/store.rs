//! The event store's port: what every backend promises, and the ways it can fail.
//!
//! The promises are written once as a contract suite in `testkit` and run against every backend.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::event::{EventFilter, NewEvent, Position, RecordedEvent, Revision, StreamName};

/// Any error of an outer layer, kept as the source of ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the writer believes of a stream; the append fails when it is not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedRevision {
    /// Anything goes.
    Any,
    /// The stream has no event yet.
    NoStream,
    /// The stream has at least one event.
    Exists,
    /// The last event has this revision.
    Revision(Revision),
}

impl ExpectedRevision {
    /// Exactly what was read: a revision, or no stream.
    pub fn exactly(revision: Option<Revision>) -> Self {
        revision.map_or(Self::NoStream, Self::Revision)
    }

    /// Whether a stream whose last revision is `actual` meets the expectation.
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

/// Events for one stream.
#[derive(Debug, Clone)]
pub struct AppendRequest {
    /// The stream they go to.
    pub stream: StreamName,
    /// What the writer believes of it.
    pub expected: ExpectedRevision,
    /// At least one event.
    pub events: Vec<NewEvent>,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In its stream.
    pub revision: Revision,
    /// In the log.
    pub position: Position,
}

/// Where an append ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Revision of the last event of the request.
    pub revision: Revision,
    /// Position of the last event of the request.
    pub position: Position,
    /// Whether events of these ids stood there already, so that nothing was written. What they say
    /// may differ from what this request would have written. A store that lost the answer of its
    /// database and tries again by itself cannot tell whether it finds its own or another's: then it
    /// is `true`, although this request may have written them.
    pub repeated: bool,
}

/// Why an append was not carried out. Nothing was written unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream is not as the writer believed.
    #[error("stream {stream}: expected {expected}, found {}", found(.actual))]
    WrongExpectedRevision {
        /// The stream.
        stream: StreamName,
        /// What the writer believed.
        expected: ExpectedRevision,
        /// The last revision there, `None` when there is no stream.
        actual: Option<Revision>,
    },
    /// Some of the ids are in the stream already, but not all of them in this order: the same ids
    /// were used for something else.
    #[error("stream {stream}: event id {event_id} was already used for another append")]
    IdempotencyMismatch {
        /// The stream.
        stream: StreamName,
        /// The id that does not fit.
        event_id: Uuid,
    },
    /// An event is over the store's limit.
    #[error("event {event_id} has {size} bytes; the limit is {limit}")]
    EventTooLarge {
        /// The event.
        event_id: Uuid,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The request itself makes no sense (no events, the same stream or id twice).
    #[error("not a valid append: {0}")]
    Invalid(String),
    /// The store's queue was full until the deadline. Try again later.
    #[error("the event store is overloaded; try again later")]
    Overloaded,
    /// The backend has no such operation.
    #[error("this event store does not support {0}")]
    Unsupported(&'static str),
    /// The store cannot be written to now.
    #[error("the event store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The log went back to an earlier state while this was on its way: what it was decided on, and
    /// the keys its personal values were sealed with, may be gone. Nothing was written; decide again.
    #[error("the event store went back to an earlier state; decide again on what it has now")]
    WentBack,
    /// The connection was lost at the commit: the events may or may not be there. Appending the
    /// same ids again settles it.
    #[error("the outcome of the append is unknown; append the same event ids again")]
    OutcomeUnknown(#[source] BoxError),
}

fn found(actual: &Option<Revision>) -> String {
    actual.map_or_else(|| "no stream".to_owned(), |revision| format!("revision {revision}"))
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store cannot be read now.
    #[error("the event store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The log went back to an earlier state, as after a failover that lost its end: what was read
    /// before may be gone, and positions may have other events.
    #[error(
        "the event store went back to an earlier state: what was read of it before may be gone"
    )]
    WentBack,
    /// What was read is not an event of ours.
    #[error("the event at position {position} is damaged")]
    Damaged {
        /// Where.
        position: Position,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
}

/// A page ends with the event that brings it to so many bytes, however many more were asked for. It
/// has one event at least.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A piece of the log.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// The wanted events, in order.
    pub events: Vec<Arc<RecordedEvent>>,
    /// Everything up to here was looked at, wanted or not. Equal to where the reader started when
    /// the log ends there.
    pub scanned_to: Position,
    /// Id of the event at `scanned_to`, wanted or not, as it was found by the same read; `None` where
    /// the reader started.
    pub scanned_id: Option<Uuid>,
}

impl LogPage {
    /// Nothing after a position.
    pub fn nothing_after(position: Position) -> Self {
        Self { events: Vec::new(), scanned_to: position, scanned_id: None }
    }

    /// Goes on to an event, which is looked at and not taken in.
    pub fn scan(&mut self, position: Position, event_id: Uuid) {
        (self.scanned_to, self.scanned_id) = (position, Some(event_id));
    }
}

/// The incarnation of logs that never go back.
static ONLY_INCARNATION: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// An append-only log of events in streams.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Identifies the log. A checkpoint of another log is not ours.
    fn log_id(&self) -> Uuid;

    /// Writes events to one stream. When it returns they are durable.
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let mut appended = self.append_many(vec![request]).await?;
        appended.pop().ok_or_else(|| AppendError::Invalid("no result".to_owned()))
    }

    /// Writes events to several streams, all or nothing. One result per request, in their order.
    async fn append_many(&self, requests: Vec<AppendRequest>)
    -> Result<Vec<Appended>, AppendError>;

    /// Up to `limit` events of a stream from a revision on, oldest first. An unknown stream is
    /// empty.
    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError>;

    /// The same, but no more than a page of [`PAGE_BYTES`]: for whoever does not know what is there,
    /// and has no room for all of it. The stream ends where a page is empty.
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

    /// The last event of a stream.
    async fn read_last(&self, stream: &StreamName)
    -> Result<Option<Arc<RecordedEvent>>, ReadError>;

    /// Where the event of this id stands in a stream, `None` when it is not in it. However long
    /// the stream, this is one look-up.
    async fn find_in_stream(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<Place>, ReadError>;

    /// Up to `limit` wanted events after a position, in the order of the log, and no more than a
    /// page of [`PAGE_BYTES`].
    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError>;

    /// Up to `limit` events of one correlation after a position, in the order of the log.
    async fn read_correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError>;

    /// The id of the event at a position, `None` where there never was one. Sees what any process
    /// wrote.
    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError>;

    /// The position of the last event now, 0 for an empty log.
    async fn head(&self) -> Result<Position, ReadError>;

    /// The position of the last event as far as this process knows, changing as the log grows. It
    /// goes down when the log went back: see [`Self::watch_incarnation`].
    fn watch_head(&self) -> watch::Receiver<Position>;

    /// Grows whenever this process finds that the log went back to an earlier state: a failover lost
    /// its end, or a backup was restored. Everything that was remembered of the log before (events,
    /// positions, states of aggregates, keys) may be wrong then; the store has forgotten its own part
    /// by the time this changes. What is read or decided counts for the incarnation that was current
    /// before it began.
    fn watch_incarnation(&self) -> watch::Receiver<u64> {
        ONLY_INCARNATION.subscribe()
    }

    /// Removes the events of a stream below a revision for good, `limit` of them at most, and says
    /// how many that were. The last event of a stream stays, whatever the revision, so that its
    /// revisions go on. Where an event is gone the log has a hole, and a position that was seen
    /// there keeps its event id: checkpoints stay valid.
    ///
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

    /// Whether appends can succeed now, as far as that can be told without one: an error says why
    /// not. For probes; an append may fail all the same.
    async fn check_writable(&self) -> Result<(), AppendError> {
        Ok(())
    }
}
