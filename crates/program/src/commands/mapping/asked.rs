//! The input of the mapping commands: a mapping, its feed, and the commands that it can send.

use std::path::{Path, PathBuf};

use clap::Args;
use kernel::sync::StatedCommand;

use crate::describe::Descriptions;
use crate::values::failure::Misused;

/// Options of `mapping fields`.
#[derive(Debug, Args)]
pub(super) struct Fields {
    /// The command, such as orders.SyncOrder; all unless given
    pub(super) command: Option<String>,
    /// Print JSON Schema, for machines
    #[arg(long)]
    pub(super) json: bool,
}

/// Returns the mapping and the feed. `--feed` takes all following files, so the mapping may be the
/// last of them.
pub(super) fn files<'f>(
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

/// The commands that a mapping can send.
pub struct Commands(pub(super) Vec<StatedCommand>);

impl Commands {
    /// Collects the commands that these modules accept.
    pub fn of(Descriptions(modules): &Descriptions) -> Self {
        Self(modules.iter().flat_map(|module| module.imports.iter().copied()).collect())
    }

    /// Returns the command of this name.
    pub(super) fn named(&self, name: &str) -> anyhow::Result<StatedCommand> {
        let known: Vec<&str> = self.0.iter().map(|command| command.name).collect();
        let unknown = || {
            let meant = capture::nearest(name, known.iter().copied());
            let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            Misused(format!(
                "there is no command `{name}`; known commands: {}{meant}",
                known.join(", ")
            ))
        };
        Ok(self.0.iter().copied().find(|command| command.name == name).ok_or_else(unknown)?)
    }
}
