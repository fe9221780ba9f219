//! The listeners of the public API, of operators, and of EventStoreDB clients.

use std::net::SocketAddr;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use module::Configure;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt as _;
use utoipa_swagger_ui::{Config, SwaggerUi};
use web_api::{BodyLimit, Forwarding, Hosts};
use wire::WireServer;

use super::admin::{self, Admin};
use super::probes::{self, Probes};
use crate::configuration::Configuration;
use crate::system::opening::System;

/// Maximum time in seconds for requests in progress to end at shutdown.
const GRACE_SECONDS: u64 = 10;
/// Maximum size in bytes of a request body on the second listener: a hand-over carries parked events.
const ADMIN_BODY_LIMIT: usize = 64 * 1024 * 1024;

/// Returns the second listener and its address.
pub fn admin_server(
    configuration: &Configuration,
    probes: web::Data<Probes>,
    operations: web::Data<Admin>,
) -> anyhow::Result<(Server, SocketAddr)> {
    // docs/operations.md describes the routes of this listener.
    let description = OpenApi::default();
    let hosts = Hosts::of(configuration.admin_listen, &configuration.allowed_hosts);
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(probes.clone())
            .app_data(operations.clone())
            .app_data(BodyLimit(ADMIN_BODY_LIMIT));
        web_api::finish(
            app.configure(probes::routes).configure(admin::routes),
            &description,
            &hosts,
        )
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

/// Returns the listener of the public API and its address.
pub fn api_server(
    configuration: &Configuration,
    description: OpenApi,
    system: &System,
    forwarding: Forwarding,
) -> anyhow::Result<(Server, SocketAddr)> {
    let modules: Vec<Configure> =
        system.modules.iter().map(|module| module.configure.clone()).collect();
    let environment = web::Data::new(system.environment.clone());
    let forwarding = web::Data::new(forwarding);
    let hosts = Hosts::of(configuration.listen, &configuration.allowed_hosts);
    let served = web::Data::new(description.to_pretty_json()?);
    let server = HttpServer::new(move || {
        let mut app = App::new().into_utoipa_app();
        for configure in &modules {
            app = app.configure(|config| configure(config));
        }
        let app = app.app_data(environment.clone()).configure(web_api::history::routes).into_app();
        let app = app
            .app_data(served.clone())
            .route("/openapi.json", web::get().to(serve_description))
            .route("/docs", web::get().to(to_documentation))
            .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")));
        let app = app.app_data(forwarding.clone()).wrap(from_fn(web_api::forward));
        web_api::finish(app, &description, &hosts)
    });
    let server = server
        .disable_signals()
        .shutdown_timeout(GRACE_SECONDS)
        .bind(configuration.listen)
        .with_context(|| cannot_listen(configuration.listen, "--listen"))?;
    let address = first(&server.addrs())?;
    Ok((server.run(), address))
}

/// Starts the wire protocol if it is configured.
pub async fn start_wire(
    configuration: &Configuration,
    system: &System,
) -> anyhow::Result<Option<WireServer>> {
    if configuration.wire.listen.is_none() {
        return Ok(None);
    }
    if configuration.wire.tls.is_some() {
        // rustls selects no provider by itself if several are linked. This fails if a provider is
        // installed already, which is fine: the EventStoreDB client installs one unless there is one.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    let started = WireServer::start(&configuration.wire, system.served()).await;
    Ok(Some(started.context("cannot start the endpoint for EventStoreDB clients")?))
}

fn cannot_listen(address: SocketAddr, option: &str) -> String {
    format!(
        "cannot listen on {address}; is another server running? Choose another address with {option}"
    )
}

fn first(addresses: &[SocketAddr]) -> anyhow::Result<SocketAddr> {
    addresses.first().copied().context("the server has no listening address")
}

async fn serve_description(description: web::Data<String>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(description.get_ref().clone())
}

async fn to_documentation() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header(("Location", "/docs/")).finish()
}
