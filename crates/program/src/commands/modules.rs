//! `bascule modules`: generates the documentation pages of the modules.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use crate::describe::canvas::canvases;
use crate::describe::{Descriptions, page};
use crate::values::output;

/// Subcommands of `bascule modules`.
#[derive(Debug, Subcommand)]
pub enum ModulesCommand {
    /// Write one Markdown page per module, and an overview
    Export {
        /// Folder of the pages
        #[arg(long, value_name = "FOLDER", default_value = "docs/modules")]
        folder: PathBuf,
    },
}

/// Runs the command.
pub fn run(modules: &Descriptions, command: &ModulesCommand) -> anyhow::Result<()> {
    let ModulesCommand::Export { folder } = command;
    let canvases = canvases(modules);
    let context = || format!("cannot write {}", folder.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    write(folder, "README", &page::overview(&canvases))?;
    for canvas in &canvases {
        write(folder, canvas.name, &page::of(canvas))?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let file = folder.join(format!("{name}.md"));
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    output::line(format_args!("wrote {}", file.display()))
}
