//! The closed loop: clients that send the next request when the last one is answered, until time is up.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::latencies::Latencies;

/// Number of clients, and duration.
#[derive(Debug, Clone, Copy, Args)]
pub struct Load {
    /// Number of clients, each with one request at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub clients: u16,
    /// Duration of the measurement
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number from 0.1 to 86400".to_owned()),
    }
}

/// One client of a workload.
pub trait Client: Send + 'static {
    /// Makes one request and waits for its response. Returns the number of events written or read, and
    /// the number of whole requests for which its time counts: a short page counts for its part of a
    /// page.
    fn request(&mut self) -> impl Future<Output = anyhow::Result<Request>> + Send;
}

/// The result of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Events written or read.
    pub events: u64,
    /// The part of a whole request.
    pub share: f64,
}

impl Request {
    /// Returns a whole request.
    pub fn whole(events: u64) -> Self {
        Self { events, share: 1.0 }
    }
}

/// The result of a measurement.
#[derive(Debug)]
pub struct Measured {
    /// Number of clients.
    pub clients: u16,
    /// Events written or read.
    pub events: u64,
    /// The duration.
    pub elapsed: Duration,
    /// The latencies of the requests.
    pub latencies: Latencies,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// Runs every client for the duration of the load, or until interrupted. The first request of each is
/// not counted: it opens connections and fills caches.
pub async fn closed_loop<C: Client>(mut clients: Vec<C>, load: Load) -> anyhow::Result<Measured> {
    let mut first = JoinSet::new();
    for mut client in clients.drain(..) {
        first.spawn(async move { client.request().await.map(|_| client) });
    }
    while let Some(warm) = first.join_next().await {
        clients.push(warm??);
    }

    let over = CancellationToken::new();
    let events = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(ask(client, over.clone(), Arc::clone(&events)));
    }
    let watch = tokio::spawn(time_is_up(load.seconds, begun, Arc::clone(&events), over));
    let mut latencies = Latencies::new();
    while let Some(measured) = running.join_next().await {
        // An error of a client ends the measurement: the others are dropped with the set.
        latencies.merge(&measured??);
    }
    let elapsed = begun.elapsed();
    let interrupted = watch.await?;
    let clients = load.clients;
    Ok(Measured {
        clients,
        events: events.load(Ordering::Relaxed),
        elapsed,
        latencies,
        interrupted,
    })
}

async fn ask(
    mut client: impl Client,
    over: CancellationToken,
    events: Arc<AtomicU64>,
) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::new();
    while !over.is_cancelled() {
        // A response from memory never waits: other tasks must have their turn, too.
        tokio::task::coop::consume_budget().await;
        let begun = Instant::now();
        let request = client.request().await?;
        if request.share > 0.0 {
            latencies.add(begun.elapsed().div_f64(request.share));
        }
        events.fetch_add(request.events, Ordering::Relaxed);
    }
    Ok(latencies)
}

/// Ends the loop when time is up, or returns `true` when interrupted. Shows the progress on a terminal.
async fn time_is_up(
    seconds: f64,
    begun: Instant,
    events: Arc<AtomicU64>,
    over: CancellationToken,
) -> bool {
    let bar = bar((seconds * 1e3) as u64, "{elapsed}");
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let show = async {
        loop {
            ticks.tick().await;
            let elapsed = begun.elapsed();
            let rate = events.load(Ordering::Relaxed) as f64 / elapsed.as_secs_f64().max(0.001);
            bar.set_position(elapsed.as_millis() as u64);
            bar.set_message(format!("{rate:.0} events/s"));
        }
    };
    let interrupted = tokio::select! {
        () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => false,
        () = asked_to_stop() => true,
        () = show => false,
    };
    over.cancel();
    bar.finish_and_clear();
    interrupted
}

/// Waits for a signal to stop.
pub async fn asked_to_stop() {
    let mut terminated = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminated {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // Disabled if the handler cannot be installed.
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

/// Returns a progress bar on a terminal, with a message at its end; otherwise a hidden one.
pub fn bar(length: u64, numbers: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(&format!("{{bar:30}} {numbers}  {{msg}}")) {
        bar.set_style(style);
    }
    bar
}
