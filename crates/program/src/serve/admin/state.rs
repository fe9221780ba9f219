//! The state that the routes use.

use std::sync::Arc;

use kernel::execution::Environment;
use kernel::projection::Progress;
use kernel::subscription::SubscriptionState;
use tokio::sync::{OnceCell, watch};
use web_api::Problem;

use super::access::Access;
use super::erasing::Erasing;
use super::jobs::Jobs;
use crate::describe::Descriptions;
use crate::describe::canvas::{Canvas, canvases};
use crate::system::opening::System;
use crate::system::subscriptions::Catalogue;

/// The state of each subscription on this replica, by name.
pub type States = Vec<(String, watch::Receiver<SubscriptionState>)>;

/// The state that the routes use; complete once the system is open.
pub struct Admin {
    pub(super) access: Access,
    running: OnceCell<Running>,
}

/// The open system, as the routes need it.
pub struct Running {
    pub(super) environment: Environment,
    /// The names of the bounded contexts that the binary was built with.
    pub(super) modules: Vec<&'static str>,
    pub(super) canvases: Vec<Canvas>,
    pub(super) erasing: Erasing,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) states: States,
    pub(super) projections: Vec<(String, Progress)>,
    pub(super) jobs: Jobs,
}

impl Running {
    /// Creates the state of a system whose subscriptions are started.
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
    /// Creates the state of a system that is being opened.
    pub fn new(access: Access) -> Self {
        Self { access, running: OnceCell::new() }
    }

    /// Completes the state when the system is open.
    pub fn started(&self, running: Running) -> anyhow::Result<()> {
        self.running.set(running).map_err(|_| anyhow::anyhow!("started twice"))
    }

    /// Cancels work in progress and waits until it has ended.
    pub async fn stop(&self) {
        if let Some(running) = self.running.get() {
            running.jobs.stop().await;
        }
    }

    pub(super) fn running(&self) -> Result<&Running, Problem> {
        self.running.get().ok_or_else(|| Problem::unavailable("the system is starting"))
    }
}
