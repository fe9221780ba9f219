//! Latency of the read model: from sending a command until the order is visible.

use anyhow::ensure;
use clap::Args;
use kernel::projection::Progress;

use crate::Options;
use crate::command::Commander;
use crate::load::{Client, Load, Measured, Request, closed_loop};
use crate::replica::{PATIENCE, Replica};
use crate::store::StoreArgs;
use crate::store::refuse_other_stores;

/// Options of `bascule-bench latency`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(flatten)]
    load: Load,
    /// Let another replica maintain the read model
    #[arg(long)]
    across_replicas: bool,
}

pub async fn measure(place: &StoreArgs, arguments: &Arguments) -> anyhow::Result<Measured> {
    let mut replicas = Vec::new();
    // The first replica to start maintains the read model.
    if arguments.across_replicas {
        replicas.push(Replica::open(place, "bench-folds").await?);
    }
    replicas.push(Replica::open(place, "bench-asks").await?);
    let measured = measure_on(&mut replicas, arguments).await;
    for replica in replicas {
        replica.close().await?;
    }
    measured
}

/// The last replica places orders and waits for them.
async fn measure_on(replicas: &mut [Replica], arguments: &Arguments) -> anyhow::Result<Measured> {
    for replica in replicas.iter_mut() {
        let store = &replica.environment().store;
        refuse_other_stores(&**store, &arguments.options).await?;
        let head = store.head().await?;
        replica.start().await?;
        wait_for(replica.progress(), head).await?;
    }
    let mut clients = Vec::new();
    if let Some(asking) = replicas.last() {
        for _ in 0..arguments.load.clients {
            let commander = Commander::new(asking.environment())?;
            clients.push(Waiting { commander, progress: asking.progress().clone() });
        }
    }
    closed_loop(clients, arguments.load).await
}

struct Waiting {
    commander: Commander,
    progress: Progress,
}

impl Client for Waiting {
    async fn request(&mut self) -> anyhow::Result<Request> {
        let position = self.commander.place().await?;
        wait_for(&self.progress, position).await?;
        Ok(Request::whole(1))
    }
}

async fn wait_for(progress: &Progress, position: u64) -> anyhow::Result<()> {
    ensure!(
        progress.reached(position, PATIENCE).await,
        "the read model does not reach position {position}"
    );
    Ok(())
}
