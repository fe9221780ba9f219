//! `bascule mapping`: what authors of mappings need before anything is imported.

mod check;
mod fields;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use kernel::sync::StatedCommand;

use crate::cli::Misused;
use crate::modules;

/// What can be done with mappings.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: MappingCommand,
}

#[derive(Debug, Subcommand)]
enum MappingCommand {
    /// Check a mapping, and compare its names with a feed
    Check(check::Check),
    /// Put one aggregate of a feed together, run its program, and ask its module, without a store
    Try(trial::Try),
    /// Tell which commands a mapping can give, and what each field of their states means
    Fields(Fields),
    /// Write the same as a page, and as a JSON Schema for each command
    Export {
        /// The folder of the schemas
        #[arg(long, value_name = "FOLDER", default_value = "openapi/sync")]
        folder: PathBuf,
        /// The page
        #[arg(long, value_name = "FILE", default_value = "docs/modules/import-fields.md")]
        page: PathBuf,
    },
}

/// What to tell of the fields.
#[derive(Debug, Args)]
struct Fields {
    /// The command, such as orders.SyncOrder; all unless given
    command: Option<String>,
    /// Print JSON Schema, for machines
    #[arg(long)]
    json: bool,
}

/// Carries out the command.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        MappingCommand::Check(asked) => return check::check(asked),
        MappingCommand::Try(asked) => return trial::run(asked).await,
        MappingCommand::Fields(asked) => fields::tell(asked)?,
        MappingCommand::Export { folder, page } => fields::export(folder, page)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The commands that a mapping can give.
fn commands() -> Vec<StatedCommand> {
    modules::descriptions().into_iter().flat_map(|module| module.imports).collect()
}

fn named(name: &str) -> anyhow::Result<StatedCommand> {
    let commands = commands();
    let known: Vec<&str> = commands.iter().map(|command| command.name).collect();
    let unknown =
        || Misused(format!("there is no command `{name}`; there are {}", known.join(", ")));
    Ok(commands.iter().copied().find(|command| command.name == name).ok_or_else(unknown)?)
}

#[cfg(test)]
#[cfg(feature = "system")]
mod tests;
