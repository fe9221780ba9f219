//! Why a database could not be opened or used, and which of it passes by itself.

use std::path::PathBuf;

use kernel::reaction::ReactionError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

/// Why a database could not be opened or used. Never shows a password, nor what a row holds.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL names no database this build can use.
    #[error(
        "`{url}` is not a database this build can use: expected sqlite:<path of a file> or \
         postgres://<user>:<password>@<host>/<database>"
    )]
    UnknownUrl {
        /// The URL as given, without its password.
        url: String,
    },
    /// A name that is to become a schema or a part of a file's name is none.
    #[error("`{name}` cannot name a place for tables: expected a-z, 0-9 and _, a letter first")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The folder of the database file cannot be made or read.
    #[error("the folder {folder} cannot be used")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file of a database cannot be deleted.
    #[error("the file {file} cannot be deleted")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A migration failed.
    #[error("the tables of {module} could not be brought up to date")]
    Migration {
        /// The module.
        module: &'static str,
        /// What went wrong.
        #[source]
        source: MigrateError,
    },
    /// Somebody reads what is to be written over.
    #[error("the database's write-ahead log is in use")]
    Busy,
    /// A statement failed.
    #[error("the database failed")]
    Sql(#[from] sqlx::Error),
    /// A column holds something else than the module wrote. Its content may be personal and is not
    /// shown.
    #[error("the column `{column}` is damaged: {reason}")]
    Damaged {
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such table.
    #[error("there is no table `{table}` with a primary key")]
    UnknownTable {
        /// The table.
        table: String,
    },
    /// A statement of the transaction had failed: it can only be rolled back.
    #[error("a statement of this transaction failed before: nothing of it was kept")]
    Aborted,
}

impl DatabaseError {
    /// Whether the database cannot be used now, rather than that a statement is wrong: the same
    /// may succeed later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Sql(error) => is_unavailable(error),
            Self::Busy => true,
            Self::Migration {
                source: MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
                ..
            } => is_unavailable(error),
            _ => false,
        }
    }
}

impl From<DatabaseError> for ReactionError {
    /// A database that does not answer now will again; a damaged row stays damaged.
    fn from(error: DatabaseError) -> Self {
        if error.is_unavailable() {
            Self::Transient(error.into())
        } else {
            Self::Permanent(error.into())
        }
    }
}

/// Whether a statement failed because the database cannot be used now (gone, restarting, busy,
/// full, a standby) rather than because of the statement.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        // The server, or what stands before it, does not speak as it should: one that was cut off in
        // the middle of connecting, say. Another connection may do.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::InvalidSavePointStatement
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => is_unavailable_sqlstate(error.code()),
            None => {
                let code = error.code().and_then(|code| code.parse().ok());
                code.is_some_and(is_unavailable_result_code)
            }
        },
        _ => false,
    }
}

/// The same by PostgreSQL's SQLSTATE:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn is_unavailable_sqlstate(code: &str) -> bool {
    const CLASSES: [&str; 4] = [
        "08", // connection exception
        "28", // invalid authorization: a password was changed, and no event is to blame
        "53", // insufficient resources: disk full, out of memory, too many connections
        "58", // system error, input and output among them
    ];
    const CODES: [&str; 13] = [
        "25006", // read_only_sql_transaction: a standby, not promoted yet or no primary any more
        "25P03", // idle_in_transaction_session_timeout
        "25P04", // transaction_timeout
        "3D000", // invalid_catalog_name: the database is away, being restored perhaps
        "40001", // serialization_failure
        "40P01", // deadlock_detected
        "55P03", // lock_not_available
        "57014", // query_canceled: statement_timeout among others
        "57P01", // admin_shutdown
        "57P02", // crash_shutdown
        "57P03", // cannot_connect_now: starting up or in recovery
        "57P04", // database_dropped
        "57P05", // idle_session_timeout
    ];
    CODES.contains(&code) || CLASSES.iter().any(|class| code.starts_with(class))
}

/// The same by SQLite's result code: <https://www.sqlite.org/rescode.html>.
fn is_unavailable_result_code(code: i32) -> bool {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const NOMEM: i32 = 7;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    // The primary result code is in the low byte.
    [BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN].contains(&(code & 0xff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_what_does_not() {
        for code in ["08006", "53100", "53300", "57P03", "25006", "40P01", "57014", "28P01"] {
            assert!(is_unavailable_sqlstate(code), "{code}");
        }
        // Duplicates, broken constraints, unknown tables, an aborted transaction, plain mistakes.
        for code in ["23505", "23502", "42P01", "42601", "25P02", "22P02", "0A000"] {
            assert!(!is_unavailable_sqlstate(code), "{code}");
        }
        // SQLITE_IOERR_WRITE and SQLITE_BUSY_SNAPSHOT have the primary code in the low byte.
        for code in [13, 778, 517] {
            assert!(is_unavailable_result_code(code), "{code}");
        }
        assert!(!is_unavailable_result_code(2067), "SQLITE_CONSTRAINT_UNIQUE");
    }
}
