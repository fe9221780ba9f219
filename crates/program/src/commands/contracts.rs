//! `bascule contracts`: the JSON Schemas of what the modules publish, and whether the contract types
//! still are what was published.
//!
//! The files of `openapi/events` are the record of what was published. A change of a contract type
//! is measured against them, as they are or as they were at a commit: what readers or stored events
//! would not survive is refused, and never written over the record.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::describe::Descriptions;
use crate::describe::contracts::judgement::{self, Verdict};
use crate::describe::contracts::record::{self, Record, file_of};
use crate::values::failure::FAILED;
use crate::values::output;

/// What can be done with contracts.
#[derive(Debug, Subcommand)]
pub enum ContractsCommand {
    /// Fail where stored events, or readers elsewhere, would not survive how the contracts changed
    Check(Against),
    /// Write the schemas of new versions and of compatible changes
    Export(Folder),
}

/// What to compare with.
#[derive(Debug, Args)]
pub struct Against {
    /// A folder of schemas, or a commit of this git repository: then as openapi/events was there,
    /// and at every commit before
    #[arg(long, value_name = "FOLDER|GIT-REF", default_value = record::FOLDER)]
    against: String,
}

/// Where the schemas are.
#[derive(Debug, Args)]
pub struct Folder {
    /// The folder of the schemas, one file per event version
    #[arg(long, value_name = "FOLDER", default_value = record::FOLDER)]
    folder: PathBuf,
}

/// Carries out the command: exit code 1 when a contract is not what was published.
pub fn run(modules: &Descriptions, command: &ContractsCommand) -> anyhow::Result<ExitCode> {
    let verdict = match command {
        ContractsCommand::Check(Against { against }) => {
            let record = Record::of(against)?;
            let verdict = judgement::judge(&modules.catalogue(), &record);
            tell(modules, &verdict)?;
            for event_type in verdict.new.iter().chain(&verdict.extended) {
                let how = if verdict.new.contains(event_type) { "new" } else { "extended" };
                output::line(format_args!("{event_type} is {how}, which everybody survives."))?;
            }
            if verdict.is_sound() {
                let versions = modules.catalogue().len();
                output::line(format_args!(
                    "{versions} event versions agree with {}.",
                    record.what
                ))?;
            }
            verdict
        }
        ContractsCommand::Export(Folder { folder }) => {
            let record = Record::of_folder(folder)?;
            let verdict = judgement::judge(&modules.catalogue(), &record);
            export(modules, folder, &verdict)?;
            tell(modules, &verdict)?;
            verdict
        }
    };
    Ok(if verdict.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn tell(modules: &Descriptions, verdict: &Verdict) -> anyhow::Result<()> {
    for problem in &verdict.problems {
        output::line(problem.explain(modules))?;
    }
    if !verdict.is_sound() {
        output::line(
            "Events are stored for ever and read by others: within a version only optional fields \
             may come. CONTRIBUTING.md, \"Changing an event\", says how to publish a new version.",
        )?;
    }
    Ok(())
}

/// Writes what is new. What is no longer what was published is not touched.
fn export(modules: &Descriptions, folder: &Path, verdict: &Verdict) -> anyhow::Result<()> {
    for event in modules.catalogue() {
        if verdict.new.contains(&event.event_type) || verdict.extended.contains(&event.event_type) {
            let file = folder.join(file_of(event.event_type));
            write(&file, &event.schema().to_value())?;
            output::line(format_args!("wrote {}", file.display()))?;
        }
    }
    Ok(())
}

fn write(file: &Path, schema: &Value) -> anyhow::Result<()> {
    let context = || format!("{} cannot be written", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    let text = format!("{}\n", serde_json::to_string_pretty(schema)?);
    std::fs::write(file, text).with_context(context)
}
