//! What all modules are: what each publishes, listens to, keeps and serves, told from the code
//! without a store. [`ModuleDescription`] says how; `bascule modules`, `/admin/modules`, the AsyncAPI
//! description and the check of contracts tell it.

mod canvas;
mod page;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use event_contract::PublishedEvent;
use kernel::description::ModuleDescription;

pub use self::canvas::{Canvas, Listener, canvases};
use crate::output;
use crate::registry::{self, Registered};

/// What can be told of modules.
#[derive(Debug, Subcommand)]
pub enum ModulesCommand {
    /// Write a page about each module, and one with all of them
    Export {
        /// The folder of the pages
        #[arg(long, value_name = "FOLDER", default_value = "docs/modules")]
        folder: PathBuf,
    },
}

/// Carries out the command.
pub fn run(command: &ModulesCommand) -> anyhow::Result<()> {
    let ModulesCommand::Export { folder } = command;
    let canvases = canvases();
    let context = || format!("{} cannot be written", folder.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    write(folder, "README", &page::overview(&canvases))?;
    for canvas in &canvases {
        write(folder, canvas.name, &page::of(canvas))?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let file = folder.join(format!("{name}.md"));
    std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    output::line(format_args!("wrote {}", file.display()))
}

/// Every module, and capture, in the order in which things happen to an order.
pub fn descriptions() -> Vec<ModuleDescription> {
    registry::all().map(Registered::description).collect()
}

/// Every version of every event that any module publishes.
pub fn catalogue() -> Vec<&'static PublishedEvent> {
    descriptions().into_iter().flat_map(|module| module.published).collect()
}

/// The modules that read events of a type, the one that publishes them left out.
pub fn consumers_of(event_type: &str) -> Vec<&'static str> {
    let reads = |module: &ModuleDescription| module.readers_of(event_type).next().is_some();
    let modules = descriptions().into_iter().filter(reads).map(|module| module.name);
    modules.filter(|name| *name != publisher_of(event_type)).collect()
}

/// The module whose event it is: the first part of its type.
fn publisher_of(event_type: &str) -> &str {
    event_type.split('.').next().unwrap_or(event_type)
}

#[cfg(test)]
mod tests;
