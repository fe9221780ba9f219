//! `bascule mapping`: tools for the authors of mappings, without a store.

mod asked;
mod check;
mod fields;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

pub use self::asked::Commands;
use self::asked::Fields;
use crate::values::output;
pub(crate) use trial::document as mask_document;

/// Options of `bascule mapping`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: MappingCommand,
}

#[derive(Debug, Subcommand)]
enum MappingCommand {
    /// Check a mapping and, with --feed, compare its names with captured changes
    Check(check::Check),
    /// Assemble one aggregate of a feed, or all, run the mapping's program and show the module's answer;
    /// needs no store
    Try(trial::Try),
    /// List the commands that a mapping can send, and the fields of their states
    Fields(Fields),
    /// Write the list of fields as a page, and a JSON Schema per command
    Export {
        /// Folder of the schemas
        #[arg(long, value_name = "FOLDER", default_value = "openapi/sync")]
        folder: PathBuf,
        /// File of the page
        #[arg(long, value_name = "FILE", default_value = "docs/modules/import-fields.md")]
        page: PathBuf,
    },
}

/// Runs the command.
pub async fn run(commands: &Commands, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        MappingCommand::Check(asked) => {
            return for_machines(asked.json, check::check(commands, asked));
        }
        MappingCommand::Try(asked) => {
            return for_machines(asked.json, trial::run(commands, asked).await);
        }
        MappingCommand::Fields(asked) => fields::tell(commands, asked)?,
        MappingCommand::Export { folder, page } => fields::export(commands, folder, page)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// With `--json`, also prints an error as JSON.
fn for_machines(json: bool, outcome: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    if let (true, Err(error)) = (json, &outcome) {
        output::line(serde_json::json!({ "error": format!("{error:#}") }))?;
    }
    outcome
}
