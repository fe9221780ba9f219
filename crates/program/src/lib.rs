//! The program: command line, configuration, telemetry, and the connection of modules to stores. A
//! binary passes the list of its modules.
//!
//! The files form groups, and a group uses only groups before it:
//!
//! - `values`: output, exit codes, progress, interruption.
//! - `configuration`: the configuration and its sources.
//! - `system`: opens the event store and the modules; their subscriptions, as operators see them.
//! - `describe`: OpenAPI, AsyncAPI, contracts and the pages about the modules, generated from the code.
//! - `serve`: the listeners: API, second listener, wire protocol.
//! - `commands`: the command line.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod commands;
mod configuration;
mod describe;
mod serve;
mod system;
mod values;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use module::AnyModule;

use crate::commands::cli::{Cli, run};
use crate::system::modules::Modules;
use crate::values::failure;
use crate::values::output;

const SHUTDOWN: Duration = Duration::from_secs(2);

/// Runs the command of the command line with these modules, which are opened in this order.
pub fn main(modules: &[&dyn AnyModule]) -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&anyhow::anyhow!("cannot start the runtime: {error}"));
            return ExitCode::from(failure::FAILED);
        }
    };
    let code = runtime.block_on(run(cli, Modules::of(modules))).unwrap_or_else(|error| {
        output::complain(&error);
        failure::exit_code(&error)
    });
    // Everything is closed in order by now, or the command failed: remaining background work must not
    // keep the process alive.
    runtime.shutdown_timeout(SHUTDOWN);
    code
}
