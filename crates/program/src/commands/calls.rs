//! `bascule wire`: what the endpoint for clients of EventStoreDB answers.

use clap::Subcommand;

use crate::values::output;

/// What is told of the endpoint.
#[derive(Debug, Subcommand)]
pub enum WireCommand {
    /// List the calls, with the right that each needs, as Markdown
    Calls,
}

/// Carries out the command.
pub fn run(command: &WireCommand) -> anyhow::Result<()> {
    let WireCommand::Calls = command;
    output::line(wire::table_of_calls().trim_end())
}
