//! Background tasks beside the listeners: subscriptions, and the upkeep of modules.

use std::time::Duration;

use database::Database;
use kernel::seams::SharedClock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admin::States;
use crate::system::erasure;
use crate::system::opening::System;

/// Maximum time for subscriptions to save their checkpoints at shutdown.
const WIND_DOWN: Duration = Duration::from_secs(10);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Returns the state of each subscription on this replica.
pub fn subscription_states(system: &System) -> States {
    let subscriptions = system.modules.iter().flat_map(|module| &module.subscriptions);
    subscriptions.map(|subscription| (subscription.name(), subscription.state())).collect()
}

/// Starts all background tasks.
pub fn start(system: &mut System, shutdown: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let of_all = system.modules.iter().flat_map(|module| &module.subscriptions);
    let backlogs = of_all.filter_map(|subscription| subscription.backlog()).collect();
    let (admission, clock) = (&system.environment.admission, &system.environment.clock);
    let watching = admission.clone().watch(backlogs, clock.clone());
    let until = shutdown.clone();
    tasks.spawn(async move {
        // Ends only at shutdown.
        until.run_until_cancelled(watching).await;
    });
    for module in &mut system.modules {
        for subscription in std::mem::take(&mut module.subscriptions) {
            tasks.spawn(subscription.run(shutdown.clone()));
        }
        for upkeep in std::mem::take(&mut module.upkeep) {
            tasks.spawn(upkeep(shutdown.clone()));
        }
        tasks.spawn(prune_idempotency(
            module.database.clone(),
            system.environment.clock.clone(),
            shutdown.clone(),
        ));
    }
    tasks.spawn(erasure::forget_what_is_erased(system.environment.clone(), shutdown.clone()));
    tasks
}

async fn prune_idempotency(database: Database, clock: SharedClock, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(PRUNE_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let older_than = clock.now() - web_api::idempotency::REMEMBERED;
        if let Err(error) = web_api::idempotency::prune(&database, older_than).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot remove expired idempotency keys; retrying in an hour"
            );
        }
    }
}

/// Waits until all tasks have ended, for at most [`WIND_DOWN`].
pub async fn wind_down(mut subscriptions: JoinSet<()>) {
    let all = async {
        while let Some(ended) = subscriptions.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a background task failed");
            }
        }
    };
    if tokio::time::timeout(WIND_DOWN, all).await.is_err() {
        // Nothing is lost: the subscriptions continue from their checkpoints.
        tracing::warn!("some subscriptions did not end in time");
    }
}
