//! `bascule projections`: looking after read models, policies and reactors.

use std::fs::File;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use database::read_model::{Pruned, Verification};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::system::Program;
use crate::system::opening::{self, System};
use crate::system::presence::show_presence;
use crate::system::subscriptions::overview::Overview;
use crate::system::subscriptions::work::{Outcome, Work};
use crate::system::subscriptions::{Catalogue, Target};
use crate::values::failure::{FAILED, Misused};
use crate::values::interruption::Interruption;
use crate::values::output;
use crate::values::progress::{EVENTS, Meter};

/// What can be done with them.
#[derive(Debug, Subcommand)]
pub enum ProjectionsCommand {
    /// Show how far each one is, who runs it, and what went wrong
    List {
        /// One JSON object a line, for machines
        #[arg(long)]
        json: bool,
    },
    /// Fold the log into read models up to its end, before a rollout for example
    Build {
        /// The projections; all unless given
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// One JSON object a line, for machines
        #[arg(long)]
        json: bool,
    },
    /// Fold read models afresh and replace their rows while they are served; let policies and
    /// reactors begin again, who recognise what they did
    Rebuild(Which),
    /// Fold read models afresh and compare the rows; fail if any differs
    Verify(Which),
    /// Remove the tables of retired versions, and what was left of interrupted rebuilds
    Prune {
        /// One JSON object, for machines
        #[arg(long)]
        json: bool,
    },
}

/// Which ones.
#[derive(Debug, Args)]
pub struct Which {
    /// Their names, with or without the version, unless --all
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
    /// Every projection and, for a rebuild, the policies and reactors that stopped
    #[arg(long)]
    all: bool,
    /// One JSON object a line, for machines
    #[arg(long)]
    json: bool,
}

/// Everything a command about subscriptions works with.
pub struct Desk {
    /// The open system.
    pub system: System,
    /// What there is to look after.
    pub catalogue: Catalogue,
    _presence: Option<File>,
}

impl Desk {
    /// Opens a store that is there.
    pub async fn open(program: &Program<'_>) -> anyhow::Result<Self> {
        opening::expect_store(&program.configuration).await?;
        let system = opening::open(program).await?;
        let store = program.configuration.store.reveal();
        let _presence = show_presence(&system, store).await?;
        let catalogue = Catalogue::of(&system);
        Ok(Self { system, catalogue, _presence })
    }

    /// Closes it.
    pub async fn close(self) {
        let Self { system, catalogue, _presence } = self;
        drop(catalogue);
        system.close().await;
    }
}

/// Carries out the command.
pub async fn run(program: &Program<'_>, command: ProjectionsCommand) -> anyhow::Result<ExitCode> {
    if let ProjectionsCommand::Rebuild(which) | ProjectionsCommand::Verify(which) = &command
        && which.names.is_empty()
        && !which.all
    {
        return Err(Misused("name the subscriptions, or say --all".to_owned()).into());
    }
    let interruption = Interruption::listen();
    let desk = Desk::open(program).await?;
    let done = carry_out(&desk.catalogue, command, interruption.token()).await;
    desk.close().await;
    done
}

async fn carry_out(
    catalogue: &Catalogue,
    command: ProjectionsCommand,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    match command {
        ProjectionsCommand::List { json } => {
            list(&catalogue.overviews().await?, json)?;
            Ok(ExitCode::SUCCESS)
        }
        ProjectionsCommand::Build { names, json } => {
            let which = Which { all: names.is_empty(), names, json };
            work(catalogue, Work::Build, which, cancel).await
        }
        ProjectionsCommand::Rebuild(which) => work(catalogue, Work::Rebuild, which, cancel).await,
        ProjectionsCommand::Verify(which) => work(catalogue, Work::Verify, which, cancel).await,
        ProjectionsCommand::Prune { json } => prune(&catalogue.prune().await?, json),
    }
}

async fn work(
    catalogue: &Catalogue,
    work: Work,
    which: Which,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut targets: Vec<Target> = Vec::new();
    if which.all {
        targets = catalogue.all_targets(work).await?;
    }
    for name in &which.names {
        let target = catalogue.target_of(work, name);
        let target = target.map_err(|error| Misused(error.to_string()))?;
        if targets.iter().all(|other| other.subscription() != target.subscription()) {
            targets.push(target);
        }
    }
    let mut code = ExitCode::SUCCESS;
    for target in &targets {
        let subscription = target.subscription();
        let meter = Meter::new(subscription.as_str(), EVENTS);
        let mut report = |done, total| meter.update(done, total, String::new());
        let outcome = catalogue.carry_out(work, target, &mut report, cancel).await;
        meter.finish();
        let outcome = outcome?;
        if matches!(&outcome, Outcome::Verified(verification) if !verification.is_right()) {
            code = ExitCode::from(FAILED);
        }
        if which.json {
            let mut line = json!(outcome);
            line["subscription"] = subscription.into();
            output::line(line)?;
        } else {
            tell(&subscription, &outcome)?;
        }
    }
    Ok(code)
}

fn tell(subscription: &str, outcome: &Outcome) -> anyhow::Result<()> {
    match outcome {
        Outcome::Built { position } => {
            output::line(format_args!("{subscription}: built up to position {position}"))
        }
        Outcome::Rebuilt(rebuilt) => {
            let parked = match rebuilt.parked {
                0 => String::new(),
                events => format!("; events parked: {events}, see `bascule parked list`"),
            };
            output::line(format_args!(
                "{subscription}: rebuilt up to position {}, rows: {}{parked}",
                rebuilt.position, rebuilt.rows
            ))
        }
        Outcome::Restarted => output::line(format_args!(
            "{subscription}: begins again at the start of the log; what it did already is recognised"
        )),
        Outcome::Verified(verification) => tell_verification(verification),
    }
}

fn tell_verification(verification: &Verification) -> anyhow::Result<()> {
    let Verification { subscription, position, rows, different, differences } = verification;
    if verification.is_right() {
        return output::line(format_args!(
            "{subscription}: right as of position {position}, rows: {rows}"
        ));
    }
    output::line(format_args!(
        "{subscription}: WRONG as of position {position}, rows: {rows}, of which differ: {different}"
    ))?;
    for difference in differences {
        let (table, key, kind) = (difference.table, &difference.key, difference.kind);
        output::line(format_args!("  {table} {key} {kind}"))?;
    }
    if *different > differences.len() as u64 {
        output::line("  …")?;
    }
    output::line(format_args!("  `bascule projections rebuild {subscription}` makes them anew"))
}

fn list(overviews: &[Overview], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        for overview in overviews {
            output::line(json!(overview))?;
        }
        return Ok(());
    }
    let width = overviews.iter().map(|one| one.subscription.len()).max().unwrap_or(0);
    let head = overviews.first().map_or(0, |one| one.head);
    output::line(format_args!("the log ends at position {head}"))?;
    output::line(format_args!(
        "{:<width$}  {:<10}  {:<14}  {:>10}  {:>8}  {:>9}  {:>6}  OWNER",
        "NAME", "KIND", "STATE", "POSITION", "BEHIND", "SECONDS", "PARKED"
    ))?;
    for one in overviews {
        output::line(format_args!(
            "{:<width$}  {:<10}  {:<14}  {:>10}  {:>8}  {:>9.1}  {:>6}  {}",
            one.subscription,
            one.kind.unwrap_or("-"),
            one.state.as_str(),
            one.position,
            one.lag_events,
            one.lag_seconds,
            one.parked,
            one.owner.as_deref().unwrap_or("-"),
        ))?;
        if let (Some(error), Some(at)) = (&one.last_error, one.failed_at) {
            let at = at.format("%Y-%m-%d %H:%M:%S");
            output::line(format_args!("{:<width$}  last error, {at}: {error}", ""))?;
        }
    }
    Ok(())
}

fn prune(pruned: &Pruned, as_json: bool) -> anyhow::Result<ExitCode> {
    let Pruned { subscriptions, tables, scratches, kept } = pruned;
    let code = if kept.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    if as_json {
        output::line(json!(pruned))?;
        return Ok(code);
    }
    for subscription in subscriptions {
        output::line(format_args!("{subscription}: retired, removed"))?;
    }
    for table in tables {
        output::line(format_args!("table {table}: removed"))?;
    }
    for scratch in scratches {
        output::line(format_args!("{scratch}: left over, removed"))?;
    }
    for one in kept {
        output::line(format_args!("{}: still in use by {}, left alone", one.name, one.owner))?;
    }
    if [subscriptions, tables, scratches].iter().all(|list| list.is_empty()) && kept.is_empty() {
        output::line("nothing to remove")?;
    }
    Ok(code)
}
