//! `bascule mapping try`: takes one aggregate or all from the rows of a feed to the module's answer,
//! without a store.

mod answer;
mod mask;
mod whole;

pub(crate) use mask::document;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use capture::{
    Import, ImportError, Look, Mapping, NoProgress, NoSuchRow, Stated, Trial, TrialError,
};
use clap::Args;
use kernel::keys::SecretKey;
use kernel::sync::StatedCommand;
use serde_json::{Value, json};

use self::answer::{Answer, answer};
use super::asked::{self, Commands};
use super::check;
use crate::values::failure::{FAILED, Misused};
use crate::values::interruption::Interruption;
use crate::values::output;

/// Options of `mapping try`.
#[derive(Debug, Args)]
pub(super) struct Try {
    /// Mapping file
    #[arg(value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Files of captured changes, plain or .gz, in order
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    feed: Vec<PathBuf>,
    /// Kind of aggregate, by its name in the mapping
    #[arg(long, value_name = "NAME", required_unless_present = "all")]
    aggregate: Option<String>,
    /// Key of the aggregate's root row; repeat the option for each column of a composite key
    #[arg(long, value_name = "VALUE", required_unless_present = "all")]
    key: Vec<String>,
    /// Try all aggregates of the feed, or all of the kind that --aggregate names, and count the results
    #[arg(long, conflicts_with_all = ["key", "personal"])]
    all: bool,
    /// Also show values that may be personal data
    #[arg(long)]
    personal: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the trial. Returns exit code 1 if the import would put an aggregate in quarantine.
pub(super) async fn run(known: &Commands, asked: &Try) -> anyhow::Result<ExitCode> {
    let (file, feed) = asked::files(asked.mapping.as_deref(), &asked.feed)?;
    let mapping = Arc::new(check::read(known, file)?);
    Import::check_files(feed)?;
    let mut commands = Vec::new();
    for (name, command) in mapping.aggregates() {
        if asked.aggregate.as_deref().is_none_or(|asked| asked == name) {
            commands.push((name.to_owned(), known.named(command)?));
        }
    }
    if let (Some(name), []) = (&asked.aggregate, commands.as_slice()) {
        return Err(Misused(mapping.no_aggregate(name)).into());
    }
    // The folder and its content are deleted when the command ends.
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let url = format!("sqlite:{}", folder.path().join("mirror.db").display());
    let database = Import::open_database(&url).await?;
    let interruption = Interruption::listen();
    // A trial may hash values with any key: they are not compared with those of an installation.
    let key = SecretKey::generate()?;
    let filled = mapping.clone();
    let trial = Trial::fill(filled, database.clone(), key, feed, &NoProgress, interruption.token());
    let trial = match trial.await {
        Err(ImportError::NothingMapped { read, tables_from, tables }) => anyhow::bail!(
            "none of the {read} records belongs to a table of the mapping, whose topics are \
             `{tables_from}` followed by one of {tables}: correct `tables_from` or [tables]"
        ),
        trial => trial.context("cannot read the feed")?,
    };
    anyhow::ensure!(!trial.summary.cancelled, "interrupted while reading the feed");
    let tried = match commands.as_slice() {
        [(name, command)] if !asked.all => one(asked, &mapping, &trial, name, command).await,
        commands => whole::run(&mapping, &trial, commands, asked.json, interruption.token()).await,
    };
    database.close().await;
    tried
}

/// Tries one aggregate.
async fn one(
    asked: &Try,
    mapping: &Mapping,
    trial: &Trial,
    name: &str,
    command: &StatedCommand,
) -> anyhow::Result<ExitCode> {
    let key = match asked.key.as_slice() {
        [key] => key.clone(),
        several => Value::from(several.to_vec()).to_string(),
    };
    let mut look = match trial.look(name, &key).await {
        Err(error @ TrialError::NoRow { .. }) => return Err(Misused(error.to_string()).into()),
        look => look?,
    };
    let answer =
        answer(command, mapping.source(), (look.id, &look.reference), &look.result).await?;
    if !asked.personal {
        mask::look(&mut look, mapping, name, command);
    }
    match asked.json {
        true => output::line(as_json(name, &key, &look, &answer))?,
        false => tell(name, &key, &look, &answer)?,
    }
    Ok(if answer.understood { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn as_json(name: &str, key: &str, look: &Look, answer: &Answer) -> Value {
    let result = match &look.result {
        Ok(Stated::Present(state)) => json!({ "present": state }),
        Ok(Stated::Absent(why)) => json!({ "absent": why }),
        Err(why) => json!({ "error": why }),
    };
    json!({
        "aggregate": name,
        "key": key,
        "id": look.id,
        "legacy_id": look.reference,
        "rows": look.rows,
        "document": look.document,
        "result": result,
        "no_such_rows": look.no_such_rows,
        "command": answer.command,
        "answer": answer.said,
        "understood": answer.understood,
    })
}

fn tell(name: &str, key: &str, look: &Look, answer: &Answer) -> anyhow::Result<()> {
    output::line(format_args!("{name} {key}, id {}", look.id))?;
    output::line("rows:")?;
    for row in &look.rows {
        let place = if row.place.is_empty() { "(root)" } else { &row.place };
        let columns = match &row.columns {
            Some(columns) => serde_json::to_string(columns)?,
            None => "no row".to_owned(),
        };
        output::line(format_args!("  {place}: {} {columns}", row.table))?;
    }
    if let Some(document) = &look.document {
        output::line(format_args!("document:\n{}", serde_json::to_string_pretty(document)?))?;
    }
    match &look.result {
        Ok(Stated::Present(state)) => {
            output::line(format_args!("result:\n{}", serde_json::to_string_pretty(state)?))?;
        }
        Ok(Stated::Absent(why)) => output::line(format_args!("result: absent, {why}"))?,
        Err(why) => output::line(format_args!("result: none, {why}"))?,
    }
    for NoSuchRow { uid, key } in &look.no_such_rows {
        output::line(format_args!("uid(\"{uid}\") of {key}: the feed has no such row"))?;
    }
    output::line(format_args!("{}: {}", answer.command, answer.said))
}
