//! Removal of the events that the metadata of streams hides: in small steps, concurrent with requests.

use std::sync::Arc;
use std::time::Duration;

use kernel::event::{Revision, StreamName};
use kernel::seams::SharedClock;
use kernel::store::{AppendError, EventStore, ReadError};
use moka::sync::Cache;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lifecycle::{Lifecycle, Visible};
use crate::ownership::{Owner, Ownership};

/// Number of events removed or examined per step.
const STEP: usize = 256;
/// Maximum number of queued streams. A stream beyond it is offered again with its next read or append.
const WAITING: usize = 1024;
/// The minimum time between two scavenges of a stream that is read repeatedly.
const PAUSE: Duration = Duration::from_secs(60);
const MOST_REMEMBERED: u64 = 10_000;

/// Queues streams that may have events to remove.
pub(crate) struct Scavenger {
    offers: mpsc::Sender<StreamName>,
    recent: Cache<StreamName, ()>,
}

/// The worker that removes the events.
pub(crate) struct Scavenging {
    offered: mpsc::Receiver<StreamName>,
    store: Arc<dyn EventStore>,
    ownership: Ownership,
    clock: SharedClock,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Remove(#[from] AppendError),
}

impl Scavenger {
    pub(crate) fn new(
        store: Arc<dyn EventStore>,
        ownership: Ownership,
        clock: SharedClock,
    ) -> (Self, Scavenging) {
        let (offers, offered) = mpsc::channel(WAITING);
        let recent = Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(PAUSE).build();
        (Self { offers, recent }, Scavenging { offered, store, ownership, clock })
    }

    /// Offers a stream that hides events and was read.
    pub(crate) fn seen(&self, stream: &StreamName) {
        if self.recent.get(stream).is_none() {
            self.changed(stream);
        }
    }

    /// Offers a stream whose hidden events have just changed.
    pub(crate) fn changed(&self, stream: &StreamName) {
        // If the queue is full, the stream is offered again with its next use.
        if self.offers.try_send(stream.clone()).is_ok() {
            self.recent.insert(stream.clone(), ());
        }
    }
}

impl Scavenging {
    /// Scavenges the queued streams until told to stop.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        loop {
            let stream = tokio::select! {
                () = stopping.cancelled() => return,
                offered = self.offered.recv() => match offered {
                    Some(stream) => stream,
                    None => return,
                },
            };
            match self.scavenge(&stream, &stopping).await {
                Ok(()) => {}
                // The store cannot remove events; they stay hidden.
                Err(Failure::Remove(AppendError::Unsupported(_))) => return,
                Err(failure) => {
                    let error = &failure as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "cannot remove the hidden events of a stream; retrying when the stream is next used"
                    );
                }
            }
        }
    }

    async fn scavenge(
        &self,
        stream: &StreamName,
        stopping: &CancellationToken,
    ) -> Result<(), Failure> {
        if let Owner::Module(_) = self.ownership.of(stream) {
            return Ok(());
        }
        let below = self.hidden_below(stream).await?;
        while below > 0 && !stopping.is_cancelled() {
            let removed = self.store.scavenge(stream, below, STEP).await?;
            metrics::counter!("wire_scavenged_events_total").increment(removed);
            if removed < STEP as u64 {
                break;
            }
        }
        Ok(())
    }

    /// Returns the revision below which no event of a stream is readable.
    async fn hidden_below(&self, stream: &StreamName) -> Result<Revision, Failure> {
        let lifecycle = Lifecycle::of(stream, &self.ownership, self.store.as_ref()).await?;
        let Some(last) = self.store.read_last(stream).await? else { return Ok(0) };
        if lifecycle.is_tombstoned {
            return Ok(last.revision);
        }
        match lifecycle.visible(last.revision, self.clock.now()) {
            Some(visible) => self.first_shown(stream, visible).await,
            None => Ok(last.revision + 1),
        }
    }

    /// Skips events that are too old.
    async fn first_shown(
        &self,
        stream: &StreamName,
        visible: Visible,
    ) -> Result<Revision, Failure> {
        let mut first = visible.first;
        loop {
            let page = self.store.read_stream_page(stream, first, STEP).await?;
            match page.iter().find(|event| visible.shows(event)) {
                Some(shown) => return Ok(shown.revision),
                None => match page.last() {
                    Some(last) => first = last.revision + 1,
                    None => return Ok(first),
                },
            }
        }
    }
}
