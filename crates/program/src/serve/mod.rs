//! `bascule serve`: starts, runs and stops the system.

pub mod admin;
mod background;
mod forwarding;
mod listeners;
mod probes;
mod welcome;

use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::web;
use kernel::event::Position;
use kernel::projection::{Patience, Progress};
use tokio_util::sync::CancellationToken;
use wire::WireServer;

use self::admin::{Access, Admin, Running};
use self::background::{start, subscription_states, wind_down};
use self::forwarding::Routes;
use self::listeners::{admin_server, api_server, start_wire};
use self::probes::Probes;
use self::welcome::{Addresses, announce, first_steps};
use crate::describe::{Descriptions, openapi};
use crate::system::presence::show_presence;
use crate::system::subscriptions::Catalogue;
use crate::system::{Program, opening, telemetry};
use crate::values::interruption::asked_to_stop;

/// Maximum time for the connections to databases to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Runs until the process is asked to stop.
pub async fn serve(program: &Program<'_>) -> anyhow::Result<()> {
    let begun = Instant::now();
    let configuration = &program.configuration;
    let modules = Descriptions::from(program.modules);
    let metrics = telemetry::start_metrics()?;
    let probes = web::Data::new(Probes::new(metrics));
    // Probes start first, so that an orchestrator sees "starting" rather than a refused connection.
    let access = Access::at(configuration.admin_listen, configuration.admin_token.clone());
    let operations = web::Data::new(Admin::new(access));
    let (admin, admin_address) = admin_server(configuration, probes.clone(), operations.clone())?;
    let admin_handle = admin.handle();
    let admin_task = tokio::spawn(admin);

    let mut system = opening::open(program).await?;
    let _presence = show_presence(&system, configuration.store.reveal()).await?;
    let (catalogue, states) = (Catalogue::of(&system), subscription_states(&system));
    let shutdown = CancellationToken::new();
    // From here on, a signal stops the tasks in order.
    let asked_to_stop = asked_to_stop();
    let subscriptions = start(&mut system, &shutdown);
    let head = system.environment.store.head().await?;
    let projections: Vec<(String, Progress)> =
        system.modules.iter().flat_map(|module| module.projections.clone()).collect();
    let routes = Routes::of(configuration, &system).await?;
    let description = openapi::document(&modules);
    let (api, address) =
        api_server(configuration, description, &system, routes.forwarding.clone())?;
    let following = tokio::spawn(routes.follow(shutdown.clone()));
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "the API is reachable from other machines and does not authenticate requests: put an authenticating proxy in front of it"
        );
    }
    let wire = start_wire(configuration, &system).await?;
    let addresses = Addresses {
        api: address,
        admin: admin_address,
        wire: wire.as_ref().map(WireServer::address),
    };
    let api_handle = api.handle();
    let mut api_task = tokio::spawn(api);
    let running = Running::new(&modules, &system, states.clone(), projections.clone(), catalogue);
    operations.started(running)?;
    probes.started(system.environment.store.clone(), head, projections.clone(), states)?;

    let first_steps = first_steps(&system.modules, address);
    let announcing = async {
        let caught_up = caught_up(&projections, head).await;
        announce(configuration, &addresses, begun.elapsed(), caught_up, &first_steps)?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    let ended = tokio::select! {
        () = asked_to_stop => Ok(()),
        ended = &mut api_task => Err(anyhow::anyhow!("the server stopped unexpectedly: {ended:?}")),
        failed = announcing => failed,
    };
    tracing::info!("stopping");
    probes.stopping();
    // First refuse new connections; then release the leases, so that another replica continues at
    // once; then finish the remaining requests: database connections that were opened on the server's
    // threads end with the server.
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
        // Acknowledged writes are stored; only the connections are still open.
        tracing::warn!(
            "the database does not respond; dropping its connections without a regular close"
        );
    }
    stop(&admin_handle).await;
    admin_task.await??;
    tracing::info!("stopped");
    ended
}

async fn stop(server: &ServerHandle) {
    server.stop(true).await;
}

/// Waits until the read models include the end of the log at the start. Returns `false` if that
/// exceeds the time limit; `/readyz` reports it later.
async fn caught_up(projections: &[(String, Progress)], head: Position) -> bool {
    let all: Vec<&Progress> = projections.iter().map(|(_, progress)| progress).collect();
    Progress::all_reached(&all, head, Patience::Start).await
}
