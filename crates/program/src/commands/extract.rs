//! `bascule extract`: hands a module over to a service of its own while both run, or back; and writes
//! the workspace that such a service is built from ([`scaffold`]).
//!
//! 1. The service builds its own read models from the log.
//! 2. The side in charge durably gives up the module's policies and reactors.
//! 3. The other side takes them over at their checkpoints, with their parked events.
//! 4. The stored requests that carried an `Idempotency-Key` are copied.
//! 5. The system routes requests to the side in charge; requests stored until then are copied, too.
//!
//! The side that takes a step records it durably, and every step is idempotent: after a crash of
//! either side or of the command, run the command again.

mod scaffold;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use database::HandOver;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use web_api::forwarding::service;
use web_api::idempotency::KeptRequest;

use crate::serve::admin::placement::Standing;
use crate::values::output;
use crate::values::progress::{EVENTS, Meter};

/// Timeout of one request. A hand-over waits for the writes in progress.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Interval between queries for the progress of the read models.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Number of stored requests per message.
const PAGE: usize = 100;
/// Time after which every replica knows the new route: twice the interval at which replicas look it up.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// Options of `bascule extract`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the module, such as payments
    module: String,
    /// URL of the second listener (admin_listen) of the system that the module leaves
    #[arg(long, value_name = "URL", required_unless_present = "scaffold")]
    from_admin: Option<String>,
    /// URL of the service that takes the module, as the system reaches it
    #[arg(long, value_name = "URL", required_unless_present = "scaffold")]
    to: Option<String>,
    /// URL of the second listener of that service
    #[arg(long, value_name = "URL", required_unless_present = "scaffold")]
    to_admin: Option<String>,
    /// Take the module back into the system
    #[arg(long)]
    undo: bool,
    /// With --undo: take the module back without the service, because it is lost. The log has what the
    /// service did, and the system recognises it. If the service comes back, run the command again
    /// without this option
    #[arg(long, requires = "undo")]
    without_the_service: bool,
    /// Instead of a hand-over: write a Cargo workspace for the service, into a folder that is empty or
    /// does not exist
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from_admin", "to", "to_admin", "undo"])]
    scaffold: Option<PathBuf>,
    /// With --scaffold: checkout of the system to copy from (default: the workspace of the current
    /// folder)
    #[arg(long, value_name = "DIR", requires = "scaffold")]
    source: Option<PathBuf>,
}

/// A client of the admin routes of one module on one side of the hand-over.
struct Side {
    /// Name of the side in messages.
    name: String,
    client: reqwest::Client,
    /// URL of the module's routes.
    base: String,
    token: Option<String>,
}

/// The parts of a problem document that are shown.
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
    title: Option<String>,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

impl Side {
    fn new(
        name: &str,
        client: &reqwest::Client,
        admin: &str,
        module: &str,
        token: Option<String>,
    ) -> anyhow::Result<Self> {
        let base = format!("{}admin/modules/{module}", service(admin)?);
        Ok(Self { name: name.to_owned(), client: client.clone(), base, token })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<T> {
        let name = &self.name;
        let mut request = self.client.request(method, format!("{}/{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await;
        let answer = answer.with_context(|| format!("{name} does not answer"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        if status.is_success() {
            let text = if text.is_empty() { "null" } else { &text };
            return serde_json::from_str(text)
                .with_context(|| format!("{name} sent an invalid answer"));
        }
        let problem: Option<Problem> = serde_json::from_str(&text).ok();
        let problem = problem.and_then(|one| one.detail.or(one.title)).unwrap_or_default();
        let hint = match status {
            StatusCode::UNAUTHORIZED => {
                " (set BASCULE_ADMIN_TOKEN and, if the service has another token, BASCULE_TO_ADMIN_TOKEN)"
            }
            _ => "",
        };
        bail!("{name} refuses ({status}): {problem}{hint}")
    }

    async fn standing(&self) -> anyhow::Result<Standing> {
        self.ask(Method::GET, "charge", None).await
    }

    async fn hand_over(&self, to: &str) -> anyhow::Result<HandOver> {
        self.ask(Method::POST, "hand-over", Some(json!({ "to": to }))).await
    }

    async fn take_over(&self, handed: &HandOver) -> anyhow::Result<()> {
        let _: Value = self.ask(Method::POST, "take-over", Some(json!(handed))).await?;
        Ok(())
    }

    async fn reach(&self, to: &Url) -> anyhow::Result<()> {
        self.ask(Method::POST, "reach", Some(json!({ "to": to.as_str() }))).await
    }

    /// Sets the route of the module, unless a later hand-over has set another.
    async fn route(&self, to: Option<&Url>, epoch: u64) -> anyhow::Result<()> {
        let body = json!({ "to": to.map(Url::as_str), "epoch": epoch });
        self.ask(Method::PUT, "route", Some(body)).await
    }
}

/// Runs the command.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let module = arguments.module.as_str();
    // The name becomes part of a URL: it must not contain other path segments.
    let is_name = module.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    ensure!(
        is_name && !module.is_empty(),
        "`{module}` is not a module name: use lower-case letters and underscores"
    );
    if let Some(folder) = &arguments.scaffold {
        scaffold::write(module, folder, arguments.source.as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let given = |option: &Option<String>| {
        option
            .clone()
            .context("the command line lacks a URL: --from-admin, --to and --to-admin are required")
    };
    let (from_admin, to_admin) = (given(&arguments.from_admin)?, given(&arguments.to_admin)?);
    let to = service(&given(&arguments.to)?)?;
    let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build()?;
    let token = |name| std::env::var(name).ok().filter(|token| !token.is_empty());
    let token_here = token("BASCULE_ADMIN_TOKEN");
    let token_there = token("BASCULE_TO_ADMIN_TOKEN").or_else(|| token_here.clone());
    let system = Side::new("the system", &client, &from_admin, module, token_here)?;
    let service = Side::new("the service", &client, &to_admin, module, token_there)?;
    if arguments.without_the_service {
        take_back_alone(&system, module).await?;
    } else if arguments.undo {
        take_back(&system, &service, module, &from_admin).await?;
    } else {
        extract(&system, &service, module, &to).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn extract(system: &Side, service: &Side, module: &str, to: &Url) -> anyhow::Result<()> {
    let (here, there) = (system.standing().await?, service.standing().await?);
    ensure_alike(&here, &there)?;
    if here.charge.epoch < there.charge.epoch && here.charge.elsewhere.is_some() {
        bail!("the return of {module} is not finished: run the command again with --undo");
    }
    if there.charge.elsewhere.is_none() && system.standing().await?.charge.elsewhere.is_none() {
        bail!(
            "the system and the service both run {module}: start the service with awaits_charge and an empty database. After `--undo --without-the-service`, run `--undo` first"
        );
    }
    system.reach(to).await?;
    wait_for_read_models(service, module).await?;
    let handed = system.hand_over(to.as_str()).await?;
    say(&format!("the system gave up {module} (hand-over {})", handed.epoch))?;
    tell_places(&handed)?;
    service.take_over(&handed).await?;
    say(&format!("the service is in charge of {module}"))?;
    let copied = copy_requests(system, service).await?;
    system.route(Some(to), handed.epoch).await?;
    say(&format!("requests to /api/v1/{module} go to {to}"))?;
    // Replicas that did not know the route yet have stored more requests.
    tokio::time::sleep(SEEN_WITHIN).await;
    let copied = copied.max(copy_requests(system, service).await?);
    say(&format!("copied {copied} requests with an Idempotency-Key"))?;
    say(&format!(
        "done. To make this permanent, set [modules.{module}] remote = \"{to}\" in the configuration of the system; until then `--undo` takes the module back at once"
    ))
}

async fn take_back(
    system: &Side,
    service: &Side,
    module: &str,
    from_admin: &str,
) -> anyhow::Result<()> {
    let here = system.standing().await?;
    let there = service.standing().await.context(
        "if the service is lost, take the module back with --undo --without-the-service",
    )?;
    ensure_alike(&here, &there)?;
    if here.charge.epoch == 0 && there.charge.epoch == 0 {
        bail!("{module} never left the system");
    }
    wait_for_read_models(system, module).await?;
    if let Some(to) = &here.charge.elsewhere
        && there.charge.epoch < here.charge.epoch
    {
        // The system gave the module up and the service never took it: finish that hand-over first.
        service.take_over(&system.hand_over(to).await?).await?;
        say(&format!("finished the interrupted hand-over of {module}"))?;
    }
    let is_back = here.charge.elsewhere.is_none() && there.charge.elsewhere.is_some();
    let epoch = if is_back {
        here.charge.epoch
    } else {
        let handed = service.hand_over(from_admin).await?;
        say(&format!("the service gave {module} back (hand-over {})", handed.epoch))?;
        tell_places(&handed)?;
        // After `--without-the-service` the system is in charge already.
        if here.charge.elsewhere.is_some() || handed.epoch > here.charge.epoch {
            system.take_over(&handed).await?;
        }
        handed.epoch.max(here.charge.epoch)
    };
    say(&format!("the system is in charge of {module}"))?;
    let copied = copy_requests(service, system).await?;
    system.route(None, epoch).await?;
    say(&format!("the system answers requests to /api/v1/{module}"))?;
    tokio::time::sleep(SEEN_WITHIN).await;
    let copied = copied.max(copy_requests(service, system).await?);
    say(&format!("copied {copied} requests with an Idempotency-Key"))?;
    say("done. The service may be stopped")
}

/// Takes a module back from a service that no longer answers. Its policies and reactors continue from
/// the checkpoints at which they were given up: the log has what was done since.
async fn take_back_alone(system: &Side, module: &str) -> anyhow::Result<()> {
    let here = system.standing().await?;
    let never_left = here.charge.epoch == 0 && here.charge.elsewhere.is_none();
    ensure!(!never_left, "{module} never left the system");
    let mut epoch = here.charge.epoch;
    if here.charge.elsewhere.is_some() {
        epoch += 1;
        system.take_over(&HandOver { epoch, subscriptions: Vec::new() }).await?;
    }
    system.route(None, epoch).await?;
    say(&format!(
        "the system is in charge of {module} again. Start the service again only to complete this: then run the command again without --without-the-service"
    ))
}

/// Fails unless both sides read the same log and recognise the same requests.
fn ensure_alike(here: &Standing, there: &Standing) -> anyhow::Result<()> {
    ensure!(here.log_id == there.log_id, "the system and the service use different event stores");
    ensure!(
        here.lookup == there.lookup,
        "the system and the service have different master keys, so they would not recognise each other's requests: configure the same master key"
    );
    Ok(())
}

async fn wait_for_read_models(side: &Side, module: &str) -> anyhow::Result<()> {
    let meter = Meter::new(format!("{}'s read models of {module}", side.name), EVENTS);
    // The log keeps growing; read models that have reached this position keep up.
    let end = side.standing().await?.head;
    loop {
        let standing = side.standing().await?;
        meter.update(standing.projected, standing.head, String::new());
        if standing.projected >= end {
            meter.finish();
            return Ok(());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Copies the stored requests, so that the other side recognises them. Returns their number.
async fn copy_requests(from: &Side, to: &Side) -> anyhow::Result<usize> {
    let mut after = String::new();
    let mut copied = 0;
    loop {
        let path = format!("requests?after={after}&limit={PAGE}");
        let page: Items<KeptRequest> = from.ask(Method::GET, &path, None).await?;
        let Some(last) = page.items.last() else { return Ok(copied) };
        after.clone_from(&last.key);
        copied += page.items.len();
        let _: Value =
            to.ask(Method::POST, "requests", Some(json!({ "items": page.items }))).await?;
    }
}

fn tell_places(handed: &HandOver) -> anyhow::Result<()> {
    for one in &handed.subscriptions {
        let parked = match one.parked.len() {
            0 => String::new(),
            some => format!(", {some} parked"),
        };
        let (name, position) = (&one.subscription, one.checkpoint.position);
        output::line(format_args!("  {name} at position {position}{parked}"))?;
    }
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    output::line(text)
}
