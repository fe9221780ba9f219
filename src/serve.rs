//! `bascule serve`: the system at work, from the first listener to the last commit.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use database::Engine;
use http::{BodyLimit, Configure, Forwarding, Hosts};
use kernel::checkpoint::SubscriptionStore as _;
use kernel::event::Position;
use kernel::outage::milliseconds;
use kernel::projection::Progress;
use kernel::seams::SharedClock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt as _;
use utoipa_swagger_ui::{Config, SwaggerUi};
use wire::WireServer;

use crate::admin::{self, Access, Admin, Running, States};
use crate::compose::{self, System};
use crate::configuration::Configuration;
use crate::forwarding::Routes;
use crate::interruption::asked_to_stop;
use crate::probes::Probes;
use crate::subscriptions::Catalogue;
use crate::{erasure, openapi, output, probes, registry, stores, telemetry};

/// How long requests under way may take to end.
const GRACE_SECONDS: u64 = 10;
/// How long subscriptions may take to save their checkpoints.
const WIND_DOWN: Duration = Duration::from_secs(10);
/// How long connections to databases may take to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);
/// How long the welcome waits for the read models. They may take longer: `/readyz` tells.
const CATCH_UP: Duration = Duration::from_secs(10);
/// Most bytes of a body on the second listener: what is parked goes along with a module.
const ADMIN_BODY_LIMIT: usize = 64 * 1024 * 1024;
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Runs until it is asked to stop.
pub async fn serve(configuration: Configuration) -> anyhow::Result<()> {
    let begun = Instant::now();
    let metrics = telemetry::start_metrics()?;
    let probes = web::Data::new(Probes::new(metrics));
    // Probes first: an orchestrator sees "starting" rather than nothing.
    let access = Access::at(configuration.admin_listen, configuration.admin_token.clone());
    let operations = web::Data::new(Admin::new(access));
    let (admin, admin_address) = admin_server(&configuration, probes.clone(), operations.clone())?;
    let admin_handle = admin.handle();
    let admin_task = tokio::spawn(admin);

    let mut system = compose::open(&configuration).await?;
    let _presence = show_presence(&system, configuration.store.reveal()).await?;
    let (catalogue, states) = (Catalogue::of(&system), subscription_states(&system));
    let shutdown = CancellationToken::new();
    // What is running from here on is stopped in order.
    let asked_to_stop = asked_to_stop();
    let subscriptions = start_subscriptions(&mut system, &configuration, &shutdown);
    let head = system.environment.store.head().await?;
    let projections: Vec<(String, Progress)> =
        system.modules.iter().flat_map(|module| module.projections.clone()).collect();
    let routes = Routes::of(&configuration, &system).await?;
    let (api, address) = api_server(&configuration, &system, routes.forwarding.clone())?;
    let following = tokio::spawn(routes.follow(shutdown.clone()));
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "the API can be reached from outside and asks nobody who they are: put a proxy that authenticates before it"
        );
    }
    let wire = start_wire(&configuration, &system).await?;
    let addresses = Addresses {
        api: address,
        admin: admin_address,
        wire: wire.as_ref().map(WireServer::address),
    };
    let api_handle = api.handle();
    let mut api_task = tokio::spawn(api);
    let running = Running::new(
        system.environment.clone(),
        configuration.clone(),
        catalogue,
        states.clone(),
        projections.clone(),
    );
    operations.started(running)?;
    probes.started(system.environment.store.clone(), head, projections.clone(), states)?;

    let running: Vec<&str> = system.modules.iter().map(|module| module.name).collect();
    let announcing = async {
        let caught_up = caught_up(&projections, head).await;
        announce(&configuration, &addresses, begun.elapsed(), caught_up, &running)?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    let ended = tokio::select! {
        () = asked_to_stop => Ok(()),
        ended = &mut api_task => Err(anyhow::anyhow!("the server ended by itself: {ended:?}")),
        failed = announcing => failed,
    };
    tracing::info!("stopping");
    probes.stopping();
    // No new connections; then the leases, so that another replica goes on at once. Only then the
    // requests that are left: connections to a database that were opened on the threads of the
    // server end with it.
    api_handle.pause().await;
    operations.stop().await;
    shutdown.cancel();
    following.await?;
    tokio::join!(wind_down(subscriptions), async {
        if let Some(wire) = wire {
            wire.stop().await;
        }
    });
    stop(&api_handle).await;
    if tokio::time::timeout(CLOSE_WITHIN, system.close()).await.is_err() {
        // What was acknowledged is stored: only the connections are left.
        tracing::warn!("the database does not answer: its connections are not closed in order");
    }
    stop(&admin_handle).await;
    admin_task.await??;
    tracing::info!("stopped");
    ended
}

async fn stop(server: &ServerHandle) {
    server.stop(true).await;
}

/// Shows other processes on an embedded store that this one is there, for as long as the process is,
/// however it ends. Whoever is alone when it starts knows that the leases it finds are left over,
/// and need not wait for them to expire. On PostgreSQL, whose servers are on several machines, it
/// has to: `None`.
pub async fn show_presence(system: &System, store: &str) -> anyhow::Result<Option<File>> {
    if stores::is_far(store) || Engine::of(store)? != Engine::Sqlite {
        return Ok(None);
    }
    let path = database::sqlite_path(store)?.with_extension("lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = open.with_context(|| format!("the file {} cannot be opened", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {
            for module in &system.modules {
                module.database.release_all().await?;
            }
        }
        Err(TryLockError::WouldBlock) => {
            tracing::info!("another server runs on this store: standing by for its subscriptions");
        }
        Err(TryLockError::Error(error)) => {
            return Err(error)
                .with_context(|| format!("the file {} cannot be locked", path.display()));
        }
    }
    // Held alone for a moment at most: by whoever looks whether it is alone.
    lock.lock_shared().with_context(|| format!("the file {} cannot be locked", path.display()))?;
    Ok(Some(lock))
}

fn subscription_states(system: &System) -> States {
    let subscriptions = system.modules.iter().flat_map(|module| &module.subscriptions);
    subscriptions.map(|subscription| (subscription.name(), subscription.state())).collect()
}

fn start_subscriptions(
    system: &mut System,
    configuration: &Configuration,
    shutdown: &CancellationToken,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let of_all = system.modules.iter().flat_map(|module| &module.subscriptions);
    let backlogs = of_all.filter_map(|subscription| subscription.backlog()).collect();
    let (admission, clock) = (&system.environment.admission, &system.environment.clock);
    let watching = admission.clone().watch(backlogs, clock.clone());
    let until = shutdown.clone();
    tasks.spawn(async move {
        // Ends at the shutdown only.
        until.run_until_cancelled(watching).await;
    });
    for module in &mut system.modules {
        for subscription in std::mem::take(&mut module.subscriptions) {
            tasks.spawn(subscription.run(shutdown.clone()));
        }
        tasks.spawn(prune_idempotency(
            module.database.clone(),
            system.environment.clock.clone(),
            shutdown.clone(),
        ));
    }
    tasks.spawn(erasure::forget_what_is_erased(system.environment.clone(), shutdown.clone()));
    for module in &system.modules {
        let Some(registered) = registry::find(module.name) else { continue };
        let (environment, database) = (system.environment.clone(), module.database.clone());
        let upkeep = registered.upkeep(environment, configuration, database, shutdown.clone());
        if let Some(upkeep) = upkeep {
            tasks.spawn(upkeep);
        }
    }
    tasks
}

async fn prune_idempotency(
    database: database::Database,
    clock: SharedClock,
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(PRUNE_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let older_than = clock.now() - http::idempotency::REMEMBERED;
        if let Err(error) = http::idempotency::prune(&database, older_than).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old idempotency keys could not be removed; trying again in an hour"
            );
        }
    }
}

async fn wind_down(mut subscriptions: JoinSet<()>) {
    let all = async {
        while let Some(ended) = subscriptions.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a subscription ended badly");
            }
        }
    };
    if tokio::time::timeout(WIND_DOWN, all).await.is_err() {
        // Nothing is lost: they go on from their checkpoints.
        tracing::warn!("some subscriptions did not end in time");
    }
}

/// Waits until the read models show what was in the log at the start; `false` when that takes long.
async fn caught_up(projections: &[(String, Progress)], head: Position) -> bool {
    let deadline = tokio::time::Instant::now() + CATCH_UP;
    for (_, progress) in projections {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if !progress.reached(head, left).await {
            return false;
        }
    }
    true
}

fn admin_server(
    configuration: &Configuration,
    probes: web::Data<Probes>,
    operations: web::Data<Admin>,
) -> anyhow::Result<(Server, SocketAddr)> {
    // Its routes are described in docs/operations.md.
    let description = OpenApi::default();
    let hosts = Hosts::of(configuration.admin_listen, &configuration.allowed_hosts);
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(probes.clone())
            .app_data(operations.clone())
            .app_data(BodyLimit(ADMIN_BODY_LIMIT));
        http::finish(app.configure(probes::routes).configure(admin::routes), &description, &hosts)
    });
    let server = server
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(configuration.admin_listen)
        .with_context(|| cannot_listen(configuration.admin_listen, "--admin-listen"))?;
    let address = first(&server.addrs())?;
    Ok((server.run(), address))
}

fn api_server(
    configuration: &Configuration,
    system: &System,
    forwarding: Forwarding,
) -> anyhow::Result<(Server, SocketAddr)> {
    let modules: Vec<Configure> =
        system.modules.iter().map(|module| module.configure.clone()).collect();
    let environment = web::Data::new(system.environment.clone());
    let forwarding = web::Data::new(forwarding);
    let description = openapi::document();
    let hosts = Hosts::of(configuration.listen, &configuration.allowed_hosts);
    let served = web::Data::new(description.to_pretty_json()?);
    let server = HttpServer::new(move || {
        let mut app = App::new().into_utoipa_app();
        for configure in &modules {
            app = app.configure(|config| configure(config));
        }
        let app = app.app_data(environment.clone()).configure(http::history::routes).into_app();
        let app = app
            .app_data(served.clone())
            .route("/openapi.json", web::get().to(serve_description))
            .route("/docs", web::get().to(to_documentation))
            .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")));
        let app = app.app_data(forwarding.clone()).wrap(from_fn(http::forward));
        http::finish(app, &description, &hosts)
    });
    let server = server
        .disable_signals()
        .shutdown_timeout(GRACE_SECONDS)
        .bind(configuration.listen)
        .with_context(|| cannot_listen(configuration.listen, "--listen"))?;
    let address = first(&server.addrs())?;
    Ok((server.run(), address))
}

/// Where the listeners are.
struct Addresses {
    api: SocketAddr,
    admin: SocketAddr,
    wire: Option<SocketAddr>,
}

async fn start_wire(
    configuration: &Configuration,
    system: &System,
) -> anyhow::Result<Option<WireServer>> {
    if configuration.wire.listen.is_none() {
        return Ok(None);
    }
    if configuration.wire.tls.is_some() {
        // Where several kinds of cryptography are linked, rustls takes none by itself. Fails when one
        // is chosen already: EventStoreDB's client does, and is not used where somebody else did.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    let started = WireServer::start(&configuration.wire, system.served()).await;
    Ok(Some(started.context("the store cannot be served to clients of EventStoreDB")?))
}

fn cannot_listen(address: SocketAddr, option: &str) -> String {
    format!("cannot listen on {address}; is another server running? Choose with {option}")
}

fn first(addresses: &[SocketAddr]) -> anyhow::Result<SocketAddr> {
    addresses.first().copied().context("the server listens nowhere")
}

async fn serve_description(description: web::Data<String>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(description.get_ref().clone())
}

async fn to_documentation() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header(("Location", "/docs/")).finish()
}

/// Says where everything is: to people on standard output, to other programs in a file.
fn announce(
    configuration: &Configuration,
    addresses: &Addresses,
    took: Duration,
    caught_up: bool,
    running: &[&str],
) -> anyhow::Result<()> {
    let api = format!("http://{}", addresses.api);
    let admin = format!("http://{}", addresses.admin);
    let tls = configuration.wire.tls.is_some();
    let wire = addresses.wire.map(|address| format!("kurrentdb://{address}?tls={tls}"));
    let milliseconds = milliseconds(took);
    let memory = probes::resident_memory().unwrap_or_default() / (1024 * 1024);
    tracing::info!(
        api,
        admin,
        wire,
        store = %configuration.store,
        started_in_ms = milliseconds,
        resident_mib = memory,
        caught_up,
        "serving"
    );
    let state = if caught_up { "ready" } else { "serving, its read models still catching up" };
    output::line(format_args!("\nbascule is {state}, after {milliseconds} ms, in {memory} MiB."))?;
    output::line(welcome(&api, &admin, wire.as_deref(), running))?;
    if let Some(file) = std::env::var_os("BASCULE_ADDRESS_FILE") {
        let file = Path::new(&file);
        let text = serde_json::json!({ "http": api, "admin": admin, "wire": wire }).to_string();
        // Written aside and moved: a reader sees all of it or nothing.
        let aside = file.with_extension("new");
        std::fs::write(&aside, text)
            .and_then(|()| std::fs::rename(&aside, file))
            .with_context(|| format!("the addresses cannot be written to {}", file.display()))?;
    }
    Ok(())
}

/// Where everything is, and what people may try first.
fn welcome(api: &str, admin: &str, wire: Option<&str>, running: &[&str]) -> String {
    let wire = wire.map(|wire| format!("\n  wire     {wire}")).unwrap_or_default();
    let runs = |name: &str| running.contains(&name);
    let first_steps: String =
        registry::all().filter_map(|module| module.first_steps(api, &runs)).collect();
    format!(
        r#"
  API      {api}/api/v1
  docs     {api}/docs/
  metrics  {admin}/metrics
  probes   {admin}/readyz{wire}

{first_steps}"#
    )
}
