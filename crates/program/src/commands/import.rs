//! `bascule import`: turns changes captured from a legacy database into imported aggregates.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use capture::{Import, Mapping, Mirror, Options, PERSONS, Progress, Snapshot, Summary};
use clap::{Args, ValueEnum};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::system::Program;
use crate::system::opening::{self, System};
use crate::values::failure::FAILED;
use crate::values::interruption::Interruption;
use crate::values::output;
use crate::values::progress::{Meter, Unit};

/// Bytes of the files; the message of the bar counts the changes in them.
const BYTES: Unit = Unit {
    template: "{prefix} {bar:30} {binary_bytes}/{binary_total_bytes}  {msg}  {eta} left",
    text: |bar, done, total| format!("{} %, {}", 100 * done / total.max(1), bar.message()),
};

/// Aggregates that are assembled and sent to their modules.
const AGGREGATES: Unit = Unit {
    template: "{prefix} {bar:30} {human_pos}/{human_len} aggregates  {per_sec}  {eta} left",
    text: |bar, done, total| format!("{done} of {total} aggregates, {:.0}/s", bar.per_sec()),
};

/// Maximum number of quarantined aggregates listed after an import.
const LISTED: usize = 20;

/// Formats that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Debezium change events, one JSON object {"topic", "key", "value"} per line
    Debezium,
}

/// Options of `bascule import`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Mapping from the tables of the legacy system to aggregates
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// Format of the files
    #[arg(long, value_enum)]
    format: Format,
    /// Exit with code 0 even if aggregates are in quarantine
    #[arg(long)]
    allow_quarantine: bool,
    /// Read files from their beginning even if an earlier import read further
    #[arg(long)]
    from_start: bool,
    /// Treat a snapshot as complete at the end of the files, even if its last record is in none of them
    #[arg(long)]
    snapshot_complete: bool,
    /// Treat a change with a lower log position as older, even if it was committed later
    #[arg(long)]
    allow_older: bool,
    /// Delete the mirror of this source and start again, for example while drafting a mapping. All
    /// files are needed again; imported aggregates stay; only the state of each aggregate at the end
    /// of the files is sent
    #[arg(long, conflicts_with = "from_start")]
    fresh: bool,
    /// Delete aggregates that were imported before and are in none of the files; the files must hold
    /// a new snapshot of every table
    #[arg(long, requires = "fresh")]
    delete_missing: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Files of captured changes, plain or .gz, in order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Imports, prints a summary, and fails if anything is in quarantine.
pub async fn import(program: &Program<'_>, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Format::Debezium = arguments.format;
    let unusable = || format!("cannot use the mapping {}", arguments.mapping.display());
    // An import that cannot start must not create a store, its folder and its key.
    Mapping::check(&arguments.mapping).with_context(unusable)?;
    Import::check_files(&arguments.files)?;
    let mut system = opening::open(program).await?;
    let mirror = mirror_of(&system)?;
    let commands: BTreeSet<String> = mirror.commands().map(str::to_owned).collect();
    let mapping = Mapping::load(&arguments.mapping, &commands).with_context(unusable)?;
    mapping.check_ties(PERSONS).with_context(unusable)?;
    // The import must not bring back erased people, not even into a new mirror.
    let erasing = CancellationToken::new();
    let taking_out = take_out_the_erased(&mut system, &mirror, &erasing).await?;
    let import = mirror.import(mapping)?;

    let interruption = Interruption::listen();
    let progress = Bar::begin();
    let options = Options {
        from_start: arguments.from_start,
        snapshot_complete: arguments.snapshot_complete,
        allow_older: arguments.allow_older,
        // An earlier import already sent the intermediate states.
        only_latest: arguments.fresh,
        delete_missing: arguments.delete_missing,
    };
    if arguments.fresh {
        import.start_anew().await?;
    }
    let outcome = import.run(&arguments.files, options, &progress, interruption.token()).await;
    progress.finish();
    let quarantine = match &outcome {
        Ok(summary) if summary.quarantined > 0 => import.quarantine(LISTED).await?,
        _ => Vec::new(),
    };
    drop((import, mirror));
    erasing.cancel();
    // The subscription releases its lease before the connections are closed.
    taking_out.join_all().await;
    system.close().await;
    let summary = outcome.context("the import stopped; its progress is kept")?;

    if arguments.json {
        output::line(serde_json::to_string(&summary)?)?;
    } else {
        print_summary(&summary, &arguments.files)?;
        for one in &quarantine {
            output::line(format_args!("  {} {}: {}", one.aggregate, one.key, one.reason))?;
        }
        if summary.quarantined > LISTED as u64 {
            output::line("  … run `bascule quarantine list` for the complete list")?;
        }
    }
    let failed = summary.cancelled
        || summary.unfinished_snapshot
        || summary.dirty > 0
        || summary.missing > 0
        || (summary.quarantined > 0 && !arguments.allow_quarantine);
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Returns the mirror of an open system.
pub fn mirror_of(system: &System) -> anyhow::Result<Arc<Mirror>> {
    system.offered::<Mirror>().context(
        "this process has no mirror: the mirror is beside the event store; run the command on the system that has that store",
    )
}

/// Starts the subscription that removes erased people from the mirror, and waits until it has caught up.
pub async fn take_out_the_erased(
    system: &mut System,
    mirror: &Mirror,
    shutdown: &CancellationToken,
) -> anyhow::Result<JoinSet<()>> {
    let mut running = JoinSet::new();
    for module in system.modules.iter_mut().filter(|module| module.name == capture::NAME) {
        for subscription in std::mem::take(&mut module.subscriptions) {
            running.spawn(subscription.run(shutdown.clone()));
        }
    }
    mirror.has_erased().await?;
    Ok(running)
}

fn print_summary(summary: &Summary, files: &[PathBuf]) -> anyhow::Result<()> {
    let changes = &summary.changes;
    let commands = &summary.commands;
    let source = &summary.source;
    if changes.read == 0 && !summary.cancelled {
        let mut others = false;
        for file in files {
            if Import::holds_nothing(file)? {
                output::line(format_args!("{} is empty", file.display()))?;
            } else {
                others = true;
            }
        }
        if others {
            let why = match summary {
                Summary { dirty: 0, unfinished_snapshot: false, commands, .. }
                    if commands.sent == 0 =>
                {
                    ": the files were imported before"
                }
                Summary { dirty: 0, unfinished_snapshot: false, .. } => {
                    " in these files; states of known aggregates were sent again, because the \
                     mapping changed or a command was waiting"
                }
                _ => " in these files",
            };
            output::line(format_args!("No new changes of {source}{why}"))?;
        }
    } else {
        output::line(format_args!(
            "{} {} changes of {source} in {:.1} s: {:.0} changes/s",
            if summary.cancelled { "Interrupted after" } else { "Imported" },
            changes.read,
            summary.elapsed_seconds,
            summary.changes_per_second,
        ))?;
    }
    if changes.read > 0 || commands.sent > 0 {
        output::line(format_args!(
            "  aggregates: {} imported, {} revised, {} unchanged, {} in conflict",
            commands.imported, commands.revised, commands.unchanged, commands.conflicts,
        ))?;
    }
    for (count, what) in [
        (changes.not_newer, "changes not newer than the mirror"),
        (changes.equal, "changes to columns that are not stored"),
        (changes.unmapped, "records of tables without a mapping"),
        (changes.no_change, "of these not a row change, such as heartbeats"),
        (commands.skipped, "states not sent, because already delivered"),
        (commands.suppressed, "suppressed, because the person was erased"),
    ] {
        if count > 0 {
            output::line(format_args!("  {what}: {count}"))?;
        }
    }
    for ignored in &summary.ignored {
        output::line(format_args!(
            "  ignored so far: {} {} ({})",
            ignored.roots, ignored.aggregate, ignored.reason
        ))?;
    }
    if summary.no_snapshot {
        output::line(
            "  no snapshot record in these files: rows from before these changes are missing",
        )?;
    }
    if changes.below_snapshot > 0 {
        output::line(format_args!(
            "  changes accepted although their log position is below that of the snapshot, because \
             they were committed later: {}. This is correct for transactions that were open when the \
             snapshot was taken. If the legacy system was moved to another server instead, import a \
             new snapshot with --fresh",
            changes.below_snapshot
        ))?;
    }
    if changes.behind > 0 {
        output::line(format_args!(
            "  snapshot rows that differ from the mirror although their log position is lower: {}. If \
             the later changes do not follow, the legacy system was moved to another server: import \
             the snapshot again with --fresh",
            changes.behind
        ))?;
    }
    if summary.unfinished_snapshot {
        output::line(format_args!(
            "  {} aggregates wait for the rest of the snapshot: its last record (snapshot `last`) \
             is in none of the files. Import the missing files, or use --snapshot-complete if there \
             are none",
            summary.dirty
        ))?;
    } else if summary.dirty > 0 {
        output::line(format_args!(
            "  {} aggregates are not sent yet: run the import again",
            summary.dirty
        ))?;
    }
    if summary.missing > 0 {
        output::line(format_args!(
            "  {} aggregates were imported before and have no row in the new snapshot: they are kept. \
             If the legacy system deleted them, use --fresh --delete-missing with the same files; \
             aggregates of a table that has no row in the files are kept even then",
            summary.missing
        ))?;
    }
    if summary.waiting > 0 {
        output::line(format_args!(
            "  {} commands are not delivered yet: run the import again with a mapping that has their \
             aggregates",
            summary.waiting
        ))?;
    }
    if summary.quarantined > 0 {
        output::line(format_args!("  in quarantine: {}", summary.quarantined))?;
    }
    Ok(())
}

/// Progress of an import: first the bytes of the files, then the aggregates that are assembled.
struct Bar(Mutex<(bool, Meter)>);

impl Bar {
    fn begin() -> Self {
        Self(Mutex::new((false, Self::meter(false))))
    }

    fn meter(assembles: bool) -> Meter {
        if assembles {
            Meter::new("assembling", AGGREGATES)
        } else {
            Meter::new("importing", BYTES)
        }
    }

    fn finish(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.finish();
    }
}

impl Progress for Bar {
    fn update(&self, snapshot: &Snapshot) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let assembles = snapshot.aggregates.is_some();
        if shown.0 != assembles {
            shown.1.finish();
            *shown = (assembles, Self::meter(assembles));
        }
        if let Some((done, all)) = snapshot.aggregates {
            shown.1.update(done, all, String::new());
            return;
        }
        let rate = snapshot.changes as f64 / snapshot.elapsed_seconds.max(0.001);
        let message = format!("{} changes ({rate:.0}/s)", snapshot.changes);
        shown.1.update(snapshot.bytes_read, snapshot.bytes_total, message);
    }
}
