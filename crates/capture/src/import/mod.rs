//! The import: reads changes, keeps the mirror, assembles what they touched and sends it to the
//! modules.
//!
//! Rows, the commands they lead to and progress move in one transaction, *before* those commands
//! are sent; a command leaves the outbox when it is acknowledged, and the next one of its aggregate
//! is sent only then. So whatever moment the process is killed at, the next run repeats work and
//! loses none, and the modules are told what they would have been told without it.

pub(crate) mod anew;
mod deliver;
mod feed;
mod ledger;
mod quarantine;
mod session;
mod summary;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use database::{Database, DatabaseError, DatabaseOptions, Migrations};
use kernel::keys::SecretKey;
use kernel::seams::{SharedClock, SystemClock};
use kernel::sync::{LegacyState, SyncTarget};
use tokio_util::sync::CancellationToken;

use crate::files::ReadError;
use crate::jq::{Limits, Runner};
use crate::mapping::Mapping;
use crate::module::NAME;
use deliver::Targets;
pub use quarantine::{Held, QuarantineId, Quarantined};
use session::Session;
pub(crate) use session::state_of;
pub use summary::{CommandCounts, Ignored, NoProgress, Progress, Snapshot, Summary};

/// The tables of mirror, outbox and quarantine.
pub(crate) static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/capture"),
    postgres: sqlx::migrate!("../../migrations/postgres/capture"),
};

/// How long a statement may run on PostgreSQL: a new mapping marks all rows of a mirror with one.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);

/// How the mirror's database is used.
pub(crate) fn database_options() -> DatabaseOptions {
    DatabaseOptions { statement_timeout: STATEMENT_TIMEOUT, ..DatabaseOptions::default() }
}

/// How much is done at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Changes per transaction of the mirror, at least, if there are so many.
    least: usize,
    /// Changes after which a single source transaction is cut.
    most: usize,
    /// Dirty aggregates worked on at once.
    page: usize,
    /// Bytes of records worked on at once, about: in memory they take several times as much.
    bytes: usize,
}

impl Sizes {
    /// Bytes that the rows of the documents worked on at once take in memory, about. The documents,
    /// the states that come of them and their texts take several times as much together.
    fn of_documents(&self) -> usize {
        2 * self.bytes
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self { least: 1_000, most: 4_000, page: 500, bytes: 4 << 20 }
    }
}

/// Why an import stopped. What was done until then stays done; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read on. Everything before the place is taken over.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Positions in the source's log went back.
    #[error(
        "{file}, line {line}: the change of `{table}` happened later than what the mirror holds of \
         the row, but its position in the log is lower: the legacy was moved to another server or \
         restored, where positions begin anew. Everything before it is taken over. Take a new \
         snapshot and import that with --fresh (what was imported stays; the same states record \
         nothing); if only a clock was turned back, say --allow-older"
    )]
    WentBack {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The table.
        table: String,
    },
    /// No record was about a table of the mapping.
    #[error(
        "none of the {read} records is about a table of the mapping, whose topics are \
         `{tables_from}` followed by one of {tables}: correct `tables_from` or [tables], and import \
         again with --from-start"
    )]
    NothingMapped {
        /// Records read.
        read: u64,
        /// What precedes a table's name.
        tables_from: String,
        /// The tables' names.
        tables: String,
    },
    /// The mirror's database failed.
    #[error("the mirror cannot be read or written")]
    Database(#[from] DatabaseError),
    /// A command of the mapping has no module.
    #[error("no module takes the command `{0}`")]
    NoTarget(String),
    /// The mapping stores other columns, or joins by others, than the mirror was filled with.
    #[error(
        "the mapping's tables or joins of source `{source_name}` changed since its mirror was \
         filled: import all files again with --fresh, from the first one (what was imported \
         stays; the same states record nothing)"
    )]
    MirrorOutdated {
        /// The legacy system's name.
        source_name: String,
    },
    /// People were erased whose keys another mapping made in another way.
    #[error(
        "people of `{table}` were erased, and with this mapping the keys or ids of its rows are made \
         in another way: those who were erased would come back. Leave `key`, `compare`, `ids` and \
         the `types` of its key columns as they were"
    )]
    ErasedByOtherKeys {
        /// The table.
        table: String,
    },
    /// The store did not take a command, several times.
    #[error("a {aggregate} could not be delivered; run the import again when the cause is gone")]
    NotDelivered {
        /// The kind of aggregate in the mapping.
        aggregate: String,
        /// What the module said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another import of the same source began, or somebody was erased meanwhile.
    #[error(
        "another import of source `{source_name}` has begun, or a person it is about was erased: \
         this one stops; run it again"
    )]
    Superseded {
        /// The legacy system's name.
        source_name: String,
    },
    /// A program called a built-in that does not come back.
    #[error("a mapping program does not end and cannot be interrupted: correct the mapping")]
    ProgramStuck,
    /// No threads for programs.
    #[error("the threads that run mapping programs cannot be started")]
    Threads(#[source] std::io::Error),
    /// A task ended unexpectedly.
    #[error("a module failed unexpectedly while it took a command")]
    Panicked,
}

/// How to import.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Read the files from their beginning, even if they were read before. What is not newer
    /// than the mirror is ignored all the same.
    pub from_start: bool,
    /// Take a snapshot for whole at the end of the files, though its last record was not seen.
    pub snapshot_complete: bool,
    /// Take a change whose position is lower for older, though it happened later.
    pub allow_older: bool,
    /// Tell what the aggregates are at the end of the files, not what they were on the way there.
    pub only_latest: bool,
    /// With `only_latest`, and files that hold a whole snapshot: aggregates that were imported before
    /// and have no row in them are deleted.
    pub delete_missing: bool,
}

/// Imports files of changes of one legacy system.
pub struct Import {
    mapping: Arc<Mapping>,
    database: Database,
    key: SecretKey,
    targets: Targets,
    runner: Runner,
    clock: SharedClock,
    sizes: Sizes,
}

impl Import {
    /// Opens the mirror's database, making it if need be.
    pub async fn open_database(url: &str) -> Result<Database, DatabaseError> {
        Database::open_with(url, NAME, &MIGRATIONS, database_options()).await
    }

    /// Whether files can be read: to be asked before anything is made.
    pub fn check_files(files: &[PathBuf]) -> Result<(), ReadError> {
        files.iter().try_for_each(|file| crate::files::readable(file))
    }

    /// Whether a file holds no record, such as one of blank lines.
    pub fn holds_nothing(file: &std::path::Path) -> Result<bool, ReadError> {
        crate::files::holds_nothing(file)
    }

    /// An import by a mapping into modules. `key` digests what the mapping hashes; it must stay
    /// the same from run to run. `targets` are by command name.
    pub fn new(
        mapping: Arc<Mapping>,
        database: Database,
        key: SecretKey,
        targets: &HashMap<String, Arc<dyn SyncTarget>>,
    ) -> Result<Self, ImportError> {
        let target = |command: &str| {
            let target = targets.get(command).cloned();
            target.ok_or_else(|| ImportError::NoTarget(command.to_owned()))
        };
        let targets = mapping.aggregates().map(|(_, command)| target(command));
        let targets = Arc::new(targets.collect::<Result<Vec<_>, _>>()?);
        // A run ends by its own limit; this is for a built-in that never comes back. Runs queue
        // behind each other, so it must be much longer than one.
        let patience = Limits::default().time * 12 + Duration::from_secs(60);
        let runner = Runner::start(patience).map_err(ImportError::Threads)?;
        let clock = Arc::new(SystemClock);
        Ok(Self { mapping, database, key, targets, runner, clock, sizes: Sizes::default() })
    }

    /// Forgets what the mirror has of the source, so that the next run begins with nothing. What was
    /// imported stays: the same states record nothing. Commands that were not delivered are lost
    /// with it; the files lead to them again.
    pub async fn start_anew(&self) -> Result<(), ImportError> {
        let deleted = LegacyState::Absent { reason: session::DELETED.to_owned() };
        let deleted = session::digest(&self.key, &deleted);
        anew::forget(&self.database, &self.mapping, &deleted).await
    }

    /// Imports files, in the order given, from where an earlier run stopped.
    ///
    /// Cancelling ends the run when the modules have answered what they were told, with a
    /// [`Summary`] that says so. Mapping programs are not waited for; their work is repeated by
    /// the next run.
    pub async fn run(
        &self,
        files: &[PathBuf],
        options: Options,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Summary, ImportError> {
        Session::begin(self, progress, cancel).await?.run(files, options).await
    }

    /// Assembles what is in quarantine afresh from the mirror and sends it: one aggregate, by its
    /// kind and key, or all. What still cannot be understood stays. An import of this source that
    /// runs meanwhile is stopped.
    pub async fn replay_quarantine(
        &self,
        one: Option<&QuarantineId>,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Summary, ImportError> {
        Session::begin(self, progress, cancel).await?.replay(one).await
    }

    /// The first entries of the quarantine of this source, at most `limit`.
    pub async fn quarantine(&self, limit: usize) -> Result<Vec<Quarantined>, ImportError> {
        let (source, first) = (&self.mapping.source, QuarantineId::default());
        Ok(Self::quarantined(&self.database, Some(source), None, &first, limit).await?)
    }
}

impl std::fmt::Debug for Import {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Import")
            .field("source", &self.mapping.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
