//! Failures of statements, and what is certain after them.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// SQLSTATE of `require_fit` in the migrations.
const DOES_NOT_FIT: &str = "ZB001";
const UNIQUE_VIOLATION: &str = "23505";

/// How a writing statement failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was written: the log is not as assumed.
    Unfit(sqlx::Error),
    /// Nothing was written: the database is temporarily not writable.
    Unavailable(sqlx::Error),
    /// Nothing was written: the statement itself is refused, and would be refused again.
    Refused(sqlx::Error),
    /// The connection was lost before the response: the events may have been written.
    Unknown(sqlx::Error),
}

impl Failure {
    /// Returns what the failure of a sent statement means.
    pub(super) fn of(error: sqlx::Error) -> Self {
        let Some(answer) = postgres_error(&error) else {
            return match error {
                // It never left this process.
                sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => Self::Refused(error),
                _ => Self::Unknown(error),
            };
        };
        if answer.severity() != PgSeverity::Error {
            // The session was ended, perhaps between commit and response.
            return Self::Unknown(error);
        }
        match answer.code() {
            DOES_NOT_FIT | UNIQUE_VIOLATION => Self::Unfit(error),
            _ if database::is_unavailable(&error) => Self::Unavailable(error),
            _ => Self::Refused(error),
        }
    }

    /// The same for a statement that checks before it writes: a violated key is then no conflict but an
    /// inconsistent log.
    pub(super) fn of_checked(error: sqlx::Error) -> Self {
        match Self::of(error) {
            Self::Unfit(error) => Self::Refused(error),
            failure => failure,
        }
    }
}

fn postgres_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Returns whether values of the statement caused the error: data exceptions (class 22) and exceeded
/// limits of the database (class 54).
pub(super) fn blames_values(error: &sqlx::Error) -> bool {
    postgres_error(error)
        .is_some_and(|answer| answer.code().starts_with("22") || answer.code().starts_with("54"))
}

/// Returns whether the connection is lost, so that the statement may succeed on another one.
pub(super) fn lost_connection(error: &sqlx::Error) -> bool {
    match postgres_error(error) {
        // Admin shutdown, crash shutdown, starting up.
        Some(answer) => answer.code().starts_with("57P") || answer.code().starts_with("08"),
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
    }
}
