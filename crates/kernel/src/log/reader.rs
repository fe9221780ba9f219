//! Reads the log for a subscriber: history, then `CaughtUp`, then live events; no event is skipped
//! or delivered twice.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::event::{EventFilter, Position, RecordedEvent};
use super::store::{EventStore, LogPage, ReadError};

/// An item that a log reader delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The next selected event.
    Event(Arc<RecordedEvent>),
    /// The end of the history: live events follow. Delivered once.
    CaughtUp(Position),
}

const PAGE: usize = 500;

/// A reader of the log. After an error it stays at its place, and the next call retries. After the
/// log went back ([`ReadError::WentBack`]) it cannot continue: every call fails.
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
    /// Creates a reader of the selected events after a position.
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

    /// Returns the next event or, once, `CaughtUp`. Waits while there is none.
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

    /// Returns the next selected events, none at the end of the log.
    pub async fn page(&mut self, limit: usize) -> Result<LogPage, ReadError> {
        // Marked as seen before the read: events written during the read wake the next wait.
        self.head.borrow_and_update();
        let page = self.store.read_log(self.position, &self.filter, limit).await?;
        // The log may have gone back before or during the read: then the events read may not exist
        // any more.
        self.expect_no_return()?;
        self.position = page.scanned_to;
        Ok(page)
    }

    /// Returns whether the next page has a result: the log is known to continue after the last read,
    /// or it went back, which makes reading fail.
    pub(crate) fn has_more(&self) -> bool {
        let head = *self.head.borrow();
        head > self.position || self.expect_no_return().is_err()
    }

    /// Fails if the log went back since this reader was created.
    pub fn expect_no_return(&self) -> Result<(), ReadError> {
        match self.incarnation.has_changed() {
            Ok(true) => Err(ReadError::WentBack),
            // The store is dropped and never changes again.
            Ok(false) | Err(_) => Ok(()),
        }
    }

    /// Waits until the log grows beyond the last read, or goes back.
    pub async fn wait(&mut self) {
        if self.has_more() {
            return;
        }
        // `changed` would mark the new incarnation as seen.
        let mut incarnation = self.incarnation.clone();
        let changed = tokio::select! {
            changed = self.head.changed() => changed,
            changed = incarnation.changed() => changed,
        };
        if changed.is_err() {
            // The store is dropped; the owner of this reader is about to be stopped.
            std::future::pending::<()>().await;
        }
    }
}
