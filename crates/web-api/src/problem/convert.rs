//! Converts errors of the lower layers to problems, in one place, so that the same failure always
//! has the same status.

use database::DatabaseError;
use kernel::codec::CodecError;
use kernel::execution::{ExecuteError, LoadError};
use kernel::store::{AppendError, ReadError};

use super::Problem;

impl Problem {
    /// Converts a command's failure; the module provides the text of a refusal.
    pub fn from_execute<R: std::error::Error>(
        error: ExecuteError<R>,
        refused: impl FnOnce(R) -> Self,
    ) -> Self {
        match error {
            ExecuteError::Refused(refusal) => refused(refusal),
            ExecuteError::RevisionMismatch { expected, actual } => {
                Self::precondition_failed(&expected, actual)
            }
            ExecuteError::Contention => Self::contention(),
            ExecuteError::Load(error) => error.into(),
            ExecuteError::Codec(error) => error.into(),
            ExecuteError::Append(error) => error.into(),
        }
    }

    fn contention() -> Self {
        Self::overloaded("Too many concurrent changes of the same resource. Retry.")
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Read(error) => error.into(),
            LoadError::Codec(error) => error.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) | ReadError::WentBack => Self::unavailable(error),
            ReadError::Damaged { .. } => Self::internal(error),
        }
    }
}

impl From<CodecError> for Problem {
    fn from(error: CodecError) -> Self {
        // Data of a newer release is a transient error too: another replica can read it, and this
        // one soon.
        if error.is_transient() { Self::unavailable(error) } else { Self::internal(error) }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::WrongExpectedRevision { .. } => Self::contention(),
            AppendError::IdempotencyMismatch { .. } => Self::idempotency_mismatch(),
            AppendError::EventTooLarge { limit, .. } => Self::payload_too_large(limit),
            AppendError::Overloaded => Self::overloaded("The event store is overloaded. Retry."),
            AppendError::Unavailable(_)
            | AppendError::WentBack
            | AppendError::OutcomeUnknown(_) => Self::unavailable(error),
            AppendError::Invalid(_) | AppendError::Unsupported(_) => Self::internal(error),
        }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        if error.is_unavailable() { Self::unavailable(error) } else { Self::internal(error) }
    }
}
