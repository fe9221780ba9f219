//! How much is read at a time: as many events as a page of the store has room for, judged by the last
//! page. The store gives no more than a page, but would look at what it does not give.

use std::sync::Arc;

use kernel::event::RecordedEvent;
use kernel::store::PAGE_BYTES;

const FIRST_EVENTS: usize = 64;
const MOST_EVENTS: usize = 500;

/// How many events the next page may have.
#[derive(Debug)]
pub(crate) struct PageLimit(usize);

impl PageLimit {
    pub(crate) fn new() -> Self {
        Self(FIRST_EVENTS)
    }

    pub(crate) fn events(&self) -> usize {
        self.0
    }

    /// No more than are wanted.
    pub(crate) fn at_most(&self, wanted: u64) -> usize {
        usize::try_from(wanted).unwrap_or(usize::MAX).min(self.0)
    }

    /// So many were more than a page.
    pub(crate) fn halve(&mut self, events: usize) {
        self.0 = self.0.min(events / 2).max(1);
    }

    /// Learns from a page how large the next one may be.
    pub(crate) fn fit(&mut self, page: &[Arc<RecordedEvent>]) {
        let bytes: usize = page.iter().map(|event| event.size()).sum();
        if let Some(average) = bytes.checked_div(page.len()) {
            let fitting = PAGE_BYTES / average.max(1);
            self.0 = fitting.min(self.0 * 4).clamp(1, MOST_EVENTS);
        }
    }
}
