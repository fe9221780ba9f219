//! `bascule mapping`: what authors of mappings need before anything is imported.

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
    /// Put one aggregate of a feed together, or all, run the program, and ask the module, without a
    /// store
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

/// Carries out the command.
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

/// Says what is wrong as JSON, too, where that was asked for.
fn for_machines(json: bool, told: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    if let (true, Err(error)) = (json, &told) {
        output::line(serde_json::json!({ "error": format!("{error:#}") }))?;
    }
    told
}
