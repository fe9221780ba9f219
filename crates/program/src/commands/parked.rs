//! `bascule parked`: events that a subscription failed to handle, and later events of the same key.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::event::Position;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::events::{Form, Printer};
use super::projections::Desk;
use crate::system::Program;
use crate::system::subscriptions::parked::{Parked, Replayed, first_of_each_key};
use crate::system::subscriptions::{Catalogue, Located};
use crate::values::failure::{FAILED, Misused};
use crate::values::interruption::Interruption;
use crate::values::output;

/// Subcommands of `bascule parked`.
#[derive(Debug, Subcommand)]
pub enum ParkedCommand {
    /// List parked events
    List {
        /// Only events of this subscription
        #[arg(long, value_name = "NAME")]
        subscription: Option<String>,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show one parked event, its error, and the events that wait behind it
    Show {
        /// Name of the subscription
        subscription: String,
        /// Position of the event in the log
        position: Position,
        #[command(flatten)]
        form: Form,
    },
    /// Ask the replica that runs the subscription to retry events, and wait for the result
    Replay {
        /// Name of the subscription
        subscription: String,
        /// Position of the event in the log; later events of its key are replayed after it
        #[arg(conflicts_with = "all")]
        position: Option<Position>,
        /// Replay all parked events of the subscription
        #[arg(long)]
        all: bool,
        /// Do not wait for the result
        #[arg(long)]
        no_wait: bool,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Discard an event for good: the subscription never handles it
    Discard {
        /// Name of the subscription
        subscription: String,
        /// Position of the event in the log
        position: Position,
        /// Confirm; this cannot be undone
        #[arg(long)]
        yes: bool,
    },
}

/// Maximum number of parked events per page.
const PAGE: usize = 500;
/// Maximum number of waiting events shown.
const WAITING: usize = 20;
/// Maximum time to wait for the replica that runs the subscription.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval between checks of the result.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the command.
pub async fn run(program: &Program<'_>, command: ParkedCommand) -> anyhow::Result<ExitCode> {
    if let ParkedCommand::Discard { yes: false, .. } = command {
        let hint = "a discarded event is never handled: confirm with --yes";
        return Err(Misused(hint.to_owned()).into());
    }
    if let ParkedCommand::Replay { position: None, all: false, .. } = command {
        let hint =
            "name the event by its position, as `bascule parked list` shows it, or use --all";
        return Err(Misused(hint.to_owned()).into());
    }
    let interruption = Interruption::listen();
    let desk = Desk::open(program).await?;
    let done = carry_out(&desk, command, interruption.token()).await;
    desk.close().await;
    done
}

async fn carry_out(
    desk: &Desk,
    command: ParkedCommand,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let catalogue = &desk.catalogue;
    match command {
        ParkedCommand::List { subscription, json } => {
            list(catalogue, subscription.as_deref(), json).await?;
            Ok(ExitCode::SUCCESS)
        }
        ParkedCommand::Show { subscription, position, form } => {
            show(desk, &locate(catalogue, &subscription).await?, position, form).await?;
            Ok(ExitCode::SUCCESS)
        }
        ParkedCommand::Replay { subscription, position, all: _, no_wait, json } => {
            let located = locate_here(catalogue, &subscription).await?;
            let positions = match position {
                Some(position) => vec![position],
                None => first_of_each_key(&catalogue.all_parked(&located).await?),
            };
            let cancel = if no_wait { None } else { Some(cancel) };
            replay(&located, &positions, cancel, json).await
        }
        ParkedCommand::Discard { subscription, position, yes: _ } => {
            let located = locate_here(catalogue, &subscription).await?;
            if !located.database.discard(&located.subscription, position).await? {
                return Err(not_parked(&located, position));
            }
            let name = &located.subscription;
            output::line(format_args!("{name}: discarded the event at position {position}"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn locate(catalogue: &Catalogue, name: &str) -> anyhow::Result<Located> {
    let located = catalogue.locate(name).await?;
    located.ok_or_else(|| Misused(catalogue.unknown(name).to_string()).into())
}

/// Locates a subscription whose parked events this system decides on.
async fn locate_here(catalogue: &Catalogue, name: &str) -> anyhow::Result<Located> {
    let located = locate(catalogue, name).await?;
    match located.gone().await? {
        None => Ok(located),
        Some(complaint) => Err(Misused(complaint).into()),
    }
}

fn not_parked(located: &Located, position: Position) -> anyhow::Error {
    let name = &located.subscription;
    anyhow::anyhow!("no event at position {position} is parked for {name}")
}

async fn list(catalogue: &Catalogue, of: Option<&str>, as_json: bool) -> anyhow::Result<()> {
    let of = match of {
        Some(name) => Some(locate(catalogue, name).await?.subscription),
        None => None,
    };
    let mut last: Option<Parked> = None;
    loop {
        let after = last.as_ref().map(|last| (last.subscription.as_str(), last.position));
        let page = catalogue.parked(of.as_deref(), after, PAGE).await?;
        for event in &page {
            if as_json {
                output::line(json!(event))?;
            } else {
                let Parked { subscription, position, attempts, error, .. } = event;
                let at = event.parked_at.format("%Y-%m-%d %H:%M:%S");
                output::line(format_args!(
                    "{subscription} {position}  {at}  attempts: {attempts}  {error}"
                ))?;
            }
        }
        let is_last = page.len() < PAGE;
        last = page.into_iter().next_back().or(last);
        if is_last {
            break;
        }
    }
    if last.is_none() && !as_json {
        output::line("no event is parked")?;
    }
    Ok(())
}

async fn show(desk: &Desk, of: &Located, position: Position, form: Form) -> anyhow::Result<()> {
    let parked = of.parked_at(position).await?.ok_or_else(|| not_parked(of, position))?;
    let event = desk.catalogue.event_of(&parked).await?;
    let waiting = of.waiting_behind(&parked, WAITING + 1).await?;
    let printer = Printer::new(desk.system.environment.codec.clone(), form);
    if form.is_json() {
        let mut shown = json!(parked);
        shown["event"] = match &event {
            Some(event) => printer.json(event).await?,
            None => serde_json::Value::Null,
        };
        shown["waiting"] = json!(waiting);
        return output::line(shown);
    }
    match &event {
        Some(event) => printer.print(event).await?,
        None => {
            output::line("this event is no longer in the log: the log was replaced or restored")?
        }
    }
    let Parked { subscription, key, error, attempts, replay_requested, .. } = &parked;
    let at = parked.parked_at.format("%Y-%m-%d %H:%M:%S");
    output::line(format_args!("parked for   {subscription}, {at}"))?;
    output::line(format_args!("error        {error}"))?;
    output::line(format_args!("attempts     {attempts}"))?;
    output::line(format_args!("key          {key}"))?;
    if *replay_requested {
        output::line("             a replay is requested")?;
    }
    let more = if waiting.len() > WAITING { " …" } else { "" };
    let positions: Vec<_> = waiting.iter().take(WAITING).map(ToString::to_string).collect();
    let positions = if positions.is_empty() { "nothing".to_owned() } else { positions.join(" ") };
    output::line(format_args!("behind it    {positions}{more}"))
}

/// Requests a replay of the events. With `wait`, waits for the results until it is cancelled.
async fn replay(
    of: &Located,
    positions: &[Position],
    wait: Option<&CancellationToken>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let name = &of.subscription;
    for position in positions {
        if !of.database.request_replay(name, *position).await? {
            return Err(not_parked(of, *position));
        }
    }
    if positions.is_empty() {
        output::notice(format_args!("no event is parked for {name}"));
        return Ok(ExitCode::SUCCESS);
    }
    let owner = of.owner().await?;
    if owner.is_none() {
        output::notice(format_args!(
            "no process runs {name} now: the events are retried when one starts"
        ));
    }
    if let Some(cancel) = wait.filter(|_| owner.is_some()) {
        until_replayed(of, positions, cancel).await?;
    }
    let mut code = ExitCode::SUCCESS;
    for position in positions {
        let outcome = of.replayed(*position).await?;
        if outcome != Replayed::Handled && wait.is_some() {
            code = ExitCode::from(FAILED);
        }
        if as_json {
            let mut line = json!(outcome);
            line["subscription"] = name.as_str().into();
            line["position"] = (*position).into();
            output::line(line)?;
            continue;
        }
        output::line(match outcome {
            Replayed::Handled => format!("{name} {position}: handled"),
            Replayed::Failed { error, attempts } => {
                format!("{name} {position}: failed again, attempts: {attempts}: {error}")
            }
            Replayed::Outstanding => format!("{name} {position}: replay pending"),
        })?;
    }
    Ok(code)
}

/// Waits until no replay is outstanding, for at most [`PATIENCE`].
async fn until_replayed(
    of: &Located,
    positions: &[Position],
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let all = async {
        for position in positions {
            while of.replayed(*position).await? == Replayed::Outstanding {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        all = all => all,
        () = tokio::time::sleep(PATIENCE) => Ok(()),
        () = cancel.cancelled() => Ok(()),
    }
}
