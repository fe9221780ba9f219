//! `bascule extract`: hands a module over to a service of its own while both run, or back; and writes
//! the workspace that such a service is built from ([`scaffold`]).
//!
//! 1. The service has folded its own read models from the log.
//! 2. The one in charge durably gives the module's policies and reactors away.
//! 3. The other takes them where they were left, with what is parked.
//! 4. The requests that carried an `Idempotency-Key` go along.
//! 5. The system routes requests to whoever is in charge; what was kept until then goes along, too.
//!
//! Every step says so on the disk of the side that takes it, and taking it again changes nothing:
//! whatever was killed, the command is given again.

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

use crate::serve::admin::charge::Standing;
use crate::values::output;
use crate::values::progress::{EVENTS, Meter};

/// How long one answer is waited for. Giving away waits for what is being written at that moment.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How often it is asked how far the read models are.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Kept requests in one message.
const PAGE: usize = 100;
/// Until every replica has seen where requests go: twice as long as they take to look.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// Which module goes from where to where.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The module, such as payments
    module: String,
    /// The second listener of the system that the module leaves (its admin_listen)
    #[arg(long, value_name = "URL", required_unless_present = "scaffold")]
    from_admin: Option<String>,
    /// The service that it goes to, as the system reaches it
    #[arg(long, value_name = "URL", required_unless_present = "scaffold")]
    to: Option<String>,
    /// The second listener of that service
    #[arg(long, value_name = "URL", required_unless_present = "scaffold")]
    to_admin: Option<String>,
    /// Take the module back into the system
    #[arg(long)]
    undo: bool,
    /// With --undo: the service is lost. What it did stands in the log and is recognised; give the
    /// command again without this should it come back
    #[arg(long, requires = "undo")]
    without_the_service: bool,
    /// Hand nothing over: write a workspace of its own for the service, into a folder that is empty or
    /// not there yet
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from_admin", "to", "to_admin", "undo"])]
    scaffold: Option<PathBuf>,
    /// The checkout of the system that it is made from, with --scaffold; the workspace that the current
    /// folder is in unless given
    #[arg(long, value_name = "DIR", requires = "scaffold")]
    source: Option<PathBuf>,
}

/// The admin routes of one module at one side.
struct Side {
    /// What people call it.
    name: String,
    client: reqwest::Client,
    /// Of the module's routes.
    base: String,
    token: Option<String>,
}

/// A problem document, as far as it is told.
#[derive(Deserialize)]
struct Told {
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
                .with_context(|| format!("{name} gave an answer that cannot be understood"));
        }
        let told: Option<Told> = serde_json::from_str(&text).ok();
        let told = told.and_then(|told| told.detail.or(told.title)).unwrap_or_default();
        let hint = match status {
            StatusCode::UNAUTHORIZED => {
                " (BASCULE_ADMIN_TOKEN; the service's, where it is another, BASCULE_TO_ADMIN_TOKEN)"
            }
            _ => "",
        };
        bail!("{name} refuses ({status}): {told}{hint}")
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

    /// Unless somebody made a later hand-over meanwhile.
    async fn route(&self, to: Option<&Url>, epoch: u64) -> anyhow::Result<()> {
        let body = json!({ "to": to.map(Url::as_str), "epoch": epoch });
        self.ask(Method::PUT, "route", Some(body)).await
    }
}

/// Carries out the command.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let module = arguments.module.as_str();
    // A name of a module, not a piece of a path.
    let is_name = module.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    ensure!(is_name && !module.is_empty(), "`{module}` is no name of a module");
    if let Some(folder) = &arguments.scaffold {
        scaffold::write(module, folder, arguments.source.as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let given = |option: &Option<String>| option.clone().context("the command line lacks a URL");
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
        bail!("{module} is on its way back: give the command again with --undo");
    }
    if there.charge.elsewhere.is_none() && system.standing().await?.charge.elsewhere.is_none() {
        bail!(
            "the system and the service both run {module}: start the service with awaits_charge, on a database that is empty. After `--undo --without-the-service` give `--undo` once more, first"
        );
    }
    system.reach(to).await?;
    wait_for_read_models(service, module).await?;
    let handed = system.hand_over(to.as_str()).await?;
    say(&format!("the system gave {module} away (hand-over {})", handed.epoch))?;
    tell_places(&handed)?;
    service.take_over(&handed).await?;
    say(&format!("the service is in charge of {module}"))?;
    let copied = copy_requests(system, service).await?;
    system.route(Some(to), handed.epoch).await?;
    say(&format!("requests to /api/v1/{module} go to {to}"))?;
    // Replicas that had not seen it yet have kept some more.
    tokio::time::sleep(SEEN_WITHIN).await;
    let copied = copied.max(copy_requests(system, service).await?);
    say(&format!("{copied} requests that carried a key went along"))?;
    say(&format!(
        "done. To make it last, set [modules.{module}] remote = \"{to}\" at the system; until then `--undo` takes it back at once"
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
        // Given away, and never taken: nobody is in charge until the service is.
        service.take_over(&system.hand_over(to).await?).await?;
        say(&format!("the hand-over of {module} that was cut off is finished"))?;
    }
    let is_back = here.charge.elsewhere.is_none() && there.charge.elsewhere.is_some();
    let epoch = if is_back {
        here.charge.epoch
    } else {
        let handed = service.hand_over(from_admin).await?;
        say(&format!("the service gave {module} back (hand-over {})", handed.epoch))?;
        tell_places(&handed)?;
        // After `--without-the-service` the system took it before it was given.
        if here.charge.elsewhere.is_some() || handed.epoch > here.charge.epoch {
            system.take_over(&handed).await?;
        }
        handed.epoch.max(here.charge.epoch)
    };
    say(&format!("the system is in charge of {module}"))?;
    let copied = copy_requests(service, system).await?;
    system.route(None, epoch).await?;
    say(&format!("requests to /api/v1/{module} are answered by the system"))?;
    tokio::time::sleep(SEEN_WITHIN).await;
    let copied = copied.max(copy_requests(service, system).await?);
    say(&format!("{copied} requests that carried a key came along"))?;
    say("done. The service may be stopped")
}

/// Takes a module back from a service that does not answer any more. Its policies and reactors go on
/// from where they were given away: what was done since stands in the log.
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
        "the system is in charge of {module} again. Do not let the service come back but to be undone: should it run again, give the command again without --without-the-service"
    ))
}

/// Both sides must read the same log, and recognise the same requests.
fn ensure_alike(here: &Standing, there: &Standing) -> anyhow::Result<()> {
    ensure!(
        here.log_id == there.log_id,
        "the system and the service work on different event stores"
    );
    ensure!(
        here.lookup == there.lookup,
        "the system and the service have different master keys: they would not recognise each other's requests"
    );
    Ok(())
}

async fn wait_for_read_models(side: &Side, module: &str) -> anyhow::Result<()> {
    let meter = Meter::new(format!("{}'s read models of {module}", side.name), EVENTS);
    // The log goes on growing; who has reached this end of it keeps up.
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

/// Lets the other side recognise what this one was asked. How many requests that were.
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
