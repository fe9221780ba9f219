//! Why a command fails.

use super::ExpectedAt;
use crate::authoring::codec::CodecError;
use crate::log::event::Revision;
use crate::log::store::{AppendError, ReadError};

/// Why an aggregate cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// One of its events cannot be decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Why a command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::error::Error> {
    /// The aggregate refused the command.
    #[error("{0}")]
    Refused(R),
    /// The caller expected another revision.
    #[error("expected {expected}, found {}", .actual.map_or("none".to_owned(), |found| found.to_string()))]
    RevisionMismatch {
        /// The expected revisions.
        expected: ExpectedAt,
        /// The actual revision.
        actual: Option<Revision>,
    },
    /// Every attempt met a write conflict.
    #[error("too many concurrent changes of the same aggregate; retry")]
    Contention,
    /// The aggregate cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An event cannot be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The store rejected the append.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl<R: std::error::Error> ExecuteError<R> {
    /// Returns whether a retry may succeed: nothing is wrong with the command itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(_) | Self::RevisionMismatch { .. } => false,
            Self::Contention
            | Self::Load(LoadError::Read(ReadError::Unavailable(_) | ReadError::WentBack)) => true,
            Self::Load(LoadError::Read(ReadError::Damaged { .. })) => false,
            Self::Load(LoadError::Codec(error)) | Self::Codec(error) => error.is_transient(),
            Self::Append(error) => matches!(
                error,
                AppendError::WrongExpectedRevision { .. }
                    | AppendError::Overloaded
                    | AppendError::Unavailable(_)
                    | AppendError::WentBack
                    | AppendError::OutcomeUnknown(_)
            ),
        }
    }

    /// Converts the refusal into another type, for a unit over aggregates with different refusals.
    pub fn map_refusal<S: std::error::Error>(self, map: impl FnOnce(R) -> S) -> ExecuteError<S> {
        match self {
            Self::Refused(refusal) => ExecuteError::Refused(map(refusal)),
            Self::RevisionMismatch { expected, actual } => {
                ExecuteError::RevisionMismatch { expected, actual }
            }
            Self::Contention => ExecuteError::Contention,
            Self::Load(error) => ExecuteError::Load(error),
            Self::Codec(error) => ExecuteError::Codec(error),
            Self::Append(error) => ExecuteError::Append(error),
        }
    }

    /// Returns whether the error depends on the aggregate's state, which may be out of date in
    /// memory.
    pub(super) fn is_decision(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::RevisionMismatch { .. })
    }
}
