//! Appending events: to a new stream each time, or to growing streams.

use std::collections::VecDeque;
use std::sync::Arc;

use clap::Args;
use kernel::event::{Revision, StreamName};
use kernel::seams::new_id;
use kernel::store::{AppendRequest, EventStore, ExpectedRevision};

use crate::Options;
use crate::events::EventSource;
use crate::load::{Client, Load, Measured, Request, closed_loop};
use crate::store::StoreArgs;
use crate::store::refuse_other_stores;

/// Options of `bascule-bench append`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(flatten)]
    load: Load,
    /// Number of events per append
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Append to this many streams per client in turn, at the revision that they have, instead of to a
    /// new stream per append
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    streams: Option<u16>,
}

pub async fn measure(place: &StoreArgs, arguments: &Arguments) -> anyhow::Result<Measured> {
    place
        .on_the_store(async |environment| {
            refuse_other_stores(&*environment.store, &arguments.options).await?;
            let client = |_| Appender {
                store: Arc::clone(&environment.store),
                events: EventSource::new(environment.clock.clone()),
                batch: usize::from(arguments.batch),
                streams: (0..arguments.streams.unwrap_or(0))
                    .map(|_| (fresh_stream(), None))
                    .collect(),
            };
            closed_loop((0..arguments.load.clients).map(client).collect(), arguments.load).await
        })
        .await
}

pub fn fresh_stream() -> StreamName {
    StreamName::of("bench", new_id())
}

struct Appender {
    store: Arc<dyn EventStore>,
    events: EventSource,
    batch: usize,
    /// The growing streams, the next one first; empty if every append has a stream of its own.
    streams: VecDeque<(StreamName, Option<Revision>)>,
}

impl Client for Appender {
    async fn request(&mut self) -> anyhow::Result<Request> {
        let growing = self.streams.pop_front();
        let (stream, revision) = growing.clone().unwrap_or_else(|| (fresh_stream(), None));
        let appended = self.store.append(AppendRequest {
            stream: stream.clone(),
            expected: ExpectedRevision::exactly(revision),
            events: self.events.take(self.batch),
        });
        let revision = appended.await?.revision;
        if growing.is_some() {
            self.streams.push_back((stream, Some(revision)));
        }
        Ok(Request::whole(self.batch as u64))
    }
}
