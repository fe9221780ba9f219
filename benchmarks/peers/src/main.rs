//! One measured run of one peer, closed loop: `peers umadb|postgres-es|pg-plain|pg-single-writer|bascule-wire`.
//!
//! The environment says what to do: `WORKLOAD` (append, append10, readall), `CLIENTS`, `SECONDS`,
//! `PRELOAD` (events that readall finds), `PG_URL`, `UMA_URL`, `WIRE_URL`. Prints one JSON line.

mod bare;
mod measuring;
mod payload;
mod postgres_es;
mod umadb;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;

use crate::measuring::Meter;

/// One client's connection to a peer.
#[async_trait]
pub trait Peer: Send + Sync + 'static {
    /// Appends events to a fresh stream, which must not exist.
    async fn append(&self, events: usize) -> Result<()>;

    /// Reads the log once from its start, or until time is up; `true` at the end of the log.
    async fn read_all(&self, meter: &mut Meter) -> Result<bool>;
}

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Concurrent clients.
    pub clients: usize,
    /// How long.
    pub seconds: f64,
    /// Events of one append; 0 reads the log instead.
    pub batch: usize,
    /// Events in the log that is read.
    pub preload: u64,
}

impl Run {
    fn from_environment() -> Result<Self> {
        let (batch, preload) = match variable("WORKLOAD")?.as_str() {
            "append" => (1, 0),
            "append10" => (10, 0),
            "readall" => (0, variable("PRELOAD")?.parse()?),
            other => bail!("there is no workload {other}"),
        };
        let (clients, seconds) = (variable("CLIENTS")?.parse()?, variable("SECONDS")?.parse()?);
        Ok(Self { clients, seconds, batch, preload })
    }

    /// Whether a log that holds nothing yet is to be filled.
    pub fn reads(&self) -> bool {
        self.batch == 0
    }
}

pub fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

#[tokio::main]
async fn main() -> Result<()> {
    let name = std::env::args().nth(1).context("which peer?")?;
    let run = Run::from_environment()?;
    let peers = match name.as_str() {
        "umadb" => umadb::clients(run).await?,
        "postgres-es" => postgres_es::clients(run).await?,
        "pg-plain" => bare::plain(run).await?,
        "pg-single-writer" => bare::single_writer(run).await?,
        "bascule-wire" => wire::clients(run).await?,
        other => bail!("there is no peer {other}"),
    };
    // Every connection is warmed, uncounted: some clients look for their server for half a second.
    for peer in &peers {
        if run.reads() {
            peer.read_all(&mut Meter::new(Instant::now())).await?;
        } else {
            peer.append(run.batch).await?;
        }
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(run.seconds);
    let clients: Vec<_> =
        peers.into_iter().map(|peer| tokio::spawn(ask_until(end, peer, run))).collect();
    let mut whole = Meter::new(end);
    for client in clients {
        whole.merge(client.await??);
    }
    whole.print(begun.elapsed());
    Ok(())
}

async fn ask_until(end: Instant, peer: Arc<dyn Peer>, run: Run) -> Result<Meter> {
    let mut meter = Meter::new(end);
    while !meter.is_over() {
        if !run.reads() {
            peer.append(run.batch).await?;
            meter.appended(run.batch);
            continue;
        }
        let before = meter.events();
        let at_end = peer.read_all(&mut meter).await?;
        let read = meter.events() - before;
        ensure!(
            !at_end || read == run.preload,
            "a whole pass gave {read} of {} events",
            run.preload
        );
    }
    Ok(meter)
}
