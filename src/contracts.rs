//! `bascule contracts`: the JSON Schemas of what the modules publish, and whether the contract types
//! still are what was published.
//!
//! The files of `openapi/events` are the record of what was published. A change of a contract type
//! is measured against them: what readers or stored events would not survive is refused, and never
//! written over the record.

mod compatibility;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use event_contract::PublishedEvent;
use serde_json::Value;

use crate::{cli, output};

/// What can be done with contracts.
#[derive(Debug, Subcommand)]
pub enum ContractsCommand {
    /// Compare the contract types with the schemas that were published
    Check(Folder),
    /// Write the schemas of new versions and of compatible changes
    Export(Folder),
}

/// Where the schemas are.
#[derive(Debug, Args)]
pub struct Folder {
    /// The folder of the schemas, one file per event version
    #[arg(long, value_name = "FOLDER", default_value = "openapi/events")]
    folder: PathBuf,
}

/// How one event version stands to its published schema.
enum Standing {
    /// It is what was published.
    Same,
    /// It was not published yet.
    New,
    /// It changed in a way that everybody survives.
    Extended,
    /// It is no longer what was published.
    Broken(Vec<compatibility::Breach>),
}

/// Carries out the command: exit code 1 when contracts and schemas do not agree.
pub fn run(command: &ContractsCommand) -> anyhow::Result<ExitCode> {
    let (folder, writes) = match command {
        ContractsCommand::Check(folder) => (&folder.folder, false),
        ContractsCommand::Export(folder) => (&folder.folder, true),
    };
    let mut agree = true;
    for event in catalogue() {
        let (file, schema) = (file_of(folder, event.event_type), event.schema().to_value());
        match standing(&file, &schema)? {
            Standing::Same => {}
            Standing::Broken(breaches) => {
                agree = false;
                explain(event.event_type, &breaches)?;
            }
            Standing::New | Standing::Extended if writes => {
                write(&file, &schema)?;
                output::line(format_args!("wrote {}", file.display()))?;
            }
            Standing::New => {
                agree = false;
                let name = event.event_type;
                output::line(format_args!("{name} has no schema yet. Run: make openapi"))?;
            }
            Standing::Extended => {
                agree = false;
                output::line(format_args!(
                    "{} has changed in a way that everybody survives, but its schema does not say \
                     so. Run: make openapi",
                    event.event_type
                ))?;
            }
        }
    }
    for event_type in given_up(folder)? {
        agree = false;
        output::line(format_args!(
            "{event_type} was published, but no contract has it any more: events of it are stored \
             for ever. Put its type back and read it through an upcaster."
        ))?;
    }
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::from(cli::FAILED) })
}

/// Every version of every event that any module publishes.
fn catalogue() -> impl Iterator<Item = &'static PublishedEvent> {
    [
        customers_contract::CATALOGUE,
        orders_contract::CATALOGUE,
        billing_contract::CATALOGUE,
        payments_contract::CATALOGUE,
    ]
    .into_iter()
    .flatten()
}

const SUFFIX: &str = ".schema.json";

/// `orders.OrderPlaced.v1` is described in `orders/OrderPlaced.v1.schema.json`.
fn file_of(folder: &Path, event_type: &str) -> PathBuf {
    let (module, event) = event_type.split_once('.').unwrap_or(("", event_type));
    folder.join(module).join(format!("{event}{SUFFIX}"))
}

fn standing(file: &Path, schema: &Value) -> anyhow::Result<Standing> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Standing::New),
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    let published: Value =
        serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
    let breaches = compatibility::breaches(&published, schema);
    Ok(if !breaches.is_empty() {
        Standing::Broken(breaches)
    } else if published == *schema {
        Standing::Same
    } else {
        Standing::Extended
    })
}

fn explain(event_type: &str, breaches: &[compatibility::Breach]) -> anyhow::Result<()> {
    output::line(format_args!("{event_type} is no longer what was published:"))?;
    for breach in breaches {
        output::line(format_args!("  {breach}"))?;
    }
    output::line(format_args!(
        "  Put the type back as it was, publish {} beside it, and write the upcaster from one to \
         the other: see CONTRIBUTING.md, \"Changing an event\".",
        next_version(event_type)
    ))
}

/// `orders.OrderPlaced.v2` after `orders.OrderPlaced.v1`.
fn next_version(event_type: &str) -> String {
    let next = event_type.rsplit_once(".v").and_then(|(event, version)| {
        let version: u32 = version.parse().ok()?;
        Some(format!("{event}.v{}", version + 1))
    });
    next.unwrap_or_else(|| "a new version".to_owned())
}

fn write(file: &Path, schema: &Value) -> anyhow::Result<()> {
    let context = || format!("{} cannot be written", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    let text = format!("{}\n", serde_json::to_string_pretty(schema)?);
    std::fs::write(file, text).with_context(context)
}

/// The event types that have a schema and are in no contract.
fn given_up(folder: &Path) -> anyhow::Result<Vec<String>> {
    let known: BTreeSet<&str> = catalogue().map(|event| event.event_type).collect();
    let mut given_up = Vec::new();
    for module in entries(folder)? {
        for file in entries(&module)? {
            let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
            let (Some(module), Some(file)) = (name(&module), name(&file)) else { continue };
            let Some(event) = file.strip_suffix(SUFFIX) else { continue };
            let event_type = format!("{module}.{event}");
            if !known.contains(event_type.as_str()) {
                given_up.push(event_type);
            }
        }
    }
    given_up.sort_unstable();
    Ok(given_up)
}

/// What is in a folder: nothing, where there is no such folder.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
