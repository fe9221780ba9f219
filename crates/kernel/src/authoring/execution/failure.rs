//! The ways in which a command comes to nothing.

use super::ExpectedAt;
use crate::authoring::codec::CodecError;
use crate::log::event::Revision;
use crate::log::store::{AppendError, ReadError};

/// Why an aggregate could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store did not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event of it cannot be decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::error::Error> {
    /// The aggregate says no.
    #[error("{0}")]
    Refused(R),
    /// The caller expected another revision.
    #[error("expected {expected}, found {}", .actual.map_or("none".to_owned(), |found| found.to_string()))]
    RevisionMismatch {
        /// What the caller expected.
        expected: ExpectedAt,
        /// What is there.
        actual: Option<Revision>,
    },
    /// Other writers were faster every time.
    #[error("too many others are changing the same thing; try again")]
    Contention,
    /// The aggregate could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An event could not be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The store did not take the events.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl<R: std::error::Error> ExecuteError<R> {
    /// Whether the same command may succeed later: nothing about the command itself is wrong.
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

    /// Returns the same with the refusal as another type, for a unit over aggregates that refuse in
    /// their own words.
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

    /// Whether it says something of the aggregate's state, which may be out of date in memory.
    pub(super) fn is_decision(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::RevisionMismatch { .. })
    }
}
