//! The modules whose requests are forwarded to another service: by configuration, or after a hand-over
//! at run time.

use std::collections::BTreeMap;
use std::time::Duration;

use database::Database;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use web_api::Forwarding;
use web_api::forwarding::{Route, service};

use crate::configuration::Configuration;
use crate::system::opening::System;

/// Interval between reads of the modules' routes. Until a replica knows a new route, it answers requests
/// itself; this is harmless, because it writes to the same log.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The routes of the modules' requests, and the tasks that follow changes of them.
pub struct Routes {
    /// The routes as the server uses them.
    pub forwarding: Forwarding,
    following: Vec<Following>,
}

/// The route of one module that also runs in this process.
struct Following {
    module: &'static str,
    database: Database,
    route: watch::Sender<Option<reqwest::Url>>,
}

impl Routes {
    /// Reads the current routes.
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

    /// Follows changes until the shutdown, even if a database is unavailable.
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
                    tracing::debug!(module, %error, "cannot read the route of the module");
                }
            }
        }
    }
}

impl Following {
    async fn look(&self) -> anyhow::Result<()> {
        let route = self.database.placement().await?.route;
        let route = route.as_deref().map(service).transpose()?;
        self.route.send_if_modified(|known| {
            let changes = *known != route;
            if changes {
                let to = route.as_ref().map(ToString::to_string);
                tracing::info!(module = self.module, to, "the route of the module changed");
                known.clone_from(&route);
            }
            changes
        });
        Ok(())
    }
}
