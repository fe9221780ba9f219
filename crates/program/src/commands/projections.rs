//! `bascule projections`: operates read models, policies and reactors.

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

/// Subcommands of `bascule projections`.
#[derive(Debug, Subcommand)]
pub enum ProjectionsCommand {
    /// List subscriptions with state, position, lag, owner and last error
    List {
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Build read models up to the end of the log, for example before a rollout
    Build {
        /// Projections to build (default: all)
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Rebuild read models from the log while they are served, then replace their rows; restart
    /// policies and reactors from the start of the log, where they recognise what they already did
    Rebuild(Which),
    /// Rebuild read models in scratch tables and compare the rows; fail if any row differs
    Verify(Which),
    /// Remove the tables of retired versions and the remains of interrupted rebuilds
    Prune {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// The subscriptions that a command works on.
#[derive(Debug, Args)]
pub struct Which {
    /// Subscription names, with or without the version; not with --all
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
    /// Select every projection and, for rebuild, every stopped policy and reactor
    #[arg(long)]
    all: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// The open system and its subscriptions, for commands that operate on subscriptions.
pub struct Desk {
    /// The open system.
    pub system: System,
    /// The subscriptions of the system.
    pub catalogue: Catalogue,
    _presence: Option<File>,
}

impl Desk {
    /// Opens an existing store.
    pub async fn open(program: &Program<'_>) -> anyhow::Result<Self> {
        opening::expect_store(&program.configuration).await?;
        let system = opening::open(program).await?;
        let store = program.configuration.store.reveal();
        let _presence = show_presence(&system, store).await?;
        let catalogue = Catalogue::of(&system);
        Ok(Self { system, catalogue, _presence })
    }

    /// Closes the system.
    pub async fn close(self) {
        let Self { system, catalogue, _presence } = self;
        drop(catalogue);
        system.close().await;
    }
}

/// Runs the command.
pub async fn run(program: &Program<'_>, command: ProjectionsCommand) -> anyhow::Result<ExitCode> {
    if let ProjectionsCommand::Rebuild(which) | ProjectionsCommand::Verify(which) = &command
        && which.names.is_empty()
        && !which.all
    {
        return Err(Misused("name at least one subscription, or use --all".to_owned()).into());
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
            "{subscription}: restarts at the beginning of the log; it recognises what it already did"
        )),
        Outcome::Verified(verification) => tell_verification(verification),
    }
}

fn tell_verification(verification: &Verification) -> anyhow::Result<()> {
    let Verification { subscription, position, rows, different, differences } = verification;
    if verification.is_right() {
        return output::line(format_args!(
            "{subscription}: correct as of position {position}, rows: {rows}"
        ));
    }
    output::line(format_args!(
        "{subscription}: WRONG as of position {position}, rows: {rows}, wrong: {different}"
    ))?;
    for difference in differences {
        let (table, key, kind) = (difference.table, &difference.key, difference.kind);
        output::line(format_args!("  {table} {key} {kind}"))?;
    }
    if *different > differences.len() as u64 {
        output::line("  …")?;
    }
    output::line(format_args!("  run `bascule projections rebuild {subscription}` to correct them"))
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
        output::line(format_args!("{subscription}: removed (retired)"))?;
    }
    for table in tables {
        output::line(format_args!("table {table}: removed"))?;
    }
    for scratch in scratches {
        output::line(format_args!("{scratch}: removed (left over)"))?;
    }
    for one in kept {
        output::line(format_args!("{}: still in use by {}, kept", one.name, one.owner))?;
    }
    if [subscriptions, tables, scratches].iter().all(|list| list.is_empty()) && kept.is_empty() {
        output::line("nothing to remove")?;
    }
    Ok(code)
}
