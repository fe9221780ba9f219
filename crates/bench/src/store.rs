//! The measured store.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use kernel::codec::Codec;
use kernel::event::EventFilter;
use kernel::execution::Environment;
use kernel::keys::{KeyVault, SecretKey};
use kernel::lease::RuntimeOptions;
use kernel::seams::SystemClock;
use kernel::snapshot::SnapshotStore;
use kernel::store::EventStore;
use store_sqlx::StoreOptions;

use crate::load::Measured;
use crate::{ACTOR, Options};

/// The location of the store.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// URL of the store to measure, such as sqlite:/tmp/bench/bascule.db; events of a benchmark stay in
    /// it for ever
    #[arg(long, value_name = "URL", env = "BASCULE_STORE")]
    pub store: String,
    /// Master key of the store, as 64 hexadecimal digits; a store created for benchmarks has nothing
    /// secret
    #[arg(long, value_name = "KEY", env = "BASCULE_MASTER_KEY", hide_env_values = true,
          default_value_t = "0".repeat(64))]
    pub master_key: String,
}

/// An open store, with the environment of commands and subscriptions.
pub struct Open {
    /// The environment: the event store and everything that uses it.
    pub environment: Environment,
    closing: Closing,
}

enum Closing {
    Near(store_sqlx::Opened),
    Far(store_eventstoredb::Opened),
}

impl StoreArgs {
    /// Opens the store, creating it if needed, for a process with this name.
    pub async fn open(&self, replica: &str) -> anyhow::Result<Open> {
        let clock = Arc::new(SystemClock);
        let context =
            || format!("the event store {} cannot be opened", database::redacted(&self.store));
        if self.store.starts_with("esdb://") {
            let opened = store_eventstoredb::open(&self.store).await.with_context(context)?;
            let environment = environment(&opened.store, &opened.vault, None, replica).await?;
            return Ok(Open { environment, closing: Closing::Far(opened) });
        }
        let key = SecretKey::from_hex(&self.master_key)?;
        let opened = store_sqlx::open(&self.store, &key, clock, StoreOptions::default());
        let opened = opened.await.with_context(context)?;
        let snapshots = Some(&opened.snapshots);
        let environment = environment(&opened.store, &opened.vault, snapshots, replica).await?;
        Ok(Open { environment, closing: Closing::Near(opened) })
    }

    /// Opens the store for a workload, and closes it afterwards.
    pub async fn on_the_store(
        &self,
        workload: impl AsyncFnOnce(&Environment) -> anyhow::Result<Measured>,
    ) -> anyhow::Result<Measured> {
        let open = self.open("bench").await?;
        let measured = workload(&open.environment).await;
        open.close().await;
        measured
    }
}

async fn environment(
    store: &Arc<dyn EventStore>,
    vault: &Arc<dyn KeyVault>,
    snapshots: Option<&Arc<dyn SnapshotStore>>,
    replica: &str,
) -> anyhow::Result<Environment> {
    let lookup_key =
        vault.lookup_key().await.context("cannot read the lookup key of the event store")?;
    let codec = Codec::new(Arc::clone(vault));
    let replica = format!("{replica}:{}", std::process::id());
    let runtime = RuntimeOptions { replica, ..RuntimeOptions::default() };
    let environment = Environment::new(Arc::clone(store), codec, Arc::new(SystemClock), lookup_key)
        .with_runtime(runtime);
    Ok(match snapshots {
        Some(snapshots) => environment.with_snapshots(Arc::clone(snapshots)),
        None => environment,
    })
}

impl Open {
    /// Closes the store and everything that uses it.
    pub async fn close(self) {
        self.environment.finish().await;
        drop(self.environment);
        match self.closing {
            Closing::Near(opened) => opened.close().await,
            Closing::Far(opened) => opened.close(),
        }
    }
}

/// Refuses a store with a log that is not a benchmark's.
pub async fn refuse_other_stores(store: &dyn EventStore, options: &Options) -> anyhow::Result<()> {
    if options.force {
        return Ok(());
    }
    let head = store.head().await?;
    for after in [0, head.saturating_sub(1)] {
        let page = store.read_log(after, &EventFilter::all(), 1).await?;
        anyhow::ensure!(
            page.events.iter().all(|event| event.metadata.actor == ACTOR),
            "the store has events that no benchmark wrote, and events of a benchmark stay for \
             ever; choose another store with --store, or use --force"
        );
    }
    Ok(())
}
