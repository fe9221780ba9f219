//! `bascule-bench`: measures the performance of a store on this machine, through the code that serves.
//!
//! Most workloads are a closed loop: a number of clients, each with one request in flight.

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

use self::store::StoreArgs;

/// Events are created by one thread and dropped by another, for which the system's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The actor of every event of a benchmark: a store whose log begins and ends with this actor's events
/// was created for benchmarks.
const ACTOR: &str = "bench";

/// Measure the performance of a store on this machine
#[derive(Debug, Parser)]
#[command(name = "bascule-bench", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    workload: Workload,
}

/// The workloads.
#[derive(Debug, Subcommand)]
enum Workload {
    /// Append events of 300 bytes
    Append(append::Arguments),
    /// Read the whole log from its beginning, repeatedly, in pages of 1 000 events
    Read(read::Arguments),
    /// Execute commands on orders: load, decide, append
    Command(command::Arguments),
    /// Place orders and wait until they are visible in the read model
    Latency(latency::Arguments),
    /// Fold the log into the orders' read model, which must not be built yet
    CatchUp(catch_up::Arguments),
}

/// The options of every workload.
#[derive(Debug, Clone, Args)]
struct Options {
    #[command(flatten)]
    place: StoreArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// Write into a store even if it has other events than those of benchmarks
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

/// Measures and prints. An interrupted measurement prints its result so far and fails.
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
