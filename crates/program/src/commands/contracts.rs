//! `bascule contracts`: exports the JSON Schemas of the published events, and checks that the contract
//! types are still compatible with them.
//!
//! The files of `openapi/events` are the record of what was published. Contract types are compared with
//! that record, as it is in the working tree or as it was at a commit. A change that breaks readers or
//! stored events is refused and never overwrites the record.

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

/// Subcommands of `bascule contracts`.
#[derive(Debug, Subcommand)]
pub enum ContractsCommand {
    /// Fail if a change of the contracts breaks stored events or external readers
    Check(Against),
    /// Write the schemas of new event versions and of compatible changes
    Export(Folder),
}

/// Options of `contracts check`.
#[derive(Debug, Args)]
pub struct Against {
    /// Folder of schemas, or a commit of this git repository: the check then compares with
    /// openapi/events at that commit and at every earlier one
    #[arg(long, value_name = "FOLDER|GIT-REF", default_value = record::FOLDER)]
    against: String,
}

/// Options of `contracts export`.
#[derive(Debug, Args)]
pub struct Folder {
    /// Folder of the schemas, one file per event version
    #[arg(long, value_name = "FOLDER", default_value = record::FOLDER)]
    folder: PathBuf,
}

/// Runs the command. Returns exit code 1 if a contract is incompatible with what was published.
pub fn run(modules: &Descriptions, command: &ContractsCommand) -> anyhow::Result<ExitCode> {
    let verdict = match command {
        ContractsCommand::Check(Against { against }) => {
            let record = Record::of(against)?;
            let verdict = judgement::judge(&modules.catalogue(), &record);
            tell(modules, &verdict)?;
            for event_type in verdict.new.iter().chain(&verdict.extended) {
                let how = if verdict.new.contains(event_type) { "new" } else { "extended" };
                output::line(format_args!(
                    "{event_type} is {how}: compatible with stored events and readers."
                ))?;
            }
            if verdict.is_sound() {
                let versions = modules.catalogue().len();
                output::line(format_args!(
                    "{versions} event versions are compatible with {}.",
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
            "Events are stored for ever and read by other services: within a version only optional \
             fields may be added. To publish a new version, see \"Changing an event\" in \
             CONTRIBUTING.md.",
        )?;
    }
    Ok(())
}

/// Writes new and extended schemas. Never overwrites a schema that a contract became incompatible with.
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
    let context = || format!("cannot write {}", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    let text = format!("{}\n", serde_json::to_string_pretty(schema)?);
    std::fs::write(file, text).with_context(context)
}
