//! Catch-up: folds the whole log into the orders' read model, with checkpoints, as after the deployment
//! of a new version of it.

use std::time::{Duration, Instant};

use clap::Args;

use crate::latencies::Latencies;
use crate::load::asked_to_stop;
use crate::load::{Measured, bar};
use crate::replica::Replica;
use crate::store::StoreArgs;
use crate::store::refuse_other_stores;
use crate::{Options, command};

/// The interval of updates of the progress bar.
const LOOK: Duration = Duration::from_millis(200);

/// Options of `bascule-bench catch-up`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    /// First fill an empty log with about this many events of orders, not measured
    #[arg(long, value_name = "N", default_value_t = 0)]
    preload: u64,
}

pub async fn measure(place: &StoreArgs, arguments: &Arguments) -> anyhow::Result<Measured> {
    let mut replica = Replica::open(place, "bench").await?;
    let measured = measure_on(&mut replica, arguments).await;
    replica.close().await?;
    measured
}

async fn measure_on(replica: &mut Replica, arguments: &Arguments) -> anyhow::Result<Measured> {
    let environment = replica.environment().clone();
    refuse_other_stores(&*environment.store, &arguments.options).await?;
    if environment.store.head().await? == 0 {
        command::fill(&environment, arguments.preload).await?;
    }
    let head = environment.store.head().await?;
    anyhow::ensure!(head > 0, "the log is empty: fill it with --preload");

    let from = replica.folded_to().await?;
    anyhow::ensure!(
        from < head,
        "the read model has caught up already, so there is nothing to measure"
    );

    let progress = replica.progress().clone();
    let bar = bar(head - from, "{pos} of {len} events");
    let begun = Instant::now();
    replica.start().await?;
    let caught_up = async {
        while !progress.reached(head, LOOK).await {
            bar.set_position(progress.position().saturating_sub(from));
        }
    };
    let interrupted = tokio::select! {
        () = caught_up => false,
        () = asked_to_stop() => true,
    };
    let elapsed = begun.elapsed();
    bar.finish_and_clear();
    let events = progress.position().min(head).saturating_sub(from);
    Ok(Measured { clients: 1, events, elapsed, latencies: Latencies::new(), interrupted })
}
