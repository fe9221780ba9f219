//! The binary `bascule`: command line, configuration, telemetry, and which module meets which
//! store. What the commands do lives in the crates.

mod admin;
mod asyncapi;
#[cfg(feature = "bench")]
mod bench;
mod calls;
mod cli;
mod compose;
mod configuration;
mod contracts;
#[cfg(feature = "crash-points")]
mod crash_points;
mod descriptors;
mod erasure;
mod events;
#[cfg(feature = "extract")]
mod extract;
mod forwarding;
#[cfg(feature = "import")]
mod import;
mod interruption;
#[cfg(feature = "import")]
mod mapping;
mod modules;
mod openapi;
mod output;
mod parked;
mod probes;
mod progress;
mod projections;
#[cfg(feature = "import")]
mod quarantine;
mod registry;
mod serve;
mod stores;
mod subscriptions;
mod telemetry;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

/// Events are made by one thread and dropped by another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHUTDOWN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&anyhow::anyhow!("the runtime cannot be started: {error}"));
            return ExitCode::from(cli::FAILED);
        }
    };
    let code = runtime.block_on(cli::run(cli)).unwrap_or_else(|error| {
        output::complain(&error);
        cli::exit_code(&error)
    });
    // Everything was closed in order by now, or the command failed: whatever still runs in the
    // background must not keep the process.
    runtime.shutdown_timeout(SHUTDOWN);
    code
}
