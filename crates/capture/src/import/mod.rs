//! The import: reads changes, maintains the mirror, assembles the changed aggregates and sends them to
//! the modules.
//!
//! Rows, the commands that result from them and the progress are stored in one transaction, *before*
//! the commands are sent; a command leaves the outbox when it is acknowledged, and only then the next
//! one of its aggregate is sent. So if the process is killed at any time, the next run repeats work and
//! loses none, and the modules receive the same states as without the interruption.

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

/// Maximum duration of a statement on PostgreSQL: a new mapping marks all rows of a mirror with one.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);

/// Returns the options of the mirror's database.
pub(crate) fn database_options() -> DatabaseOptions {
    DatabaseOptions { statement_timeout: STATEMENT_TIMEOUT, ..DatabaseOptions::default() }
}

/// Sizes of the units of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Minimum number of changes per transaction of the mirror, if there are so many.
    least: usize,
    /// Number of changes after which a single source transaction is split.
    most: usize,
    /// Number of dirty aggregates per page.
    page: usize,
    /// Approximate bytes of records per unit of work: in memory they take several times as much.
    bytes: usize,
}

impl Sizes {
    /// Returns the approximate bytes that the rows of a page of documents may take in memory. The
    /// documents, their states and the texts of these take several times as much together.
    fn of_documents(&self) -> usize {
        2 * self.bytes
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self { least: 1_000, most: 4_000, page: 500, bytes: 4 << 20 }
    }
}

/// Why an import stopped. Its work until then is kept; the next run continues from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read any further. Everything before the line was imported.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Positions in the source's log are lower than before.
    #[error(
        "{file}, line {line}: the change of `{table}` is later than the mirror's state of \
         the row, but its position in the log is lower: the legacy was moved to another server or \
         restored, and its positions start again. Everything before it was imported. Take a new \
         snapshot and import it with --fresh (imported aggregates stay; unchanged states record no \
         events); if only a clock was set back, use --allow-older"
    )]
    WentBack {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The table.
        table: String,
    },
    /// No record belongs to a table of the mapping.
    #[error(
        "none of the {read} records belongs to a table of the mapping, whose topics are \
         `{tables_from}` followed by one of {tables}: correct `tables_from` or [tables], and import \
         again with --from-start"
    )]
    NothingMapped {
        /// Records read.
        read: u64,
        /// The prefix of the topics.
        tables_from: String,
        /// The tables' names.
        tables: String,
    },
    /// The mirror's database failed.
    #[error("cannot read or write the mirror's database")]
    Database(#[from] DatabaseError),
    /// A command of the mapping has no module.
    #[error("no module has the command `{0}`: correct `command` in the mapping")]
    NoTarget(String),
    /// The mapping stores other columns, or joins by others, than the mirror contains.
    #[error(
        "the mapping's tables or joins of source `{source_name}` changed since its mirror was \
         filled: import all files again with --fresh, from the first one (imported aggregates \
         stay; unchanged states record no events)"
    )]
    MirrorOutdated {
        /// The legacy system's name.
        source_name: String,
    },
    /// Persons were erased whose keys an earlier mapping derived in another way.
    #[error(
        "people of `{table}` were erased, and this mapping derives the keys or ids of its rows \
         differently, so that erased people would be imported again. Keep `key`, `compare`, `ids` and \
         the `types` of its key columns as they were"
    )]
    ErasedByOtherKeys {
        /// The table.
        table: String,
    },
    /// A command failed several times.
    #[error("cannot deliver a {aggregate}; resolve the cause and run the import again")]
    NotDelivered {
        /// The kind of aggregate in the mapping.
        aggregate: String,
        /// The module's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another import of the same source began, or a person was erased meanwhile.
    #[error(
        "another import of source `{source_name}` has begun, or a person in it was erased: \
         this import was stopped; run it again"
    )]
    Superseded {
        /// The legacy system's name.
        source_name: String,
    },
    /// A program called a built-in that does not return.
    #[error("a mapping program does not terminate and cannot be interrupted: correct the mapping")]
    ProgramStuck,
    /// The threads for programs cannot be started.
    #[error("cannot start the threads that run mapping programs")]
    Threads(#[source] std::io::Error),
    /// A task ended unexpectedly.
    #[error("a module panicked while it handled a command")]
    Panicked,
}

/// Options of an import.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Read the files from their beginning, even if they were read before. Changes that are not newer
    /// than the mirror are ignored all the same.
    pub from_start: bool,
    /// Treat a snapshot as complete at the end of the files, even if its last record is missing.
    pub snapshot_complete: bool,
    /// Treat a change with a lower position as older, even if its time is later.
    pub allow_older: bool,
    /// Send only the states of aggregates at the end of the files, not those in between.
    pub only_latest: bool,
    /// With `only_latest`, and files that contain a whole snapshot: delete aggregates that were
    /// imported before and have no row in the files.
    pub delete_missing: bool,
}

/// Imports files with changes of one legacy system.
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
    /// Opens the mirror's database, creating it if needed.
    pub async fn open_database(url: &str) -> Result<Database, DatabaseError> {
        Database::open_with(url, NAME, &MIGRATIONS, database_options()).await
    }

    /// Returns an error if a file cannot be read: called before anything is created.
    pub fn check_files(files: &[PathBuf]) -> Result<(), ReadError> {
        files.iter().try_for_each(|file| crate::files::readable(file))
    }

    /// Returns whether a file contains no record, such as one of blank lines.
    pub fn holds_nothing(file: &std::path::Path) -> Result<bool, ReadError> {
        crate::files::holds_nothing(file)
    }

    /// Returns an import by a mapping into modules. `key` digests the values that the mapping hashes;
    /// it must stay the same from run to run. `targets` are found by command name.
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
        // A run ends by its own limit; this is for a built-in that never returns. Runs queue behind
        // each other, so it must be much longer than one.
        let patience = Limits::default().time * 12 + Duration::from_secs(60);
        let runner = Runner::start(patience).map_err(ImportError::Threads)?;
        let clock = Arc::new(SystemClock);
        Ok(Self { mapping, database, key, targets, runner, clock, sizes: Sizes::default() })
    }

    /// Deletes the source's mirror, so that the next run begins from nothing. Imported aggregates stay:
    /// unchanged states record no events. Commands that were not delivered are lost with it; reading
    /// the files again makes them again.
    pub async fn start_anew(&self) -> Result<(), ImportError> {
        let deleted = LegacyState::Absent { reason: session::DELETED.to_owned() };
        let deleted = session::digest(&self.key, &deleted);
        anew::forget(&self.database, &self.mapping, &deleted).await
    }

    /// Imports files, in the given order, from where an earlier run stopped.
    ///
    /// Cancelling ends the run when the modules have answered the commands sent, with a [`Summary`]
    /// that says so. It does not wait for mapping programs; the next run repeats their work.
    pub async fn run(
        &self,
        files: &[PathBuf],
        options: Options,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Summary, ImportError> {
        Session::begin(self, progress, cancel).await?.run(files, options).await
    }

    /// Assembles the quarantined aggregates again from the mirror and sends them: one aggregate, by its
    /// kind and key, or all. Those that still fail stay. A running import of this source is stopped.
    pub async fn replay_quarantine(
        &self,
        one: Option<&QuarantineId>,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Summary, ImportError> {
        Session::begin(self, progress, cancel).await?.replay(one).await
    }

    /// Returns the first entries of the quarantine of this source, at most `limit`.
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
