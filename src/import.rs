//! `bascule import`: what was captured from a legacy database becomes imported aggregates.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use capture::{Import, Mapping, Options, Progress, Snapshot, Summary};
use clap::{Args, ValueEnum};
use database::Database;
use kernel::sync::SyncTarget;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::FAILED;
use crate::configuration::Configuration;
use crate::interruption::Interruption;
use crate::progress::{Meter, Unit};
use crate::registry::capture as mirroring;
use crate::{compose, output};

/// Bytes of files; the message tells what they hold.
const BYTES: Unit = Unit {
    template: "{prefix} {bar:30} {binary_bytes}/{binary_total_bytes}  {msg}  {eta} left",
    told: |bar, done, total| format!("{} %, {}", 100 * done / total.max(1), bar.message()),
};

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
    /// Forget the mirror of this source and begin anew, as for a mapping that is being drafted; all
    /// files are needed again, and what was imported stays
    #[arg(long, conflicts_with = "from_start")]
    fresh: bool,
    /// Print the summary as one JSON object, for machines
    #[arg(long)]
    json: bool,
    /// Files of captured changes, plain or .gz, in their order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Imports, prints a summary, and fails if anything is in quarantine.
pub async fn import(
    configuration: &Configuration,
    arguments: &Arguments,
) -> anyhow::Result<ExitCode> {
    let Format::Debezium = arguments.format;
    let unusable = || format!("the mapping {} cannot be used", arguments.mapping.display());
    // Before the store, its folder and its key are made for an import that cannot begin.
    Mapping::check(&arguments.mapping).with_context(unusable)?;
    Import::check_files(&arguments.files)?;
    let mut system = compose::open(configuration).await?;
    let targets: HashMap<String, Arc<dyn SyncTarget>> = system
        .modules
        .iter()
        .flat_map(|module| &module.sync_targets)
        .map(|target| (target.command().to_owned(), Arc::clone(target)))
        .collect();
    let commands: BTreeSet<String> = targets.keys().cloned().collect();
    let mapping = Mapping::load(&arguments.mapping, &commands).with_context(unusable)?;
    // Nobody who was erased comes back, also not into a mirror that was made anew.
    let erasing = CancellationToken::new();
    let (mirror, taking_out) = take_out_the_erased(&mut system, &erasing).await?;
    let key = mirroring::key(configuration).await?;
    let import = Import::new(Arc::new(mapping), mirror.clone(), key, &targets)?;

    let interruption = Interruption::listen();
    let progress = Bar(Meter::new("importing", BYTES));
    let options = Options { from_start: arguments.from_start };
    if arguments.fresh {
        import.start_anew().await?;
    }
    let outcome = import.run(&arguments.files, options, &progress, interruption.token()).await;
    progress.0.finish();
    let quarantine = match &outcome {
        Ok(summary) if summary.quarantined > 0 => import.quarantine().await?,
        _ => Vec::new(),
    };
    drop((import, targets, mirror));
    erasing.cancel();
    // It gives its lease back before the connections are gone.
    taking_out.join_all().await;
    system.close().await;
    let summary = outcome.context("the import stopped; what was done until then stays done")?;

    if arguments.json {
        output::line(serde_json::to_string(&summary)?)?;
    } else {
        print_summary(&summary)?;
        for one in &quarantine {
            output::line(format_args!("  {} {}: {}", one.aggregate, one.key, one.reason))?;
        }
    }
    let failed = summary.cancelled || (summary.quarantined > 0 && !arguments.allow_quarantine);
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Begins to take people who are erased out of the mirror, and waits until those who are by now are.
async fn take_out_the_erased(
    system: &mut compose::System,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Database, JoinSet<()>)> {
    let mut modules = system.modules.iter_mut();
    let capture = modules.find(|module| module.name == mirroring::NAME);
    let capture = capture.context("the mirror is not open")?;
    let mut running = JoinSet::new();
    for subscription in std::mem::take(&mut capture.subscriptions) {
        running.spawn(subscription.run(shutdown.clone()));
    }
    let mirror = capture.database.clone();
    mirroring::caught_up(&system.environment, &mirror).await?;
    Ok((mirror, running))
}

fn print_summary(summary: &Summary) -> anyhow::Result<()> {
    let changes = &summary.changes;
    if changes.read == 0 && !summary.cancelled {
        return output::line(format_args!(
            "Nothing new of {}: it was imported before",
            summary.source
        ));
    }
    output::line(format_args!(
        "{} {} changes of {} in {:.1} s: {:.0} changes/s",
        if summary.cancelled { "Interrupted after" } else { "Imported" },
        changes.read,
        summary.source,
        summary.elapsed_seconds,
        summary.changes_per_second,
    ))?;
    let commands = &summary.commands;
    output::line(format_args!(
        "  aggregates: {} imported, {} revised, {} unchanged, {} in conflict",
        commands.imported, commands.revised, commands.unchanged, commands.conflicts,
    ))?;
    if commands.suppressed > 0 {
        output::line(format_args!("  suppressed, because erased here: {}", commands.suppressed))?;
    }
    for ignored in &summary.ignored {
        output::line(format_args!(
            "  ignored: {} {} ({})",
            ignored.roots, ignored.aggregate, ignored.reason
        ))?;
    }
    if summary.unfinished_snapshot {
        output::line("  the files end within the snapshot: import the rest of it")?;
    }
    if summary.quarantined > 0 {
        output::line(format_args!("  in quarantine: {}", summary.quarantined))?;
    }
    Ok(())
}

/// Shows how far an import is.
struct Bar(Meter);

impl Progress for Bar {
    fn update(&self, snapshot: &Snapshot) {
        let rate = snapshot.changes as f64 / snapshot.elapsed_seconds.max(0.001);
        let message = format!("{} changes ({rate:.0}/s)", snapshot.changes);
        self.0.update(snapshot.bytes_read, snapshot.bytes_total, message);
    }
}
