//! Event stores by URL: `sqlite:…` and `postgres://…` opened directly, `esdb://…` over the network.

use std::sync::Arc;

use kernel::keys::KeyVault;
use kernel::seams::SystemClock;
use kernel::snapshot::SnapshotStore;
use kernel::store::EventStore;
use store_sqlx::StoreOptions;

use crate::configuration::{Configuration, is_far};
use crate::system::master_key;

/// An open event store.
pub struct Opened {
    /// The event store.
    pub store: Arc<dyn EventStore>,
    /// The key vault of personal data.
    pub vault: Arc<dyn KeyVault>,
    /// Snapshots of aggregates with long streams; `None` if the store has none.
    pub snapshots: Option<Arc<dyn SnapshotStore>>,
    closing: Closing,
}

enum Closing {
    Near(store_sqlx::Opened),
    Far(store_eventstoredb::Opened),
}

/// Opens the configured store. Creates it if it does not exist and is not remote.
pub async fn open(configuration: &Configuration) -> anyhow::Result<Opened> {
    let url = configuration.store.reveal();
    if is_far(url) {
        return open_far(url).await;
    }
    let master_key = master_key::of(configuration).await?;
    let clock = Arc::new(SystemClock);
    let opened = store_sqlx::open(url, &master_key, clock, StoreOptions::default()).await?;
    Ok(Opened {
        store: Arc::clone(&opened.store),
        vault: Arc::clone(&opened.vault),
        snapshots: Some(Arc::clone(&opened.snapshots)),
        closing: Closing::Near(opened),
    })
}

/// Opens a remote store. It also keeps the keys: this process needs no master key.
async fn open_far(url: &str) -> anyhow::Result<Opened> {
    let opened = store_eventstoredb::open(url).await?;
    Ok(Opened {
        store: Arc::clone(&opened.store),
        vault: Arc::clone(&opened.vault),
        snapshots: None,
        closing: Closing::Far(opened),
    })
}

impl Opened {
    /// Finishes queued work and closes every connection.
    pub async fn close(self) {
        match self.closing {
            Closing::Near(opened) => opened.close().await,
            Closing::Far(opened) => opened.close(),
        }
    }
}
