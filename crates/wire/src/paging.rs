//! Sizes of pages: as many events as fit into a page of the store, estimated from the last page. The
//! store returns no more than a page, but would read events that it does not return.

use std::sync::Arc;

use kernel::event::RecordedEvent;
use kernel::store::PAGE_BYTES;

const FIRST_EVENTS: usize = 64;
const MOST_EVENTS: usize = 500;

/// The size of the next page.
#[derive(Debug)]
pub(crate) struct PageLimit(usize);

impl PageLimit {
    pub(crate) fn new() -> Self {
        Self(FIRST_EVENTS)
    }

    pub(crate) fn events(&self) -> usize {
        self.0
    }

    /// Limits the page to the events that are still wanted.
    pub(crate) fn at_most(&self, wanted: u64) -> usize {
        usize::try_from(wanted).unwrap_or(usize::MAX).min(self.0)
    }

    /// Halves the size: this many events did not fit into a page.
    pub(crate) fn halve(&mut self, events: usize) {
        self.0 = self.0.min(events / 2).max(1);
    }

    /// Adjusts the size of the next page to a page that was read.
    pub(crate) fn fit(&mut self, page: &[Arc<RecordedEvent>]) {
        let bytes: usize = page.iter().map(|event| event.size()).sum();
        if let Some(average) = bytes.checked_div(page.len()) {
            let fitting = PAGE_BYTES / average.max(1);
            self.0 = fitting.min(self.0 * 4).clamp(1, MOST_EVENTS);
        }
    }
}
