//! Errors of databases, and which of them are temporary.

use std::path::PathBuf;

use kernel::reaction::ReactionError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

/// Why a database could not be opened or used. Never contains a password or a value of a row.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL does not name a database that this build can use.
    #[error(
        "`{url}` is not a database this build can use: expected sqlite:<path of a file> or \
         postgres://<user>:<password>@<host>/<database>"
    )]
    UnknownUrl {
        /// The URL as given, without its password.
        url: String,
    },
    /// The name cannot be a schema, or a part of a file name.
    #[error(
        "`{name}` is not a valid name for a schema or file: use a-z, 0-9 and _, beginning with a letter"
    )]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The folder of the database file cannot be created or read.
    #[error("cannot create or read the folder {folder}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A file of a database cannot be deleted.
    #[error("cannot delete the file {file}")]
    File {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A migration failed.
    #[error("cannot migrate the tables of {module}")]
    Migration {
        /// The module.
        module: &'static str,
        /// The error of the migration.
        #[source]
        source: MigrateError,
    },
    /// A reader prevents the write-ahead log from being overwritten.
    #[error("the database's write-ahead log is in use; retry later")]
    Busy,
    /// A statement failed.
    #[error("a database operation failed")]
    Sql(#[from] sqlx::Error),
    /// A column has another content than the module writes. The content may be personal and is not
    /// included.
    #[error("the column `{column}` is damaged: {reason}")]
    Damaged {
        /// The column.
        column: String,
        /// What is wrong with its content.
        reason: String,
    },
    /// The table does not exist, or has no primary key.
    #[error("the table `{table}` does not exist or has no primary key")]
    UnknownTable {
        /// The table.
        table: String,
    },
    /// An earlier statement of the transaction failed: it can only be rolled back.
    #[error("an earlier statement of this transaction failed; the transaction was rolled back")]
    Aborted,
}

impl DatabaseError {
    /// Returns whether the database is temporarily unavailable, rather than the statement wrong: the
    /// same statement may succeed later.
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
    /// An unavailable database will be available again; a damaged row stays damaged.
    fn from(error: DatabaseError) -> Self {
        if error.is_unavailable() {
            Self::Transient(error.into())
        } else {
            Self::Permanent(error.into())
        }
    }
}

/// Returns whether a statement failed because the database is temporarily unavailable (gone,
/// restarting, busy, full, a standby) rather than because of the statement.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        // The server, or a proxy before it, violates the protocol: a connection was cut off while it
        // was being opened, for example. Another connection may work.
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
        "28", // invalid authorization: a password was changed; it is not the fault of an event
        "53", // insufficient resources: disk full, out of memory, too many connections
        "58", // system error, input and output among them
    ];
    const CODES: [&str; 13] = [
        "25006", // read_only_sql_transaction: a standby, not promoted yet or no primary any more
        "25P03", // idle_in_transaction_session_timeout
        "25P04", // transaction_timeout
        "3D000", // invalid_catalog_name: the database is gone, perhaps being restored
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
        // Duplicates, violated constraints, unknown tables, an aborted transaction, wrong statements.
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
