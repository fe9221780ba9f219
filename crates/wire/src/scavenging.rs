//! Removes for good what the metadata of streams hides: in small steps, beside the requests.

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

/// Events that are removed, or looked at, at a time.
const STEP: usize = 256;
/// Streams that may wait. One more is offered again when it is next read or written.
const WAITING: usize = 1024;
/// For how long a stream that is read again and again is left alone.
const PAUSE: Duration = Duration::from_secs(60);
const MOST_REMEMBERED: u64 = 10_000;

/// Takes streams that may have something to be removed.
pub(crate) struct Scavenger {
    offers: mpsc::Sender<StreamName>,
    recent: Cache<StreamName, ()>,
}

/// The other end: what removes it.
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

    /// A stream was seen that hides something.
    pub(crate) fn seen(&self, stream: &StreamName) {
        if self.recent.get(stream).is_none() {
            self.changed(stream);
        }
    }

    /// What a stream hides has just changed.
    pub(crate) fn changed(&self, stream: &StreamName) {
        // When too many wait it is offered again the next time it is seen.
        if self.offers.try_send(stream.clone()).is_ok() {
            self.recent.insert(stream.clone(), ());
        }
    }
}

impl Scavenging {
    /// Removes what is offered until told to stop.
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
                // What is hidden stays hidden.
                Err(Failure::Remove(AppendError::Unsupported(_))) => return,
                Err(failure) => {
                    let error = &failure as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "hidden events were not removed; that is tried again when their stream is next used"
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

    /// The revision below which nothing of a stream can be read any more.
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

    /// Passes over what is too old.
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
