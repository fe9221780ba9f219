//! `bascule quarantine`: imported aggregates that the mapping could not translate or a module rejected.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use capture::{Held, Import, Mapping, Mirror, NoProgress, PERSONS, QuarantineId, Quarantined};
use clap::{Args, Subcommand};
use database::Database;
use kernel::event::StreamName;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::import;
use super::mapping::mask_document;
use crate::system::Program;
use crate::system::opening::{self, System};
use crate::system::participants::CUSTOMER;
use crate::values::failure::{FAILED, Misused};
use crate::values::interruption::Interruption;
use crate::values::output;

/// Options of `bascule quarantine`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: QuarantineCommand,
}

/// Subcommands of `bascule quarantine`.
#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// List the aggregates in quarantine
    List {
        /// Only this legacy system, by its name in the mapping
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Only this kind of aggregate, by its name in the mapping
        #[arg(long, value_name = "NAME")]
        aggregate: Option<String>,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show one aggregate, the reason for its quarantine, and the document that the mapping's program reads
    Show {
        #[command(flatten)]
        which: Which,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Also show values that may be personal data
        #[arg(long)]
        personal: bool,
    },
    /// Assemble aggregates again from the mirror and send them. A concurrent import of the same legacy
    /// system is stopped
    Replay {
        /// Kind of aggregate, by its name in the mapping
        #[arg(requires = "key", conflicts_with = "all")]
        aggregate: Option<String>,
        /// Key of the aggregate in the legacy system
        key: Option<String>,
        /// Legacy system, by its name in the mapping; required if there are several
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Replay every aggregate in quarantine
        #[arg(long)]
        all: bool,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Erase a person from the mirror who is in no module yet: no later change about them is accepted.
    /// To erase an imported customer, use the API
    Erase {
        #[command(flatten)]
        which: Which,
        /// Confirm; this cannot be undone
        #[arg(long)]
        yes: bool,
    },
    /// Discard an aggregate in its current state: nothing is sent until its rows change again
    Discard {
        #[command(flatten)]
        which: Which,
        /// Confirm; this cannot be undone
        #[arg(long)]
        yes: bool,
    },
}

/// Options that name one aggregate.
#[derive(Debug, Args)]
struct Which {
    /// Kind of aggregate, by its name in the mapping
    aggregate: String,
    /// Key of the aggregate in the legacy system
    key: String,
    /// Legacy system, by its name in the mapping; required if there are several
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

/// Maximum number of aggregates per page.
const PAGE: usize = 500;

/// Runs the command.
pub async fn run(
    program: &Program<'_>,
    Arguments { command }: Arguments,
) -> anyhow::Result<ExitCode> {
    if let QuarantineCommand::Discard { yes: false, .. } = command {
        let hint = "a discarded aggregate is sent only when its rows change again: confirm with \
                    --yes";
        return Err(Misused(hint.to_owned()).into());
    }
    if let QuarantineCommand::Erase { yes: false, .. } = command {
        let hint = "erased data cannot be recovered: confirm with --yes";
        return Err(Misused(hint.to_owned()).into());
    }
    if let QuarantineCommand::Replay { aggregate: None, all: false, .. } = command {
        let hint = "name an aggregate and its key, as `bascule quarantine list` shows them, or use \
                    --all";
        return Err(Misused(hint.to_owned()).into());
    }
    opening::expect_store(&program.configuration).await?;
    let mut system = opening::open(program).await?;
    let done = carry_out(&mut system, command).await;
    system.close().await;
    done
}

async fn carry_out(system: &mut System, command: QuarantineCommand) -> anyhow::Result<ExitCode> {
    let importing = import::mirror_of(system)?;
    let mirror = importing.database.clone();
    match command {
        QuarantineCommand::List { source, aggregate, json } => {
            let source = match source {
                Some(_) => Some(source_of(&mirror, source).await?),
                None => None,
            };
            list(&mirror, source.as_deref(), aggregate.as_deref(), json).await?;
            Ok(ExitCode::SUCCESS)
        }
        QuarantineCommand::Show { which, json, personal } => {
            let id = locate(&mirror, which).await?;
            let entry = Import::quarantined_one(&mirror, &id).await?;
            let entry = entry.ok_or_else(|| not_there(&id))?;
            let import = importer(&importing, &id.source).await?;
            show((&import, &mirror), &entry, json, personal).await?;
            Ok(ExitCode::SUCCESS)
        }
        QuarantineCommand::Erase { which, yes: _ } => {
            let id = locate(&mirror, which).await?;
            let import = importer(&importing, &id.source).await?;
            erase(system, &import, &id).await?;
            let QuarantineId { source, aggregate, key } = &id;
            output::line(format_args!("erased all data of {aggregate} {key} of {source}"))?;
            Ok(ExitCode::SUCCESS)
        }
        QuarantineCommand::Discard { which, yes: _ } => {
            let id = locate(&mirror, which).await?;
            if !Import::discard_quarantined(&mirror, &id).await? {
                return Err(not_there(&id));
            }
            let QuarantineId { source, aggregate, key } = &id;
            output::line(format_args!("discarded {aggregate} {key} of {source}"))?;
            Ok(ExitCode::SUCCESS)
        }
        QuarantineCommand::Replay { aggregate, key, source, all: _, json } => {
            let sources = match &source {
                Some(_) => vec![source_of(&mirror, source).await?],
                None if aggregate.is_none() => Import::sources(&mirror).await?,
                None => vec![source_of(&mirror, None).await?],
            };
            let one = aggregate.zip(key);
            replay(system, &importing, (sources, one), json).await
        }
    }
}

/// Returns the named legacy system, or the only one that was imported here.
async fn source_of(mirror: &Database, named: Option<String>) -> anyhow::Result<String> {
    let known = Import::sources(mirror).await?;
    let problem = match (named, &known[..]) {
        (Some(named), _) if known.contains(&named) => return Ok(named),
        (Some(named), []) => format!("no import of `{named}` was found in this store"),
        (Some(named), _) => {
            format!(
                "no import of `{named}` was found in this store; known are {}",
                known.join(", ")
            )
        }
        (None, [only]) => return Ok(only.clone()),
        (None, []) => "no import was found in this store".to_owned(),
        (None, _) => format!(
            "several legacy systems were imported: name one with --source: {}",
            known.join(", ")
        ),
    };
    Err(Misused(problem).into())
}

async fn locate(mirror: &Database, which: Which) -> anyhow::Result<QuarantineId> {
    let Which { aggregate, key, source } = which;
    Ok(QuarantineId { source: source_of(mirror, source).await?, aggregate, key })
}

fn not_there(id: &QuarantineId) -> anyhow::Error {
    let QuarantineId { source, aggregate, key } = id;
    anyhow::anyhow!("no {aggregate} {key} of {source} is in quarantine")
}

/// Returns an import that uses the mapping of the source's last import.
async fn importer(mirror: &Mirror, source: &str) -> anyhow::Result<Import> {
    let mapping = Import::mapping_of(&mirror.database, source).await?;
    let mapping =
        mapping.with_context(|| format!("no import of `{source}` was found in this store"))?;
    Ok(mirror.import(mapping)?)
}

async fn list(
    mirror: &Database,
    source: Option<&str>,
    aggregate: Option<&str>,
    as_json: bool,
) -> anyhow::Result<()> {
    let mut after = QuarantineId::default();
    let mut any = false;
    loop {
        let page = Import::quarantined(mirror, source, aggregate, &after, PAGE).await?;
        for one in &page {
            any = true;
            if as_json {
                output::line(json!(one))?;
            } else {
                let Quarantined { source, aggregate, key, reason, since } = one;
                let since = since.format("%Y-%m-%d %H:%M:%S");
                output::line(format_args!("{source} {aggregate} {key}  {since}  {reason}"))?;
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = last.id(),
            _ => break,
        }
    }
    if !any {
        if let Some(aggregate) = aggregate {
            expect_aggregate(mirror, source, aggregate).await?;
        }
        if !as_json {
            output::line("nothing is in quarantine")?;
        }
    }
    Ok(())
}

async fn erase(system: &System, import: &Import, id: &QuarantineId) -> anyhow::Result<()> {
    if let Some(known) = import.id_of(id) {
        let stream = StreamName::of(CUSTOMER, known);
        if system.environment.store.read_last(&stream).await?.is_some() {
            let hint = format!(
                "this customer was imported: POST /api/v1/customers/{known}/erase erases what \
                 the modules and the mirror hold"
            );
            return Err(Misused(hint).into());
        }
    }
    if !import.erase_held(id).await? {
        let (aggregate, command) = (&id.aggregate, PERSONS);
        let hint = format!("the mapping has no aggregate `{aggregate}` with the command {command}");
        return Err(Misused(hint).into());
    }
    Ok(())
}

/// Fails if no mapping of an earlier import has an aggregate of this name.
async fn expect_aggregate(
    mirror: &Database,
    source: Option<&str>,
    aggregate: &str,
) -> anyhow::Result<()> {
    let sources = match source {
        Some(source) => vec![source.to_owned()],
        None => Import::sources(mirror).await?,
    };
    let mut known = BTreeSet::new();
    for source in &sources {
        let mapping = Import::mapping_of(mirror, source).await?;
        known.extend(mapping.iter().flat_map(Mapping::aggregates).map(|(name, _)| name.to_owned()));
    }
    if known.is_empty() || known.contains(aggregate) {
        return Ok(());
    }
    let known = Vec::from_iter(known).join(", ");
    Err(Misused(format!("no mapping has an aggregate `{aggregate}`; known aggregates: {known}"))
        .into())
}

async fn show(
    (import, mirror): (&Import, &Database),
    entry: &Quarantined,
    as_json: bool,
    personal: bool,
) -> anyhow::Result<()> {
    let id = entry.id();
    let (document, state) = match import.held(&id).await? {
        Some(Held::Document(mut value)) => {
            if !personal {
                match Import::mapping_of(mirror, &entry.source).await? {
                    Some(mapping) => mask_document(&mut value, &mapping, &entry.aggregate),
                    None => value = hidden(value),
                }
            }
            (value, "is in the mirror".to_owned())
        }
        Some(Held::Deleted) => (Value::Null, "was deleted in the legacy".to_owned()),
        Some(Held::Waiting(why)) => (Value::Null, why),
        None => (Value::Null, "the mapping no longer has this aggregate".to_owned()),
    };
    if as_json {
        let mut shown = json!(entry);
        shown["id"] = json!(import.id_of(&id));
        shown["state"] = state.into();
        shown["document"] = document;
        return output::line(shown);
    }
    let Quarantined { source, aggregate, key, reason, since } = entry;
    output::line(format_args!("{aggregate} {key} of {source}"))?;
    output::line(format_args!("since        {}", since.format("%Y-%m-%d %H:%M:%S")))?;
    output::line(format_args!("reason       {reason}"))?;
    if let Some(id) = import.id_of(&id) {
        output::line(format_args!("id           {id}"))?;
    }
    output::line(format_args!("document     {state}"))?;
    if !document.is_null() {
        output::line(serde_json::to_string_pretty(&document)?)?;
    }
    Ok(())
}

/// Returns the document with every value replaced by `"…"`.
fn hidden(value: Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Array(items) => items.into_iter().map(hidden).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, hidden(value))).collect()
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => "…".into(),
    }
}

async fn replay(
    system: &mut System,
    importing: &Mirror,
    (sources, one): (Vec<String>, Option<(String, String)>),
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if let (Some((aggregate, key)), [source]) = (&one, &sources[..]) {
        let (source, aggregate, key) = (source.clone(), aggregate.clone(), key.clone());
        let id = QuarantineId { source, aggregate, key };
        if Import::quarantined_one(&importing.database, &id).await?.is_none() {
            return Err(not_there(&id));
        }
    }
    // The replay must not bring back erased people.
    let erasing = CancellationToken::new();
    let mirror = &importing.database;
    let taking_out = import::take_out_the_erased(system, importing, &erasing).await?;
    let interruption = Interruption::listen();
    let mut failed = false;
    for source in sources {
        let one = one.clone().map(|(aggregate, key)| QuarantineId {
            source: source.clone(),
            aggregate,
            key,
        });
        let import = importer(importing, &source).await?;
        let replayed = import.replay_quarantine(one.as_ref(), &NoProgress, interruption.token());
        let summary = replayed.await.context("the replay stopped")?;
        let left = match &one {
            Some(one) => Import::quarantined_one(mirror, one).await?,
            None => import.quarantine(1).await?.pop(),
        };
        failed |= left.is_some() || summary.cancelled;
        if as_json {
            output::line(serde_json::to_string(&summary)?)?;
            continue;
        }
        match (&one, left) {
            (Some(one), Some(left)) => output::line(format_args!(
                "{} {} of {source}: still in quarantine: {}",
                one.aggregate, one.key, left.reason
            ))?,
            (Some(one), None) => {
                output::line(format_args!("{} {} of {source}: sent", one.aggregate, one.key))?;
            }
            (None, _) => output::line(format_args!(
                "{source}: {} sent, {} still in quarantine",
                summary.commands.sent - summary.commands.not_understood,
                summary.quarantined
            ))?,
        }
        if summary.unfinished_snapshot || summary.dirty > 0 {
            output::notice(format_args!(
                "{source}: {} aggregates wait for the rest of a snapshot or transaction: \
                 import the missing files first",
                summary.dirty
            ));
            failed = true;
        }
    }
    erasing.cancel();
    taking_out.join_all().await;
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}
