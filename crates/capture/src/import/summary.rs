//! What an import did, for people and for `--json`.

use serde::Serialize;

use crate::mirror::ChangeCounts;

/// What became of commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CommandCounts {
    /// Commands sent.
    pub sent: u64,
    /// Aggregates that were new.
    pub imported: u64,
    /// Aggregates that changed.
    pub revised: u64,
    /// Commands that said nothing new to the module.
    pub unchanged: u64,
    /// Commands about what is absent there and was never seen here.
    pub ignored: u64,
    /// Commands about aggregates that bascule owns.
    pub conflicts: u64,
    /// Commands about people who were erased: nothing of them was taken.
    pub suppressed: u64,
    /// States not sent, because they were delivered before.
    pub skipped: u64,
    /// Commands whose state the module could not understand.
    pub not_understood: u64,
}

/// Rows that never became an aggregate, at the end of the import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// The kind of aggregate in the mapping.
    pub aggregate: String,
    /// Why it is none, as the mapping's program says.
    pub reason: String,
    /// How many.
    pub roots: u64,
}

/// What an import did.
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
    /// Rows that are no aggregates, over all runs.
    pub ignored: Vec<Ignored>,
    /// Aggregates in quarantine, over all runs.
    pub quarantined: u64,
    /// Aggregates still to be sent: after an interruption, or when a snapshot lacks its end.
    pub dirty: u64,
    /// Commands made, but not answered yet: after an interruption, or because the mapping no longer
    /// has their aggregate.
    pub waiting: u64,
    /// Aggregates that were imported before the mirror was begun anew and have no row in a new
    /// snapshot: they stay as they are.
    pub missing: u64,
    /// The mirror was empty and no record is of a snapshot: rows that did not change since the
    /// first of these records are missing, and aggregates were assembled without them.
    pub no_snapshot: bool,
    /// The input ended within a snapshot: import the rest of it.
    pub unfinished_snapshot: bool,
    /// The run was interrupted.
    pub cancelled: bool,
    /// Time it took, in seconds.
    pub elapsed_seconds: f64,
    /// Changes read per second.
    pub changes_per_second: f64,
}

/// How far a running import is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshot {
    /// Bytes read from the files, as they are on the disk.
    pub bytes_read: u64,
    /// Bytes of all files that will be read.
    pub bytes_total: u64,
    /// Changes read.
    pub changes: u64,
    /// Commands sent.
    pub commands: u64,
    /// While many aggregates are assembled and told, such as those of a snapshot: how many are done,
    /// of how many.
    pub aggregates: Option<(u64, u64)>,
    /// Seconds since the import began.
    pub elapsed_seconds: f64,
}

/// Is told how far an import is, several times a second.
pub trait Progress: Send + Sync {
    /// The import got this far.
    fn update(&self, snapshot: &Snapshot);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn update(&self, _snapshot: &Snapshot) {}
}
