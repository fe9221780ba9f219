//! Histories of concurrent operations on an event store, and checkers of whether the store's promises
//! explain them.
//!
//! A [`Recorder`] records the time of each call and each response, on a clock that the processes of one
//! machine share. A [`Workload`] has many clients collide on few streams. Two independent checkers then
//! judge the history:
//!
//! - [`linearizable`] uses only what clients saw, stream by stream: it searches for an order of the
//!   operations, consistent with their times, in which every response is right.
//! - [`in_log_order`] relies on the positions: the final log *is* the order, across all streams, and no
//!   operation may contradict it. No reader may have seen position n+1 and then, anywhere, not have
//!   seen n.

mod log;
mod record;
mod streams;
mod workload;

use kernel::event::{Position, Revision};
use kernel::store::ExpectedRevision;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use log::in_log_order;
pub use record::{Recorder, read_lines};
pub use streams::linearizable;
pub use workload::{Workload, append, read_all};

/// Nanoseconds of the machine's monotonic clock, the same for all its processes.
pub type Moment = u64;

/// One operation of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The open store on which it was called: each store learns by itself how far the log reaches.
    pub store: u64,
    /// The client.
    pub client: u64,
    /// The time of the call.
    pub called: Moment,
    /// The request.
    pub call: Call,
    /// The time and content of the response; `None` if the caller was gone by then.
    pub answered: Option<(Moment, Answer)>,
}

/// A request to a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Append to one or several streams, all or nothing.
    Append(Vec<Write>),
    /// Read a stream from a revision.
    ReadStream {
        /// The stream's name.
        stream: String,
        /// The first revision.
        from: Revision,
        /// Maximum number of events.
        limit: usize,
    },
    /// Read the last event of a stream.
    ReadLast {
        /// The stream's name.
        stream: String,
    },
    /// Read the whole log, without a filter.
    ReadLog {
        /// The position after which to read.
        after: Position,
        /// Maximum number of events.
        limit: usize,
    },
}

/// Events for one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The stream's name.
    pub stream: String,
    /// The expected revision.
    #[serde(with = "Expected")]
    pub expected: ExpectedRevision,
    /// The ids of the events.
    pub events: Vec<Uuid>,
}

/// [`ExpectedRevision`] in the form of the files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ExpectedRevision")]
enum Expected {
    Any,
    NoStream,
    Exists,
    Revision(Revision),
}

/// A response of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The events are written; holds the place of the last event of each write.
    Appended {
        /// One per write.
        last: Vec<EventLocation>,
        /// Whether they were written before, or may have been.
        repeated: bool,
    },
    /// One of the streams is not at the expected revision.
    WrongRevision {
        /// The stream.
        stream: String,
        /// Its last revision, `None` if it has no event.
        actual: Option<Revision>,
    },
    /// The ids were used for other events.
    Mismatch,
    /// A page of a stream.
    Events(Vec<Seen>),
    /// A page of the log.
    Page {
        /// The events.
        events: Vec<Seen>,
        /// The last position examined.
        scanned_to: Position,
    },
    /// The operation failed and had no effect.
    Refused,
    /// The operation may have taken effect, or may still do so.
    Unknown,
}

/// The location of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLocation {
    /// In its stream.
    pub revision: Revision,
    /// In the log.
    pub position: Position,
}

/// An event that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its stream.
    pub stream: String,
    /// Its place.
    pub place: EventLocation,
    /// Its id.
    pub id: Uuid,
}

/// A contradiction to the promises of the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// No order of the operations on a stream makes every response right.
    #[error("stream {stream}: no order explains this answer{after}:\n  {operation}")]
    NotLinearizable {
        /// The stream.
        stream: String,
        /// The operation at which every order fails.
        operation: String,
        /// The end of the longest order.
        after: String,
    },
    /// The log itself has a gap or a repetition.
    #[error("the log is not dense: {0}")]
    NotDense(String),
    /// A response that the log contradicts.
    #[error("the log contradicts an answer, {why}:\n  {operation}")]
    Contradiction {
        /// The operation.
        operation: String,
        /// The contradiction.
        why: String,
    },
    /// An operation did not see events that had been seen before it was called.
    #[error(
        "position {seen} had been seen before, yet this is only right while the log ends before \
         {right_until}:\n  {operation}"
    )]
    WentBack {
        /// The operation.
        operation: String,
        /// The position known to be in the log by then.
        seen: Position,
        /// The first position with which the response is wrong.
        right_until: Position,
    },
}

/// Counts of a history, so that tests do not pass because nothing happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Appends that wrote events.
    pub appended: usize,
    /// Appends whose events were written already.
    pub repeated: usize,
    /// Appends that met another revision than expected.
    pub conflicts: usize,
    /// Appends whose ids had been used for other events.
    pub mismatches: usize,
    /// Appends with an unknown outcome.
    pub unknown: usize,
    /// Operations that failed.
    pub refused: usize,
    /// Reads of streams.
    pub stream_reads: usize,
    /// Reads of the log.
    pub log_reads: usize,
}

impl Tally {
    /// Counts a history.
    pub fn of(history: &[Operation]) -> Self {
        let mut tally = Self::default();
        for operation in history {
            let count = match (&operation.call, operation.answer()) {
                (_, Answer::Refused) => &mut tally.refused,
                (_, Answer::Appended { repeated: false, .. }) => &mut tally.appended,
                (_, Answer::Appended { repeated: true, .. }) => &mut tally.repeated,
                (_, Answer::WrongRevision { .. }) => &mut tally.conflicts,
                (_, Answer::Mismatch) => &mut tally.mismatches,
                (Call::Append(_), _) => &mut tally.unknown,
                (Call::ReadStream { .. } | Call::ReadLast { .. }, _) => &mut tally.stream_reads,
                (Call::ReadLog { .. }, _) => &mut tally.log_reads,
            };
            *count += 1;
        }
        tally
    }
}

impl Operation {
    /// Returns its response; an operation without one may have taken effect.
    fn answer(&self) -> &Answer {
        self.answered.as_ref().map_or(&Answer::Unknown, |(_, answer)| answer)
    }

    /// Returns the time by which it must have taken effect, if it did: unlimited for an unknown
    /// outcome.
    fn done_by(&self) -> Moment {
        match &self.answered {
            Some((_, Answer::Unknown)) | None => Moment::MAX,
            Some((at, _)) => *at,
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { store, client, called, call, answered } = self;
        write!(formatter, "client {client} on store {store} at {called}: {call:?} ")?;
        match answered {
            Some((at, answer)) => write!(formatter, "→ at {at}: {answer:?}"),
            None => formatter.write_str("→ never answered"),
        }
    }
}
