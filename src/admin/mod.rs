//! `/admin/…` on the second listener: what operators do to a running system.

mod access;
pub mod charge;
pub mod erase;
mod jobs;
mod modules;
mod parked;
mod subscriptions;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use http::Problem;
use kernel::execution::Environment;
use kernel::projection::Progress;
use kernel::subscription::SubscriptionState;
use tokio::sync::{OnceCell, watch};

pub use self::access::Access;
use self::jobs::Jobs;
use crate::configuration::Configuration;
use crate::subscriptions::Catalogue;

/// How each subscription is on this replica, by name.
pub type States = Vec<(String, watch::Receiver<SubscriptionState>)>;

/// What the routes work with, once the system is open.
pub struct Admin {
    access: Access,
    running: OnceCell<Running>,
}

/// The open system, as far as the routes need it.
pub struct Running {
    environment: Environment,
    configuration: Configuration,
    catalogue: Arc<Catalogue>,
    states: States,
    projections: Vec<(String, Progress)>,
    jobs: Jobs,
}

impl Running {
    /// A system whose subscriptions are started.
    pub fn new(
        environment: Environment,
        configuration: Configuration,
        catalogue: Catalogue,
        states: States,
        projections: Vec<(String, Progress)>,
    ) -> Self {
        let catalogue = Arc::new(catalogue);
        let jobs = Jobs::new(Arc::clone(&catalogue));
        Self { environment, configuration, catalogue, states, projections, jobs }
    }
}

impl Admin {
    /// Routes of a system that is being opened.
    pub fn new(access: Access) -> Self {
        Self { access, running: OnceCell::new() }
    }

    /// The system is open.
    pub fn started(&self, running: Running) -> anyhow::Result<()> {
        self.running.set(running).map_err(|_| anyhow::anyhow!("started twice"))
    }

    /// Cancels what is under way, and waits until it has ended.
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
