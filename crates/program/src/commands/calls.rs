//! `bascule wire`: the calls that the endpoint for EventStoreDB clients supports.

use clap::Subcommand;

use crate::values::output;

/// Subcommands of `bascule wire`.
#[derive(Debug, Subcommand)]
pub enum WireCommand {
    /// Print the supported calls, and the right that each requires, as a Markdown table
    Calls,
}

/// Runs the command.
pub fn run(command: &WireCommand) -> anyhow::Result<()> {
    let WireCommand::Calls = command;
    output::line(wire::table_of_calls().trim_end())
}
