//! `bascule mapping try`: one aggregate, from the rows of a feed to what its module answers, without a
//! store.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use capture::{Import, JoinedRow, Look, NoProgress, Stated, Trial};
use clap::Args;
use customers::domain::CustomerDecider;
use kernel::codec::Codec;
use kernel::execution::{Cause, Environment};
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::memory::MemoryStore;
use kernel::seams::{SystemClock, new_id};
use kernel::sync::{
    LegacyAggregate, LegacyReference, PERSONAL, StatedCommand, SyncError, SyncOutcome, SyncRequest,
};
use serde_json::{Value, json};

use super::fields::without_null;
use crate::cli::{FAILED, Misused};
use crate::interruption::Interruption;
use crate::output;

/// What to try.
#[derive(Debug, Args)]
pub(super) struct Try {
    /// The mapping
    #[arg(value_name = "FILE")]
    mapping: PathBuf,
    /// Files of captured changes, plain or .gz, in their order
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    feed: Vec<PathBuf>,
    /// The aggregate, as it is named in the mapping
    #[arg(long, value_name = "NAME")]
    aggregate: String,
    /// The key of its root row; once per column where it has several
    #[arg(long, value_name = "VALUE", required = true)]
    key: Vec<String>,
    /// Show what may be about a person, too
    #[arg(long)]
    personal: bool,
    /// Print everything as one JSON object, for machines
    #[arg(long)]
    json: bool,
}

/// What the module says of a result.
struct Answer {
    command: &'static str,
    said: String,
    understood: bool,
}

/// Tries: exit code 1 where the import would put the aggregate in quarantine.
pub(super) async fn run(asked: &Try) -> anyhow::Result<ExitCode> {
    let mapping = Arc::new(super::check::read(&asked.mapping)?);
    Import::check_files(&asked.feed)?;
    let command = mapping.aggregates().find(|(name, _)| *name == asked.aggregate);
    let Some((_, command)) = command else {
        let known: Vec<&str> = mapping.aggregates().map(|(name, _)| name).collect();
        let problem = format!(
            "the mapping has no aggregate `{}`; there are {}",
            asked.aggregate,
            known.join(", ")
        );
        return Err(Misused(problem).into());
    };
    let command = super::named(command)?;
    let source = mapping.source().to_owned();
    // Whatever is in there is gone with the command.
    let folder = tempfile::tempdir().context("a temporary folder cannot be made")?;
    let url = format!("sqlite:{}", folder.path().join("mirror.db").display());
    let database = Import::open_database(&url).await?;
    let interruption = Interruption::listen();
    // Hashed values need not be those of an installation.
    let key = SecretKey::generate()?;
    let trial =
        Trial::fill(mapping, database.clone(), key, &asked.feed, &NoProgress, interruption.token());
    let trial = trial.await.context("the feed cannot be read")?;
    anyhow::ensure!(!trial.summary.cancelled, "interrupted while the feed was read");
    let key = match asked.key.as_slice() {
        [key] => key.clone(),
        several => Value::from(several.to_vec()).to_string(),
    };
    let look = trial.look(&asked.aggregate, &key).await;
    database.close().await;
    let mut look = look?;
    let answer = answer(&command, &source, &look).await?;
    if !asked.personal {
        mask(&mut look, &trial, &asked.aggregate, &command);
    }
    match asked.json {
        true => output::line(as_json(asked, &key, &look, &answer))?,
        false => tell(asked, &key, &look, &answer)?,
    }
    Ok(if answer.understood { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Tells the module, on a store in memory.
async fn answer(command: &StatedCommand, source: &str, look: &Look) -> anyhow::Result<Answer> {
    let told = |said: &str, understood| Answer {
        command: command.name,
        said: said.to_owned(),
        understood,
    };
    let state = match &look.result {
        Ok(stated) => stated.state(),
        Err(why) => return Ok(told(&format!("quarantine: {why}"), false)),
    };
    let clock = Arc::new(SystemClock);
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let codec = Codec::new(Arc::new(MemoryKeyVault::default()));
    let environment = Environment::new(store, codec, clock, SecretKey::generate()?);
    let mut cause = Cause::request(new_id(), "import");
    source.clone_into(&mut cause.origin_system);
    let request = SyncRequest {
        id: look.id,
        legacy: LegacyReference { source: source.to_owned(), id: look.reference.clone() },
        state,
        cause,
    };
    Ok(match command.entrance(environment).sync(request).await {
        Ok(SyncOutcome::Ignored) => told("ignored: it is no such aggregate", true),
        Ok(_) => told("understood", true),
        Err(SyncError::NotUnderstood(why) | SyncError::Impossible(why)) => {
            told(&format!("quarantine: {why}"), false)
        }
        Err(SyncError::Failed(error)) => {
            return Err(anyhow::Error::from_boxed(error).context("the module failed"));
        }
    })
}

/// Takes out what may be about a person.
fn mask(look: &mut Look, trial: &Trial, aggregate: &str, command: &StatedCommand) {
    let personal = trial.personal_columns(CustomerDecider::COMMAND);
    let is_personal = |table: &str, column: &str| {
        personal.get(table).is_some_and(|columns| columns.contains(column))
    };
    for JoinedRow { table, columns, .. } in &mut look.rows {
        for (column, value) in columns.iter_mut().flatten() {
            if is_personal(table, column) {
                blot(value);
            }
        }
    }
    if let Some(document) = &mut look.document {
        trial.each_column(aggregate, document, &mut |table, column, value| {
            if is_personal(table, column) {
                blot(value);
            }
        });
    }
    if let Ok(Stated::Present(state)) = &mut look.result {
        mask_state(state, &command.schema());
    }
}

/// Blots out what a command calls personal, and what it does not know.
fn mask_state(state: &mut Value, schema: &Value) {
    let schema = without_null(schema);
    match state {
        Value::Object(members) => {
            for (name, value) in members {
                match &schema["properties"][name] {
                    field if field.is_object() && field[PERSONAL] != true => {
                        mask_state(value, field);
                    }
                    _ => blot(value),
                }
            }
        }
        Value::Array(values) => {
            values.iter_mut().for_each(|value| mask_state(value, &schema["items"]));
        }
        _ => {}
    }
}

/// Leaves of a value what kind and how long it is.
fn blot(value: &mut Value) {
    let left = match &*value {
        Value::Null => return,
        Value::String(text) => format!("<text of {} characters>", text.chars().count()),
        Value::Number(_) => "<number>".to_owned(),
        Value::Bool(_) => "<true or false>".to_owned(),
        Value::Array(values) => format!("<list of {}>", values.len()),
        Value::Object(_) => "<object>".to_owned(),
    };
    *value = left.into();
}

fn as_json(asked: &Try, key: &str, look: &Look, answer: &Answer) -> Value {
    let result = match &look.result {
        Ok(Stated::Present(state)) => json!({ "present": state }),
        Ok(Stated::Absent(why)) => json!({ "absent": why }),
        Err(why) => json!({ "error": why }),
    };
    json!({
        "aggregate": asked.aggregate,
        "key": key,
        "id": look.id,
        "legacy_id": look.reference,
        "rows": look.rows,
        "document": look.document,
        "result": result,
        "command": answer.command,
        "answer": answer.said,
        "understood": answer.understood,
    })
}

fn tell(asked: &Try, key: &str, look: &Look, answer: &Answer) -> anyhow::Result<()> {
    output::line(format_args!("{} {key}, id {}", asked.aggregate, look.id))?;
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
    output::line(format_args!("{}: {}", answer.command, answer.said))
}
