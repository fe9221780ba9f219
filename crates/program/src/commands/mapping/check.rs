//! `bascule mapping check`: validates a mapping, and compares it with a feed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use capture::{Import, Mapping, PERSONS, Revealed, Survey};
use clap::Args;

use super::asked::{self, Commands};
use crate::values::failure::FAILED;
use crate::values::output;

/// Options of `mapping check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Mapping file
    #[arg(value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Files of captured changes, with which the names in the mapping are compared
    #[arg(long, value_name = "FILE", num_args = 1..)]
    feed: Vec<PathBuf>,
    /// Print the findings as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Checks a mapping. Returns exit code 1 if it names tables or columns that the feed does not have.
pub(super) fn check(commands: &Commands, asked: &Check) -> anyhow::Result<ExitCode> {
    let (file, feed) = asked::files(asked.mapping.as_deref(), &asked.feed)?;
    let json = asked.json;
    let mapping = read(commands, file)?;
    Import::check_files(feed)?;
    let survey = match feed {
        [] => None,
        feed => Some(mapping.survey(feed).context("cannot read the feed")?),
    };
    let revealed = revealed(commands, &mapping);
    if json {
        let mut found = match &survey {
            Some(survey) => serde_json::to_value(survey)?,
            None => serde_json::json!({ "unused": mapping.unused_columns() }),
        };
        found["revealed"] = serde_json::to_value(revealed)?;
        output::line(found)?;
    } else {
        tell(file, &mapping, survey.as_ref())?;
        for one in revealed {
            output::line(format_args!(
                "  warning: line {}: `{}.{}` becomes `{}` of {}, which is personal: add the column to \
                 `personal`, otherwise an erasure leaves it in the mirror",
                one.line, one.table, one.column, one.field, one.aggregate
            ))?;
        }
    }
    let wrong = survey.is_some_and(|survey| !survey.unknown.is_empty());
    Ok(if wrong { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Reads and validates a mapping.
pub(super) fn read(commands: &Commands, file: &std::path::Path) -> anyhow::Result<Mapping> {
    let names: BTreeSet<String> =
        commands.0.iter().map(|command| command.name.to_owned()).collect();
    let unusable = || format!("cannot use the mapping {}", file.display());
    let mapping = Mapping::load(file, &names).with_context(unusable)?;
    mapping.check_ties(PERSONS).with_context(unusable)?;
    Ok(mapping)
}

/// Returns the columns that become personal fields and that an erasure would leave in the mirror.
fn revealed(commands: &Commands, mapping: &Mapping) -> Vec<Revealed> {
    let mut personal: HashSet<(&str, String)> = HashSet::new();
    for command in &commands.0 {
        let fields = command.fields().into_iter().filter(|field| field.personal);
        personal.extend(fields.map(|field| (command.name, field.path)));
    }
    let is_personal = |command: &str, field: &str| {
        // Everything inside a personal field is personal, and so are the elements of a personal list.
        personal.iter().any(|(of, path)| {
            let below = field.strip_prefix(path.as_str());
            *of == command && below.is_some_and(|below| below.is_empty() || below == "[]")
        })
    };
    mapping.revealed(PERSONS, &is_personal)
}

fn tell(file: &std::path::Path, mapping: &Mapping, survey: Option<&Survey>) -> anyhow::Result<()> {
    output::line(format_args!("{} is valid; source {}", file.display(), mapping.source()))?;
    for (name, command) in mapping.aggregates() {
        output::line(format_args!("  {name}: {command}"))?;
    }
    let Some(survey) = survey else {
        return columns("stored, but not read by any program", &mapping.unused_columns());
    };
    for unknown in &survey.unknown {
        output::line(format_args!(
            "  error: line {}, column {}: {}",
            unknown.line, unknown.column, unknown.problem
        ))?;
    }
    for doubtful in &survey.doubtful {
        output::line(format_args!(
            "  warning: line {}, column {}: {}",
            doubtful.line, doubtful.column, doubtful.problem
        ))?;
    }
    for (table, surveyed) in &survey.unmapped {
        output::line(format_args!(
            "  not mapped: {table}, {} records ({})",
            surveyed.records,
            all(&surveyed.columns)
        ))?;
    }
    columns("in the feed, but not stored", &survey.unread)?;
    columns("stored, but not read by any program", &survey.unused)?;
    if !survey.absent.is_empty() {
        output::line(format_args!("  no record in the feed: {}", all(&survey.absent)))?;
    }
    Ok(())
}

fn columns(what: &str, of: &BTreeMap<String, BTreeSet<String>>) -> anyhow::Result<()> {
    for (table, columns) in of {
        output::line(format_args!("  {what}: {table} ({})", all(columns)))?;
    }
    Ok(())
}

fn all(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
