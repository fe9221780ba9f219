//! Which modules are answered for by another service: those that are configured so, and those that
//! were handed over while the system runs.

use std::collections::BTreeMap;
use std::time::Duration;

use database::Database;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use web_api::Forwarding;
use web_api::forwarding::{Route, service};

use crate::configuration::Configuration;
use crate::system::opening::System;

/// How often it is looked where a module is answered for. Until a replica knows, it answers itself:
/// that does no harm, because what it writes goes into the same log.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where each module's requests go, and what follows the changes of it.
pub struct Routes {
    /// For the server.
    pub forwarding: Forwarding,
    following: Vec<Following>,
}

/// The route of one module that runs here, too.
struct Following {
    module: &'static str,
    database: Database,
    route: watch::Sender<Option<reqwest::Url>>,
}

impl Routes {
    /// The routes as they are now.
    pub async fn of(configuration: &Configuration, system: &System) -> anyhow::Result<Self> {
        let mut routes: BTreeMap<String, Route> = BTreeMap::new();
        for (module, settings) in &configuration.modules {
            if let Some(remote) = &settings.remote {
                let (_, route) = watch::channel(Some(service(remote.reveal())?));
                routes.insert(module.clone(), route);
            }
        }
        let mut following = Vec::new();
        for module in &system.modules {
            let followed = Following {
                module: module.name,
                database: module.database.clone(),
                route: watch::Sender::new(None),
            };
            followed.look().await?;
            routes.insert(module.name.to_owned(), followed.route.subscribe());
            following.push(followed);
        }
        Ok(Self { forwarding: Forwarding::new(routes)?, following })
    }

    /// Follows the changes until it is told to stop, though a database does not answer.
    pub async fn follow(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.follow_on()).await;
    }

    async fn follow_on(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for followed in &self.following {
                if let Err(error) = followed.look().await {
                    let module = followed.module;
                    tracing::debug!(module, %error, "it is not known where it is answered for");
                }
            }
        }
    }
}

impl Following {
    async fn look(&self) -> anyhow::Result<()> {
        let route = self.database.charge().await?.route;
        let route = route.as_deref().map(service).transpose()?;
        self.route.send_if_modified(|known| {
            let changes = *known != route;
            if changes {
                let to = route.as_ref().map(ToString::to_string);
                tracing::info!(module = self.module, to, "requests to the module are routed");
                known.clone_from(&route);
            }
            changes
        });
        Ok(())
    }
}
