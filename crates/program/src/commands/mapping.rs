//! `bascule mapping`: tools for the authors of mappings, without a store.

mod check;
mod fields;
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use kernel::sync::StatedCommand;

use crate::describe::Descriptions;
use crate::values::failure::Misused;
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

/// Options of `mapping fields`.
#[derive(Debug, Args)]
struct Fields {
    /// Command, such as orders.SyncOrder (default: all)
    command: Option<String>,
    /// Print as JSON Schema
    #[arg(long)]
    json: bool,
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

/// Returns the mapping and the files of the feed. The parser counts everything after `--feed` as files
/// of the feed, so the last of them may be the mapping.
fn files<'f>(
    mapping: Option<&'f Path>,
    feed: &'f [PathBuf],
) -> Result<(&'f Path, &'f [PathBuf]), Misused> {
    match (mapping, feed) {
        (Some(mapping), feed) => Ok((mapping, feed)),
        (None, [feed @ .., last]) if last.extension().is_some_and(|end| end == "toml") => {
            Ok((last, feed))
        }
        _ => Err(Misused("name the mapping (a .toml file) before --feed".to_owned())),
    }
}

/// The commands that a mapping can send.
pub struct Commands(Vec<StatedCommand>);

impl Commands {
    /// Returns the commands that these modules accept.
    pub fn of(Descriptions(modules): &Descriptions) -> Self {
        Self(modules.iter().flat_map(|module| module.imports.iter().copied()).collect())
    }

    /// Returns the command of this name.
    fn named(&self, name: &str) -> anyhow::Result<StatedCommand> {
        let known: Vec<&str> = self.0.iter().map(|command| command.name).collect();
        let unknown = || {
            let meant = capture::nearest(name, known.iter().copied());
            let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            Misused(format!(
                "unknown command `{name}`; known commands: {}{meant}",
                known.join(", ")
            ))
        };
        Ok(self.0.iter().copied().find(|command| command.name == name).ok_or_else(unknown)?)
    }
}
