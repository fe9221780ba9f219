//! `bascule mapping`: what authors of mappings need before anything is imported.

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

/// The mapping and the feed. What follows `--feed` is taken for files of it, so the mapping may be
/// the last of them.
fn files<'f>(
    mapping: Option<&'f Path>,
    feed: &'f [PathBuf],
) -> Result<(&'f Path, &'f [PathBuf]), Misused> {
    match (mapping, feed) {
        (Some(mapping), feed) => Ok((mapping, feed)),
        (None, [feed @ .., last]) if last.extension().is_some_and(|end| end == "toml") => {
            Ok((last, feed))
        }
        _ => Err(Misused("name the mapping, a .toml file, before --feed".to_owned())),
    }
}

/// The commands that a mapping can give.
pub struct Commands(Vec<StatedCommand>);

impl Commands {
    /// The commands that these modules take.
    pub fn of(Descriptions(modules): &Descriptions) -> Self {
        Self(modules.iter().flat_map(|module| module.imports.iter().copied()).collect())
    }

    /// Returns the command of this name.
    fn named(&self, name: &str) -> anyhow::Result<StatedCommand> {
        let known: Vec<&str> = self.0.iter().map(|command| command.name).collect();
        let unknown = || {
            let meant = capture::nearest(name, known.iter().copied());
            let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            Misused(format!("there is no command `{name}`; there are {}{meant}", known.join(", ")))
        };
        Ok(self.0.iter().copied().find(|command| command.name == name).ok_or_else(unknown)?)
    }
}
