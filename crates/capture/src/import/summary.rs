//! The summary of an import, for people and for `--json`.

use serde::Serialize;

use crate::mirror::ChangeCounts;

/// Numbers of commands, by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CommandCounts {
    /// Commands sent.
    pub sent: u64,
    /// Aggregates that were new.
    pub imported: u64,
    /// Aggregates that changed.
    pub revised: u64,
    /// Commands that changed nothing in the module.
    pub unchanged: u64,
    /// Commands about aggregates that are absent in the legacy and were never imported.
    pub ignored: u64,
    /// Commands about aggregates that bascule owns.
    pub conflicts: u64,
    /// Commands about erased people: nothing of them was stored.
    pub suppressed: u64,
    /// States not sent, because they were already delivered.
    pub skipped: u64,
    /// Commands whose state the module could not read.
    pub not_understood: u64,
}

/// Rows that never became an aggregate, at the end of the import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// The kind of aggregate in the mapping.
    pub aggregate: String,
    /// The reason, as returned by the mapping's program.
    pub reason: String,
    /// The number of rows.
    pub roots: u64,
}

/// The result of an import.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// The legacy system's name in the mapping.
    pub source: String,
    /// Changes read in this run.
    pub changes: ChangeCounts,
    /// Source transactions that ended in this run.
    pub transactions: u64,
    /// Commands sent in this run.
    pub commands: CommandCounts,
    /// Rows that are not aggregates, over all runs.
    pub ignored: Vec<Ignored>,
    /// Aggregates in quarantine, over all runs.
    pub quarantined: u64,
    /// Aggregates still to be sent: after an interruption, or if the end of a snapshot is missing.
    pub dirty: u64,
    /// Commands without an answer so far: after an interruption, or because the mapping no longer has
    /// their aggregate.
    pub waiting: u64,
    /// Aggregates that were imported before the mirror was restarted and have no row in the new
    /// snapshot: they stay as they are.
    pub missing: u64,
    /// The mirror was empty and no record belongs to a snapshot: rows that did not change since the
    /// first of these records are missing, and aggregates were assembled without them.
    pub no_snapshot: bool,
    /// The input ended within a snapshot: import the rest of it.
    pub unfinished_snapshot: bool,
    /// The run was interrupted.
    pub cancelled: bool,
    /// Duration, in seconds.
    pub elapsed_seconds: f64,
    /// Changes read per second.
    pub changes_per_second: f64,
}

/// The progress of a running import.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshot {
    /// Bytes read from the files, as stored on the disk.
    pub bytes_read: u64,
    /// Bytes of all files to read.
    pub bytes_total: u64,
    /// Changes read.
    pub changes: u64,
    /// Commands sent.
    pub commands: u64,
    /// While many aggregates are assembled and sent, such as those of a snapshot: the number done, and
    /// the total.
    pub aggregates: Option<(u64, u64)>,
    /// Seconds since the start of the import.
    pub elapsed_seconds: f64,
}

/// Receives the progress of an import, several times a second.
pub trait Progress: Send + Sync {
    /// Reports the current progress.
    fn update(&self, snapshot: &Snapshot);
}

/// Ignores the progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn update(&self, _snapshot: &Snapshot) {}
}
