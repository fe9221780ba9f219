//! A process that maintains the orders' read model, or stands by while another one does.

use std::time::Duration;

use anyhow::Context as _;
use database::Database;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::event::Position;
use kernel::execution::Environment;
use kernel::projection::{Progress, Projection as _};
use kernel::subscription::{Subscription, SubscriptionState};
use module::{Alone, NoSettings};
use orders::OrdersModule;
use orders::projections::OrderViews;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::store::{Open, StoreArgs};

/// Maximum time for the read model to show an event.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The orders module with its read model's projection and nothing else.
pub struct Replica {
    open: Open,
    projection: Option<Box<dyn Subscription>>,
    subscription: String,
    database: Database,
    progress: Progress,
    running: Option<JoinHandle<()>>,
    shutdown: CancellationToken,
}

impl Replica {
    /// Opens the module under a replica's name, without starting the projection.
    pub async fn open(place: &StoreArgs, name: &str) -> anyhow::Result<Self> {
        let open = place.open(name).await?;
        let url = database::module_url(&place.store, orders::NAME)?;
        let module =
            module::open(&OrdersModule, open.environment.clone(), &url, NoSettings {}, &Alone);
        let mut module = module.await.context("cannot open the module of orders")?;
        let projection = module
            .subscriptions
            .extract_if(.., |subscription| subscription.name().starts_with(OrderViews::NAME))
            .next()
            .context("the orders have no read model")?;
        let progress = module
            .projections
            .iter()
            .find_map(|(name, progress)| (name == OrderViews::NAME).then(|| progress.clone()))
            .context("the orders have no read model")?;
        Ok(Self {
            open,
            subscription: projection.name(),
            database: module.database.clone(),
            projection: Some(projection),
            progress,
            running: None,
            shutdown: CancellationToken::new(),
        })
    }

    pub fn environment(&self) -> &Environment {
        &self.open.environment
    }

    /// Returns the position of the read model when it was last used; 0 for a new one.
    pub async fn folded_to(&self) -> anyhow::Result<Position> {
        let status = self.database.status(&self.subscription).await?;
        Ok(status.map_or(0, |status| status.checkpoint.position))
    }

    /// Returns the progress of the read model.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Starts the projection; returns when it either runs or stands by.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let projection = self.projection.take().context("the replica was started before")?;
        let mut state = projection.state();
        self.running = Some(tokio::spawn(projection.run(self.shutdown.clone())));
        let settled = state.wait_for(|state| {
            matches!(state, SubscriptionState::Running | SubscriptionState::Standby { .. })
        });
        let settled = tokio::time::timeout(PATIENCE, settled).await;
        settled.context("the projection did not start")?.context("the projection ended")?;
        Ok(())
    }

    pub async fn close(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        if let Some(running) = self.running {
            running.await?;
        }
        self.database.close().await;
        self.open.close().await;
        Ok(())
    }
}
