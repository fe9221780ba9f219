//! Reads ahead for a projection: while one batch is applied, the next is read and decoded.

use std::marker::PhantomData;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::interruption::Interruption;
use crate::authoring::checkpoint::Checkpoint;
use crate::authoring::codec::{CodecError, Envelope, EventSet};
use crate::authoring::execution::Environment;
use crate::log::event::{EventFilter, Position, RecordedEvent};
use crate::log::reader::LogReader;
use crate::log::store::{LogPage, ReadError};

/// Maximum number of events per batch, that is per transaction.
const MOST_EVENTS: usize = 2_000;
/// Approximate maximum size of a batch in bytes of event data, estimated from the events read
/// before.
const MOST_BYTES: usize = 4 * 1024 * 1024;
const FIRST_EVENTS: usize = 250;

/// An event of a batch. It is decoded once, however often it is tried.
pub(super) struct Decoded<E> {
    pub(super) recorded: Arc<RecordedEvent>,
    /// An error is permanent: the event is damaged.
    pub(super) outcome: Result<Envelope<E>, CodecError>,
}

impl<E> Decoded<E> {
    /// Returns the checkpoint of a log after this event.
    pub(super) fn checkpoint(&self, log_id: uuid::Uuid) -> Checkpoint {
        let RecordedEvent { position, id, .. } = *self.recorded;
        Checkpoint { log_id, position, event_id: Some(id) }
    }
}

/// A page of the log, decoded.
pub(super) struct Batch<E> {
    /// The selected events, in order.
    pub(super) events: Vec<Decoded<E>>,
    /// The checkpoint up to which the log was scanned, including events that are not selected.
    pub(super) to: Checkpoint,
}

/// Delivers the selected events after a checkpoint in batches.
pub(super) struct Feed<E> {
    batches: mpsc::Receiver<Result<Batch<E>, Interruption>>,
    _reading: AbortOnDropHandle<()>,
}

impl<E: EventSet> Feed<E> {
    /// Starts reading; stops at a position if one is given.
    pub(super) fn start(
        environment: &Environment,
        filter: EventFilter,
        after: Checkpoint,
        until: Option<Position>,
    ) -> Self {
        let reading = Reading::<E> {
            environment: environment.clone(),
            reader: LogReader::new(Arc::clone(&environment.store), after.position, filter),
            readable: E::readable_types(),
            at: after,
            begun: false,
            until,
            limit: FIRST_EVENTS,
            _of: PhantomData,
        };
        // Three batches exist at most: one applied, one in the channel, one being read.
        let (sender, batches) = mpsc::channel(1);
        let task = tokio::spawn(reading.run(sender));
        Self { batches, _reading: AbortOnDropHandle::new(task) }
    }

    /// Returns the next batch. The first one returns at once, even if the log has no new events;
    /// each later one advances.
    pub(super) async fn next(&mut self) -> Result<Batch<E>, Interruption> {
        let ended = || Err(Interruption::OutOfReach("reading ahead ended unexpectedly".into()));
        self.batches.recv().await.unwrap_or_else(ended)
    }
}

struct Reading<E> {
    environment: Environment,
    reader: LogReader,
    readable: Vec<&'static str>,
    /// The checkpoint up to which the log was scanned.
    at: Checkpoint,
    /// Whether the first page was read.
    begun: bool,
    until: Option<Position>,
    limit: usize,
    _of: PhantomData<fn() -> E>,
}

impl<E: EventSet> Reading<E> {
    async fn run(mut self, batches: mpsc::Sender<Result<Batch<E>, Interruption>>) {
        loop {
            let (batch, then) = match self.page().await {
                Ok(page) => self.decode(page.events).await,
                Err(error) => (None, Some(error.into())),
            };
            if let Some(batch) = batch
                && batches.send(Ok(batch)).await.is_err()
            {
                return;
            }
            if let Some(interruption) = then {
                // Sending fails only after the receiver was dropped, which then needs no error.
                let _ = batches.send(Err(interruption)).await;
                return;
            }
        }
    }

    /// Returns the next page; waits until there is one.
    async fn page(&mut self) -> Result<LogPage, ReadError> {
        loop {
            let mut page = self.reader.page(self.limit).await?;
            if let Some(until) = self.until.filter(|until| page.scanned_to > *until) {
                page.events.retain(|event| event.position <= until);
                page.scanned_to = until;
                page.scanned_id = self.environment.store.event_id_at(until).await?;
                // Otherwise the id may belong to another event than the one that was read.
                self.reader.expect_no_return()?;
            }
            if page.scanned_to > self.at.position || !self.begun {
                self.begun = true;
                self.at = self.at.after(&page);
                self.fit_limit(&page);
                return Ok(page);
            }
            self.reader.wait().await;
        }
    }

    /// Adjusts the limit of the next page to the number of events that are likely to fit.
    fn fit_limit(&mut self, page: &LogPage) {
        let bytes: usize = page.events.iter().map(|event| event.data.len()).sum();
        if let Some(average) = bytes.checked_div(page.events.len()) {
            let fitting = MOST_BYTES / average.max(1);
            self.limit = fitting.min(self.limit * 4).clamp(1, MOST_EVENTS);
        }
    }

    /// Decodes the events of a page up to the first one that this replica cannot handle now, and
    /// returns the reason.
    async fn decode(
        &self,
        page: Vec<Arc<RecordedEvent>>,
    ) -> (Option<Batch<E>>, Option<Interruption>) {
        let mut events = Vec::with_capacity(page.len());
        for recorded in page {
            let decoded = self.decode_one(recorded).await;
            tokio::task::consume_budget().await;
            match decoded {
                Ok(decoded) => events.push(decoded),
                Err(interruption) => {
                    let log_id = self.environment.store.log_id();
                    let to = events.last().map(|last: &Decoded<E>| last.checkpoint(log_id));
                    return (to.map(|to| Batch { events, to }), Some(interruption));
                }
            }
        }
        (Some(Batch { events, to: self.at }), None)
    }

    async fn decode_one(&self, recorded: Arc<RecordedEvent>) -> Result<Decoded<E>, Interruption> {
        if !self.readable.contains(&&*recorded.event_type) {
            return Err(Interruption::incapable(&recorded));
        }
        match self.environment.codec.decode(Arc::clone(&recorded)).await {
            Err(error) if error.is_of_newer_release() => Err(Interruption::incapable(&recorded)),
            Err(error) if error.is_transient() => Err(Interruption::OutOfReach(error.into())),
            outcome => Ok(Decoded { recorded, outcome }),
        }
    }
}
