//! Reading the log as a subscriber: history, then `CaughtUp`, then live events; nothing missed,
//! nothing twice.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::event::{EventFilter, Position, RecordedEvent};
use super::store::{EventStore, LogPage, ReadError};

/// What a reader of the log is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The next wanted event.
    Event(Arc<RecordedEvent>),
    /// The history is over: what follows is live. Given once.
    CaughtUp(Position),
}

const PAGE: usize = 500;

/// A reader of the log. An error leaves it where it was: the next call tries again. Only after the
/// log went back ([`ReadError::WentBack`]) there is nothing to go on from: every call fails then.
pub struct LogReader {
    store: Arc<dyn EventStore>,
    filter: EventFilter,
    head: watch::Receiver<Position>,
    incarnation: watch::Receiver<u64>,
    position: Position,
    buffer: VecDeque<Arc<RecordedEvent>>,
    caught_up: bool,
}

impl LogReader {
    /// Reads the wanted events after a position.
    pub fn new(store: Arc<dyn EventStore>, after: Position, filter: EventFilter) -> Self {
        let (head, incarnation) = (store.watch_head(), store.watch_incarnation());
        Self {
            store,
            filter,
            head,
            incarnation,
            position: after,
            buffer: VecDeque::new(),
            caught_up: false,
        }
    }

    /// The next event or, once, `CaughtUp`. Waits when there is nothing.
    pub async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            self.expect_no_return()?;
            if let Some(event) = self.buffer.pop_front() {
                return Ok(Delivery::Event(event));
            }
            let before = self.position;
            let page = self.page(PAGE).await?;
            self.buffer = page.events.into();
            let at_end = self.buffer.is_empty() && page.scanned_to == before;
            if at_end && !self.caught_up {
                self.caught_up = true;
                return Ok(Delivery::CaughtUp(self.position));
            }
            if at_end {
                self.wait().await;
            }
        }
    }

    /// The next wanted events, none when the log ends here.
    pub async fn page(&mut self, limit: usize) -> Result<LogPage, ReadError> {
        // Seen before the read: what is written during it wakes the next wait.
        self.head.borrow_and_update();
        let page = self.store.read_log(self.position, &self.filter, limit).await?;
        // Found out during the read or before it: what was read may be gone.
        self.expect_no_return()?;
        self.position = page.scanned_to;
        Ok(page)
    }

    /// Whether the next page tells something: the log is known to go on after what was read, or went
    /// back, which makes reading fail.
    pub(crate) fn has_more(&self) -> bool {
        let head = *self.head.borrow();
        head > self.position || self.expect_no_return().is_err()
    }

    /// Fails once the log went back since this reader was made.
    pub fn expect_no_return(&self) -> Result<(), ReadError> {
        match self.incarnation.has_changed() {
            Ok(true) => Err(ReadError::WentBack),
            // The store is gone, and changes no more.
            Ok(false) | Err(_) => Ok(()),
        }
    }

    /// Waits until the log has grown since the last read, or went back.
    pub async fn wait(&mut self) {
        if self.has_more() {
            return;
        }
        // Not `changed`, which would mark the new incarnation as seen.
        let mut incarnation = self.incarnation.clone();
        let changed = tokio::select! {
            changed = self.head.changed() => changed,
            changed = incarnation.changed() => changed,
        };
        if changed.is_err() {
            // The store is gone; whoever owns this reader is about to be stopped.
            std::future::pending::<()>().await;
        }
    }
}
