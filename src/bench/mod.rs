//! `bascule bench`: what a store does on this machine, through the code that serves.
//!
//! Most workloads are a closed loop: a number of clients, each with one request under way at a time.

mod append;
mod catch_up;
mod command;
mod events;
mod latencies;
mod latency;
mod load;
mod read;
mod replica;
mod report;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use kernel::event::EventFilter;
use kernel::execution::Environment;
use kernel::store::EventStore;

use self::load::Measured;
use crate::cli::{FAILED, Misused};
use crate::compose;
use crate::configuration::Configuration;

/// Who wrote every event of a benchmark: a store whose log begins and ends with this actor's events
/// was made for benchmarks.
const ACTOR: &str = "bench";

/// What can be measured.
#[derive(Debug, Subcommand)]
enum Workload {
    /// Append events of 300 bytes
    Append(append::Arguments),
    /// Read the whole log from its beginning, again and again, in pages of 1 000 events
    Read(read::Arguments),
    /// Carry out commands on orders: load, decide, append
    Command(command::Arguments),
    /// Place orders and wait until the read model shows them
    Latency(latency::Arguments),
    /// Fold the log into the orders' read model, which must not have been folded yet
    CatchUp(catch_up::Arguments),
}

/// What every workload takes.
#[derive(Debug, Clone, Copy, Args)]
struct Options {
    /// Print the result as one JSON object, for machines
    #[arg(long)]
    json: bool,
    /// Write into a store though it holds other events than those of benchmarks
    #[arg(long)]
    force: bool,
}

/// Options of `bascule bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    workload: Workload,
}

/// Measures and prints. An interrupted measurement prints what it has and fails. Only a store that
/// was named is measured.
pub async fn run(
    configuration: &Configuration,
    arguments: &Arguments,
    store_is_named: bool,
) -> anyhow::Result<ExitCode> {
    if !store_is_named && configuration.store == Configuration::default().store {
        let problem = "name the store to be measured with --store: what a benchmark writes stays \
                       in it for ever";
        return Err(Misused(problem.to_owned()).into());
    }
    let workload = &arguments.workload;
    let (name, options) = match workload {
        Workload::Append(arguments) => ("append", arguments.options),
        Workload::Read(arguments) => ("read", arguments.options),
        Workload::Command(arguments) => ("command", arguments.options),
        Workload::Latency(arguments) => ("latency", arguments.options),
        Workload::CatchUp(arguments) => ("catch-up", arguments.options),
    };
    let measured = match workload {
        Workload::Append(arguments) => append::measure(configuration, arguments).await,
        Workload::Read(arguments) => read::measure(configuration, arguments).await,
        Workload::Command(arguments) => command::measure(configuration, arguments).await,
        Workload::Latency(arguments) => latency::measure(configuration, arguments).await,
        Workload::CatchUp(arguments) => catch_up::measure(configuration, arguments).await,
    }?;
    report::print(name, options.json, &measured)?;
    Ok(if measured.interrupted { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Opens the event store alone for a workload, and closes it afterwards.
async fn on_the_store(
    configuration: &Configuration,
    workload: impl AsyncFnOnce(&Environment) -> anyhow::Result<Measured>,
) -> anyhow::Result<Measured> {
    let (environment, opened) = compose::environment(configuration).await?;
    let measured = workload(&environment).await;
    drop(environment);
    opened.close().await;
    measured
}

/// Keeps a benchmark's events out of a log that somebody needs.
async fn refuse_other_stores(store: &dyn EventStore, options: Options) -> anyhow::Result<()> {
    if options.force {
        return Ok(());
    }
    let head = store.head().await?;
    for after in [0, head.saturating_sub(1)] {
        let page = store.read_log(after, &EventFilter::all(), 1).await?;
        anyhow::ensure!(
            page.events.iter().all(|event| event.metadata.actor == ACTOR),
            "the store holds events that no benchmark wrote, and what a benchmark writes stays for \
             ever; name another with --store, or insist with --force"
        );
    }
    Ok(())
}
