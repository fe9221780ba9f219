//! `bascule-bench`: what a store does on this machine, through the code that serves.
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
mod store;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::store::Place;

/// Events are made by one thread and dropped by another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Who wrote every event of a benchmark: a store whose log begins and ends with this actor's events
/// was made for benchmarks.
const ACTOR: &str = "bench";

/// Measure what a store does on this machine
#[derive(Debug, Parser)]
#[command(name = "bascule-bench", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    workload: Workload,
}

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
#[derive(Debug, Clone, Args)]
struct Options {
    #[command(flatten)]
    place: Place,
    /// Print the result as one JSON object, for machines
    #[arg(long)]
    json: bool,
    /// Write into a store though it holds other events than those of benchmarks
    #[arg(long)]
    force: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints. An interrupted measurement prints what it has and fails.
async fn run(Cli { workload }: &Cli) -> anyhow::Result<ExitCode> {
    let (name, options) = match workload {
        Workload::Append(arguments) => ("append", &arguments.options),
        Workload::Read(arguments) => ("read", &arguments.options),
        Workload::Command(arguments) => ("command", &arguments.options),
        Workload::Latency(arguments) => ("latency", &arguments.options),
        Workload::CatchUp(arguments) => ("catch-up", &arguments.options),
    };
    let measured = match workload {
        Workload::Append(arguments) => append::measure(&options.place, arguments).await,
        Workload::Read(arguments) => read::measure(&options.place, arguments).await,
        Workload::Command(arguments) => command::measure(&options.place, arguments).await,
        Workload::Latency(arguments) => latency::measure(&options.place, arguments).await,
        Workload::CatchUp(arguments) => catch_up::measure(&options.place, arguments).await,
    }?;
    report::print(name, options.json, &measured)?;
    Ok(if measured.interrupted { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
