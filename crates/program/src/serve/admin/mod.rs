//! `/admin/…` on the second listener: operations on a running system.

mod access;
pub mod charge;
mod erase;
mod jobs;
mod modules;
mod parked;
mod subscriptions;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use kernel::execution::Environment;
use kernel::projection::Progress;
use kernel::subscription::SubscriptionState;
use tokio::sync::{OnceCell, watch};
use web_api::Problem;

pub use self::access::Access;
use self::erase::Erasing;
use self::jobs::Jobs;
use crate::describe::Descriptions;
use crate::describe::canvas::{Canvas, canvases};
use crate::system::opening::System;
use crate::system::subscriptions::Catalogue;

/// The state of each subscription on this replica, by name.
pub type States = Vec<(String, watch::Receiver<SubscriptionState>)>;

/// Shared state of the routes.
pub struct Admin {
    access: Access,
    running: OnceCell<Running>,
}

/// The parts of the open system that the routes use.
pub struct Running {
    environment: Environment,
    /// The names of the bounded contexts that the binary was built with.
    modules: Vec<&'static str>,
    canvases: Vec<Canvas>,
    erasing: Erasing,
    catalogue: Arc<Catalogue>,
    states: States,
    projections: Vec<(String, Progress)>,
    jobs: Jobs,
}

impl Running {
    /// Returns the parts of a system whose subscriptions are started.
    pub fn new(
        modules: &Descriptions,
        system: &System,
        states: States,
        projections: Vec<(String, Progress)>,
        catalogue: Catalogue,
    ) -> Self {
        let catalogue = Arc::new(catalogue);
        let jobs = Jobs::new(Arc::clone(&catalogue));
        let environment = system.environment.clone();
        let (erasing, canvases) = (Erasing::of(system), canvases(modules));
        let modules = modules.served().map(|module| module.name).collect();
        Self { environment, modules, canvases, erasing, catalogue, states, projections, jobs }
    }
}

impl Admin {
    /// Returns the state of the routes while the system is starting.
    pub fn new(access: Access) -> Self {
        Self { access, running: OnceCell::new() }
    }

    /// Makes the routes available: the system is open.
    pub fn started(&self, running: Running) -> anyhow::Result<()> {
        self.running.set(running).map_err(|_| anyhow::anyhow!("started twice"))
    }

    /// Cancels running jobs and waits until they have ended.
    pub async fn stop(&self) {
        if let Some(running) = self.running.get() {
            running.jobs.stop().await;
        }
    }

    fn running(&self) -> Result<&Running, Problem> {
        self.running.get().ok_or_else(|| Problem::unavailable("the system is starting"))
    }
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::scope("/admin")
            .wrap(from_fn(access::guard))
            .configure(charge::routes)
            .configure(subscriptions::routes)
            .configure(parked::routes)
            .configure(modules::routes)
            .service(erase::erase),
    );
}
