//! Histories of concurrent operations on an event store, and whether the store's promises can
//! explain them.
//!
//! A [`Recorder`] notes when each operation was called and when it answered what, on a clock that
//! the processes of one machine share. A [`Workload`] makes many clients collide on few streams.
//! Two checkers, which know nothing of each other, then judge the history:
//!
//! - [`linearizable`] takes only what clients saw, stream by stream: it searches for an order of
//!   the operations, in keeping with their times, in which every answer is right.
//! - [`in_log_order`] takes the positions at their word: the log as it stands in the end *is* the
//!   order, across all streams, and no operation may contradict it. No reader may have seen
//!   position n+1 and then, anywhere, not have seen n.

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
    /// The open store it was called on: each learns by itself how far the log reaches.
    pub store: u64,
    /// Who called it.
    pub client: u64,
    /// When it was called.
    pub called: Moment,
    /// What was asked for.
    pub call: Call,
    /// When it answered what; `None` when the caller was gone by then.
    pub answered: Option<(Moment, Answer)>,
}

/// What is asked of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// To append to one or several streams, all or nothing.
    Append(Vec<Write>),
    /// To read a stream from a revision on.
    ReadStream {
        /// Its name.
        stream: String,
        /// The first revision wanted.
        from: Revision,
        /// Most events in the answer.
        limit: usize,
    },
    /// To read the last event of a stream.
    ReadLast {
        /// Its name.
        stream: String,
    },
    /// To read the whole log, unfiltered.
    ReadLog {
        /// What the reader has already.
        after: Position,
        /// Most events in the answer.
        limit: usize,
    },
}

/// Events for one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// Its name.
    pub stream: String,
    /// What the writer believes of it.
    #[serde(with = "Expected")]
    pub expected: ExpectedRevision,
    /// The ids of the events.
    pub events: Vec<Uuid>,
}

/// [`ExpectedRevision`] as it is written into files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ExpectedRevision")]
enum Expected {
    Any,
    NoStream,
    Exists,
    Revision(Revision),
}

/// What a store answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The events are there; where the last one of each write stands.
    Appended {
        /// One per write.
        last: Vec<Place>,
        /// Whether they were there before, or may have been.
        repeated: bool,
    },
    /// One of the streams is not as the writer believed.
    WrongRevision {
        /// Which.
        stream: String,
        /// Its last revision, `None` when it has no event.
        actual: Option<Revision>,
    },
    /// The ids were used for something else.
    Mismatch,
    /// What was read of a stream.
    Events(Vec<Seen>),
    /// What was read of the log.
    Page {
        /// The events.
        events: Vec<Seen>,
        /// How far the store looked.
        scanned_to: Position,
    },
    /// It could not be done, and nothing was.
    Refused,
    /// It may have been done, or may be yet.
    Unknown,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// In its stream.
    pub revision: Revision,
    /// In the log.
    pub position: Position,
}

/// An event that somebody read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The stream it is in.
    pub stream: String,
    /// Where.
    pub place: Place,
    /// Its id.
    pub id: Uuid,
}

/// What the promises of the store cannot explain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// No order of the operations on a stream makes every answer right.
    #[error("stream {stream}: no order explains this answer{after}:\n  {operation}")]
    NotLinearizable {
        /// The stream.
        stream: String,
        /// The operation at which every order fails.
        operation: String,
        /// What the longest order ends with.
        after: String,
    },
    /// The log itself has a hole or a repetition.
    #[error("the log is not dense: {0}")]
    NotDense(String),
    /// An answer that the log as it stands contradicts.
    #[error("the log contradicts an answer, {why}:\n  {operation}")]
    Contradiction {
        /// The operation.
        operation: String,
        /// What is wrong with it.
        why: String,
    },
    /// An operation did not see what had been seen before it was called.
    #[error(
        "position {seen} had been seen before, yet this is only right while the log ends before \
         {right_until}:\n  {operation}"
    )]
    WentBack {
        /// The operation.
        operation: String,
        /// What was known to be in the log by then.
        seen: Position,
        /// The first position that makes the answer wrong.
        right_until: Position,
    },
}

/// What a history holds, for tests that must not pass because nothing happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Appends that wrote events.
    pub appended: usize,
    /// Appends that found their events there.
    pub repeated: usize,
    /// Appends that met another revision than expected.
    pub conflicts: usize,
    /// Appends whose ids had been used for something else.
    pub mismatches: usize,
    /// Appends that may or may not have been carried out.
    pub unknown: usize,
    /// Operations that could not be done.
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
    /// What it answered; an operation that never did may have been done.
    fn answer(&self) -> &Answer {
        self.answered.as_ref().map_or(&Answer::Unknown, |(_, answer)| answer)
    }

    /// When it must have taken effect, if it took any: never too late for an unknown outcome.
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
