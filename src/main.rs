//! The binary `bascule`: command line, configuration, telemetry, and which module meets which
//! store. What the commands do lives in the crates.

mod cli;
mod compose;
mod configuration;
#[cfg(feature = "crash-points")]
mod crash_points;
mod events;
mod import;
mod openapi;
mod output;
mod probes;
mod serve;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(cli::run(cli)),
        Err(error) => Err(anyhow::anyhow!("the runtime cannot be started: {error}")),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(cli::FAILED)
        }
    }
}
