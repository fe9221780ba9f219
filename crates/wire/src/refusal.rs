//! Refusals of requests, and their form for clients.
//!
//! UNAVAILABLE, INTERNAL, UNKNOWN and DATA_LOSS make clients look for another node. So they are used
//! only for failures that another node may not have.

use std::time::Duration;

use kernel::event::{InvalidStreamName, Revision, StreamName};
use kernel::keys::KeyError;
use kernel::outage::Outage;
use kernel::store::{AppendError, BoxError, ExpectedRevision, ReadError};
use prost::{Message, Name};
use prost_types::Any;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::protocol::{rpc, shared};

/// Why a request is refused or fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Unauthenticated(&'static str),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    Invalid(String),
    // The Python client matches these words.
    #[error("stream `{0}` is deleted")]
    StreamDeleted(StreamName),
    // The Python client parses the numbers in this text.
    #[error(
        "refused due to WrongExpectedVersion. Stream: {stream}, Expected version: {}, Actual version: {}",
        number_of(*.expected),
        .actual.map_or(NO_STREAM.to_owned(), |actual| actual.to_string())
    )]
    WrongExpected {
        stream: StreamName,
        expected: ExpectedRevision,
        /// `None` if the stream is absent.
        actual: Option<Revision>,
    },
    #[error("event id {event_id} was already used for another append to stream {stream}")]
    IdAlreadyUsed { stream: StreamName, event_id: Uuid },
    #[error("{what}; the limit is {limit} bytes")]
    TooLarge { what: String, limit: usize },
    #[error("the event store is overloaded; retry later")]
    Overloaded,
    /// The limit of concurrent work is reached.
    #[error("{0}")]
    Busy(&'static str),
    #[error("the request did not arrive completely within {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error(
        "the deadline passed; the events may or may not be appended: append again with the same event ids"
    )]
    DeadlineExceeded,
    #[error("this event store does not support {0}")]
    Unsupported(&'static str),
    #[error("the outcome is unknown; append again with the same event ids")]
    OutcomeUnknown(#[source] BoxError),
    /// The request did not arrive completely; holds the transport's error.
    #[error("{}", .0.message())]
    Transport(Box<Status>),
    #[error(
        "the event store was reset to an earlier state, as after a failover: events read before may be gone. Restart from an event that still exists"
    )]
    WentBack,
    #[error("the server is stopping")]
    Stopping,
    #[error("{what} is unavailable; retry later")]
    Unavailable {
        what: &'static str,
        #[source]
        source: BoxError,
    },
    #[error("the event at position {position} cannot be read")]
    Damaged {
        position: u64,
        #[source]
        source: BoxError,
    },
}

const ANY: &str = "-2";
const NO_STREAM: &str = "-1";
const EXISTS: &str = "-4";

/// Returns an expectation as the number that EventStoreDB's clients use for it.
fn number_of(expected: ExpectedRevision) -> String {
    match expected {
        ExpectedRevision::Any => ANY.to_owned(),
        ExpectedRevision::NoStream => NO_STREAM.to_owned(),
        ExpectedRevision::Exists => EXISTS.to_owned(),
        ExpectedRevision::Revision(revision) => revision.to_string(),
    }
}

impl Refusal {
    fn code(&self) -> Code {
        match self {
            Self::Unauthenticated(_) => Code::Unauthenticated,
            Self::Forbidden(_) => Code::PermissionDenied,
            Self::Invalid(_) | Self::TooLarge { .. } => Code::InvalidArgument,
            // With a code that makes clients look for another node, they would continue from their last
            // position as if nothing had happened.
            Self::StreamDeleted(_)
            | Self::WrongExpected { .. }
            | Self::Damaged { .. }
            | Self::WentBack => Code::FailedPrecondition,
            Self::IdAlreadyUsed { .. } => Code::AlreadyExists,
            Self::Overloaded | Self::Busy(_) => Code::ResourceExhausted,
            Self::DeadlineExceeded | Self::TooSlow(_) => Code::DeadlineExceeded,
            Self::Unsupported(_) => Code::Unimplemented,
            Self::OutcomeUnknown(_) => Code::Aborted,
            Self::Transport(status) => status.code(),
            Self::Stopping | Self::Unavailable { .. } => Code::Unavailable,
        }
    }

    /// Returns the metric label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::Invalid(_) | Self::TooLarge { .. } | Self::IdAlreadyUsed { .. } => "invalid",
            Self::StreamDeleted(_) => "stream_deleted",
            Self::WrongExpected { .. } => "conflict",
            Self::Overloaded | Self::Busy(_) => "overloaded",
            Self::DeadlineExceeded | Self::TooSlow(_) => "deadline_exceeded",
            Self::Unsupported(_) => "unsupported",
            Self::Transport(_) => "broken_off",
            Self::Stopping => "stopping",
            Self::WentBack => "went_back",
            Self::OutcomeUnknown(_) | Self::Unavailable { .. } | Self::Damaged { .. } => "failed",
        }
    }

    /// Returns the trailers by which clients recognise the error of a failed call.
    fn trailers(&self) -> MetadataMap {
        let mut trailers = MetadataMap::new();
        let mut add = |name: &'static str, value: &str| {
            if let Ok(value) = MetadataValue::try_from(printable(value)) {
                trailers.insert(name, value);
            }
        };
        match self {
            Self::StreamDeleted(stream) => {
                add("exception", "stream-deleted");
                add("stream-name", stream.as_str());
            }
            Self::WrongExpected { stream, expected, actual } => {
                add("exception", "wrong-expected-version");
                add("stream-name", stream.as_str());
                add("expected-version", &number_of(*expected));
                let actual = actual.map_or(NO_STREAM.to_owned(), |actual| actual.to_string());
                add("actual-version", &actual);
            }
            Self::TooLarge { limit, .. } => {
                add("exception", "maximum-append-size-exceeded");
                add("maximum-append-size", &limit.to_string());
            }
            Self::Forbidden(_) | Self::Unauthenticated(_) => add("exception", "access-denied"),
            _ => {}
        }
        trailers
    }

    /// Returns the error of one append of a BatchAppend.
    pub(crate) fn to_rpc(&self) -> rpc::Status {
        let details = match self {
            Self::WrongExpected { expected, actual, .. } => {
                detail(&wrong_expected_version(*expected, *actual))
            }
            Self::StreamDeleted(stream) => detail(&shared::StreamDeleted {
                stream_identifier: Some(crate::identifiers::stream_identifier(stream)),
            }),
            Self::Forbidden(_) | Self::Unauthenticated(_) => detail(&shared::AccessDenied {}),
            Self::DeadlineExceeded => detail(&shared::Timeout {}),
            Self::TooLarge { limit, .. } => detail(&shared::MaximumAppendSizeExceeded {
                max_append_size: u32::try_from(*limit).unwrap_or(u32::MAX),
            }),
            // The clients require a detail of a type they know, whatever the reason.
            _ => detail(&shared::BadRequest { message: self.to_string() }),
        };
        rpc::Status { code: self.code() as i32, message: self.to_string(), details: Some(details) }
    }

    /// Logs failures of the server itself.
    fn report(&self) {
        if matches!(self, Self::OutcomeUnknown(_) | Self::Unavailable { .. } | Self::Damaged { .. })
        {
            FAILING.occurs("", self);
        }
    }
}

static FAILING: Outage = Outage::new("wire_requests_failed", "requests of the wire protocol fail");

/// Returns a string that is valid in a header: all but printable ASCII is percent-encoded, as gRPC does
/// with messages.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' => printable.push(char::from(byte)),
            other => printable.push_str(&format!("%{other:02X}")),
        }
    }
    printable
}

fn wrong_expected_version(
    expected: ExpectedRevision,
    actual: Option<Revision>,
) -> shared::WrongExpectedVersion {
    use shared::wrong_expected_version::{
        CurrentStreamRevisionOption as Current, ExpectedStreamPositionOption as Expected,
    };
    shared::WrongExpectedVersion {
        current_stream_revision_option: Some(match actual {
            Some(revision) => Current::CurrentStreamRevision(revision),
            None => Current::CurrentNoStream(()),
        }),
        expected_stream_position_option: Some(match expected {
            ExpectedRevision::Any => Expected::ExpectedAny(()),
            ExpectedRevision::NoStream => Expected::ExpectedNoStream(()),
            ExpectedRevision::Exists => Expected::ExpectedStreamExists(()),
            ExpectedRevision::Revision(revision) => Expected::ExpectedStreamPosition(revision),
        }),
    }
}

fn detail<M: Message + Name>(message: &M) -> Any {
    let type_url = format!("type.googleapis.com/{}", M::full_name());
    Any { type_url, value: message.encode_to_vec() }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refusal.report();
        Self::with_metadata(refusal.code(), refusal.to_string(), refusal.trailers())
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Transport(Box::new(status))
    }
}

impl From<InvalidStreamName> for Refusal {
    fn from(error: InvalidStreamName) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::WrongExpectedRevision { stream, expected, actual } => {
                Self::WrongExpected { stream, expected, actual }
            }
            AppendError::IdempotencyMismatch { stream, event_id } => {
                Self::IdAlreadyUsed { stream, event_id }
            }
            AppendError::EventTooLarge { event_id, size, limit } => {
                Self::TooLarge { what: format!("event {event_id} has {size} bytes"), limit }
            }
            AppendError::Invalid(problem) => Self::Invalid(problem),
            AppendError::Overloaded => Self::Overloaded,
            AppendError::Unsupported(what) => Self::Unsupported(what),
            AppendError::Unavailable(source) => {
                Self::Unavailable { what: "the event store", source }
            }
            AppendError::WentBack => Self::WentBack,
            AppendError::OutcomeUnknown(source) => Self::OutcomeUnknown(source),
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(source) => Self::Unavailable { what: "the event store", source },
            ReadError::WentBack => Self::WentBack,
            ReadError::Damaged { position, source } => Self::Damaged { position, source },
        }
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::Unavailable { what: "the key vault", source: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict() -> Refusal {
        Refusal::WrongExpected {
            stream: StreamName::new("café-1").unwrap(),
            expected: ExpectedRevision::NoStream,
            actual: Some(4),
        }
    }

    #[test]
    fn a_conflict_is_told_as_each_client_reads_it() {
        let status = Status::from(conflict());
        assert_eq!(status.code(), Code::FailedPrecondition);
        let trailer = |name| status.metadata().get(name).unwrap().as_bytes().to_owned();
        assert_eq!(trailer("exception"), b"wrong-expected-version");
        assert_eq!(trailer("stream-name"), b"caf%C3%A9-1");
        assert_eq!(trailer("expected-version"), b"-1");
        assert_eq!(trailer("actual-version"), b"4");
        assert!(status.message().ends_with(
            "WrongExpectedVersion. Stream: café-1, Expected version: -1, Actual version: 4"
        ));
    }

    #[test]
    fn a_conflict_of_a_batch_carries_one_detail() {
        let status = conflict().to_rpc();
        let details = status.details.unwrap();
        assert_eq!(details.type_url, "type.googleapis.com/event_store.client.WrongExpectedVersion");
        let read = shared::WrongExpectedVersion::decode(details.value.as_slice()).unwrap();
        assert_eq!(read, wrong_expected_version(ExpectedRevision::NoStream, Some(4)));
    }

    #[test]
    fn only_what_another_node_may_do_better_makes_clients_look_for_one() {
        let rediscovered = [Code::Unavailable, Code::Internal, Code::Unknown, Code::DataLoss];
        let stream = || StreamName::new("a").unwrap();
        for refusal in [
            conflict(),
            Refusal::Unauthenticated("no"),
            Refusal::Forbidden(String::new()),
            Refusal::Invalid(String::new()),
            Refusal::StreamDeleted(stream()),
            Refusal::IdAlreadyUsed { stream: stream(), event_id: Uuid::nil() },
            Refusal::TooLarge { what: String::new(), limit: 1 },
            Refusal::Overloaded,
            Refusal::Busy(""),
            Refusal::TooSlow(Duration::from_secs(1)),
            Refusal::DeadlineExceeded,
            Refusal::Unsupported(""),
            Refusal::WentBack,
            Refusal::OutcomeUnknown("lost".into()),
            Refusal::Damaged { position: 1, source: "bad".into() },
        ] {
            assert!(!rediscovered.contains(&refusal.code()), "{refusal}");
        }
    }
}
