//! `bascule mapping check`: what is wrong with a mapping, and how it goes with a feed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use capture::{Import, Mapping, Survey};
use clap::Args;
use customers::domain::CustomerDecider;
use kernel::sync::LegacyAggregate as _;

use crate::cli::FAILED;
use crate::output;

/// How many names of a list are shown.
const SHOWN: usize = 12;

/// What to check.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The mapping
    #[arg(value_name = "FILE")]
    mapping: PathBuf,
    /// Files of captured changes to compare the mapping's names with
    #[arg(long, value_name = "FILE", num_args = 1..)]
    feed: Vec<PathBuf>,
    /// Print what was found as one JSON object, for machines
    #[arg(long)]
    json: bool,
}

/// Checks: exit code 1 where the mapping names what the feed does not have.
pub(super) fn check(asked: &Check) -> anyhow::Result<ExitCode> {
    let Check { mapping: file, feed, json } = asked;
    let mapping = read(file)?;
    Import::check_files(feed)?;
    let survey = match feed.as_slice() {
        [] => None,
        feed => Some(mapping.survey(feed).context("the feed cannot be read")?),
    };
    if *json {
        let found = match &survey {
            Some(survey) => serde_json::to_string(survey)?,
            None => {
                let unused = mapping.unused_columns();
                serde_json::to_string(&serde_json::json!({ "unused": unused }))?
            }
        };
        output::line(found)?;
    } else {
        tell(file, &mapping, survey.as_ref())?;
    }
    let wrong = survey.is_some_and(|survey| !survey.unknown.is_empty());
    Ok(if wrong { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Reads a mapping and checks it.
pub(super) fn read(file: &std::path::Path) -> anyhow::Result<Mapping> {
    let commands: BTreeSet<String> =
        super::commands().iter().map(|command| command.name.to_owned()).collect();
    let unusable = || format!("the mapping {} cannot be used", file.display());
    let mapping = Mapping::load(file, &commands).with_context(unusable)?;
    mapping.check_ties(CustomerDecider::COMMAND).with_context(unusable)?;
    Ok(mapping)
}

fn tell(file: &std::path::Path, mapping: &Mapping, survey: Option<&Survey>) -> anyhow::Result<()> {
    output::line(format_args!("{} is valid; source {}", file.display(), mapping.source()))?;
    for (name, command) in mapping.aggregates() {
        output::line(format_args!("  {name}: {command}"))?;
    }
    let Some(survey) = survey else {
        return columns("kept, and read by no program", &mapping.unused_columns());
    };
    for unknown in &survey.unknown {
        output::line(format_args!(
            "  error: line {}, column {}: {}",
            unknown.line, unknown.column, unknown.problem
        ))?;
    }
    for (table, surveyed) in &survey.unmapped {
        output::line(format_args!(
            "  not mapped: {table}, {} records ({})",
            surveyed.records,
            some(&surveyed.columns)
        ))?;
    }
    columns("in the feed, and not kept", &survey.unread)?;
    columns("kept, and read by no program", &survey.unused)?;
    if !survey.absent.is_empty() {
        output::line(format_args!("  no record in the feed: {}", some(&survey.absent)))?;
    }
    Ok(())
}

fn columns(what: &str, of: &BTreeMap<String, BTreeSet<String>>) -> anyhow::Result<()> {
    for (table, columns) in of {
        output::line(format_args!("  {what}: {table} ({})", some(columns)))?;
    }
    Ok(())
}

fn some(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
