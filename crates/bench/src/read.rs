//! Reading the whole log in pages, repeatedly.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use kernel::event::{EventFilter, Position};
use kernel::execution::Environment;
use kernel::store::{AppendRequest, EventStore, ExpectedRevision};

use crate::Options;
use crate::append::fresh_stream;
use crate::events::EventSource;
use crate::load::{Client, Load, Measured, Request, closed_loop};
use crate::store::StoreArgs;

/// Events per page. Latencies are per page of this size.
pub const PAGE: usize = 1000;
/// Number of events per stream, and of streams per append, when an empty log is filled.
const STREAM: usize = 10;
const APPEND: usize = 100;

/// Options of `bascule-bench read`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(flatten)]
    load: Load,
    /// First fill an empty log with this many events, not measured
    #[arg(long, value_name = "N", default_value_t = 0)]
    preload: u64,
}

pub async fn measure(place: &StoreArgs, arguments: &Arguments) -> anyhow::Result<Measured> {
    place
        .on_the_store(async |environment| {
            let store = &environment.store;
            if store.head().await? == 0 {
                preload(environment, arguments.preload).await?;
            }
            let head = store.head().await?;
            anyhow::ensure!(head > 0, "the log is empty: fill it with --preload");
            let client = |_| Reader { store: Arc::clone(store), after: 0, seen: 0, head };
            closed_loop((0..arguments.load.clients).map(client).collect(), arguments.load).await
        })
        .await
}

/// Fills the log with streams of ten events, many in one append.
async fn preload(environment: &Environment, mut events: u64) -> anyhow::Result<()> {
    let source = EventSource::new(environment.clock.clone());
    while events > 0 {
        let mut requests = Vec::new();
        while events > 0 && requests.len() < APPEND {
            let count = events.min(STREAM as u64);
            events -= count;
            requests.push(AppendRequest {
                stream: fresh_stream(),
                expected: ExpectedRevision::NoStream,
                events: source.take(count as usize),
            });
        }
        let filled = environment.store.append_many(requests).await;
        filled.context("cannot fill the log")?;
    }
    Ok(())
}

struct Reader {
    store: Arc<dyn EventStore>,
    after: Position,
    /// Events of this pass so far.
    seen: u64,
    /// The end of a pass: no other process writes meanwhile.
    head: Position,
}

impl Client for Reader {
    async fn request(&mut self) -> anyhow::Result<Request> {
        let page = self.store.read_log(self.after, &EventFilter::all(), PAGE).await?;
        let events = page.events.len() as u64;
        self.seen += events;
        self.after = page.scanned_to;
        if self.after >= self.head {
            anyhow::ensure!(
                self.seen >= self.head,
                "a whole pass returned {} of {} events",
                self.seen,
                self.head
            );
            (self.after, self.seen) = (0, 0);
        }
        Ok(Request { events, share: events as f64 / PAGE as f64 })
    }
}
