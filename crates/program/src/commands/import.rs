//! `bascule import`: what was captured from a legacy database becomes imported aggregates.

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

/// Bytes of files; the message tells what they hold.
const BYTES: Unit = Unit {
    template: "{prefix} {bar:30} {binary_bytes}/{binary_total_bytes}  {msg}  {eta} left",
    told: |bar, done, total| format!("{} %, {}", 100 * done / total.max(1), bar.message()),
};

/// Aggregates that are assembled and told.
const AGGREGATES: Unit = Unit {
    template: "{prefix} {bar:30} {human_pos}/{human_len} aggregates  {per_sec}  {eta} left",
    told: |bar, done, total| format!("{done} of {total} aggregates, {:.0}/s", bar.per_sec()),
};

/// How much of the quarantine is told after an import.
const TOLD: usize = 20;

/// The formats that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Debezium's change events, one JSON object {"topic", "key", "value"} a line
    Debezium,
}

/// Options of `bascule import`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The mapping from the legacy's tables to our aggregates
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// What the files hold
    #[arg(long, value_enum)]
    format: Format,
    /// Exit with 0 though something could not be understood
    #[arg(long)]
    allow_quarantine: bool,
    /// Read files from their beginning though an earlier import got further
    #[arg(long)]
    from_start: bool,
    /// Take a snapshot for whole at the end of the files, though its last record is in none of them
    #[arg(long)]
    snapshot_complete: bool,
    /// Take a change whose position in the log is lower for older, though it happened later
    #[arg(long)]
    allow_older: bool,
    /// Forget the mirror of this source and begin anew, as for a mapping that is being drafted; all
    /// files are needed again, what was imported stays, and aggregates are told as they are at the
    /// end of the files
    #[arg(long, conflicts_with = "from_start")]
    fresh: bool,
    /// Delete what was imported before and is in none of the files, which hold a new snapshot of
    /// every table
    #[arg(long, requires = "fresh")]
    delete_missing: bool,
    /// Print the summary as one JSON object, for machines
    #[arg(long)]
    json: bool,
    /// Files of captured changes, plain or .gz, in their order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Imports, prints a summary, and fails if anything is in quarantine.
pub async fn import(program: &Program<'_>, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Format::Debezium = arguments.format;
    let unusable = || format!("the mapping {} cannot be used", arguments.mapping.display());
    // Before the store, its folder and its key are made for an import that cannot begin.
    Mapping::check(&arguments.mapping).with_context(unusable)?;
    Import::check_files(&arguments.files)?;
    let mut system = opening::open(program).await?;
    let mirror = mirror_of(&system)?;
    let commands: BTreeSet<String> = mirror.commands().map(str::to_owned).collect();
    let mapping = Mapping::load(&arguments.mapping, &commands).with_context(unusable)?;
    mapping.check_ties(PERSONS).with_context(unusable)?;
    // Nobody who was erased comes back, also not into a mirror that was made anew.
    let erasing = CancellationToken::new();
    let taking_out = take_out_the_erased(&mut system, &mirror, &erasing).await?;
    let import = mirror.import(mapping)?;

    let interruption = Interruption::listen();
    let progress = Bar::begin();
    let options = Options {
        from_start: arguments.from_start,
        snapshot_complete: arguments.snapshot_complete,
        allow_older: arguments.allow_older,
        // What a state was on the way was told by the import before.
        only_latest: arguments.fresh,
        delete_missing: arguments.delete_missing,
    };
    if arguments.fresh {
        import.start_anew().await?;
    }
    let outcome = import.run(&arguments.files, options, &progress, interruption.token()).await;
    progress.finish();
    let quarantine = match &outcome {
        Ok(summary) if summary.quarantined > 0 => import.quarantine(TOLD).await?,
        _ => Vec::new(),
    };
    drop((import, mirror));
    erasing.cancel();
    // It gives its lease back before the connections are gone.
    taking_out.join_all().await;
    system.close().await;
    let summary = outcome.context("the import stopped; what was done until then stays done")?;

    if arguments.json {
        output::line(serde_json::to_string(&summary)?)?;
    } else {
        print_summary(&summary, &arguments.files)?;
        for one in &quarantine {
            output::line(format_args!("  {} {}: {}", one.aggregate, one.key, one.reason))?;
        }
        if summary.quarantined > TOLD as u64 {
            output::line("  … `bascule quarantine list` shows all of them")?;
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
        "there is no mirror here: it is where the event store is, and belongs to the system that has it",
    )
}

/// Begins to take people who are erased out of the mirror, and waits until those who are by now are.
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
                    ": it was imported before"
                }
                Summary { dirty: 0, unfinished_snapshot: false, .. } => {
                    " in these files; something else was said of aggregates known before, because \
                     the mapping changed or a command had waited"
                }
                _ => " in these files",
            };
            output::line(format_args!("Nothing new of {source}{why}"))?;
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
        (changes.equal, "changes of no stored column"),
        (changes.unmapped, "records of tables that the mapping does not name"),
        (changes.no_change, "of these no change of a row, such as heartbeats"),
        (commands.skipped, "states not sent, because they were delivered before"),
        (commands.suppressed, "suppressed, because erased here"),
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
            "  no record is of a snapshot: rows that were there before these changes are missing",
        )?;
    }
    if changes.below_snapshot > 0 {
        output::line(format_args!(
            "  changes taken though their position in the log is below that of the snapshot, because \
             they were committed later: {}. That is right for transactions that were open when the \
             snapshot was taken. If the legacy was moved to another server instead, import a new \
             snapshot with --fresh",
            changes.below_snapshot
        ))?;
    }
    if changes.behind > 0 {
        output::line(format_args!(
            "  rows of a snapshot that differ from the mirror, though their position in the log is \
             lower: {}. If the changes since do not follow, the legacy was moved to another server: \
             import the snapshot again with --fresh",
            changes.behind
        ))?;
    }
    if summary.unfinished_snapshot {
        output::line(format_args!(
            "  {} aggregates wait for the rest of the snapshot: its last record (snapshot `last`) \
             is in none of the files. Import the files that are missing, or say --snapshot-complete \
             if there are none",
            summary.dirty
        ))?;
    } else if summary.dirty > 0 {
        output::line(format_args!(
            "  {} aggregates are still to be sent: run the import again",
            summary.dirty
        ))?;
    }
    if summary.missing > 0 {
        output::line(format_args!(
            "  {} aggregates were imported before and have no row in the new snapshot: they stay as \
             they are. If the legacy has deleted them, say --fresh --delete-missing with the same files; \
             what was made of a table of which they have no row stays even then",
            summary.missing
        ))?;
    }
    if summary.waiting > 0 {
        output::line(format_args!(
            "  {} commands wait to be delivered: run the import again, with a mapping that has \
             their aggregates",
            summary.waiting
        ))?;
    }
    if summary.quarantined > 0 {
        output::line(format_args!("  in quarantine: {}", summary.quarantined))?;
    }
    Ok(())
}

/// Shows how far an import is: of the files, or of the aggregates when those take longer.
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
