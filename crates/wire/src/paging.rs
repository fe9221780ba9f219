//! How much is read at a time: as many events as fit into little memory, judged by the last page.

use std::sync::Arc;

use kernel::event::RecordedEvent;

const FIRST_EVENTS: usize = 64;
const MOST_EVENTS: usize = 500;
/// About how many bytes a page may have.
const MOST_BYTES: usize = 4 * 1024 * 1024;

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

    /// Learns from a page how large the next one may be.
    pub(crate) fn fit(&mut self, page: &[Arc<RecordedEvent>]) {
        let bytes: usize = page.iter().map(|event| size(event)).sum();
        if let Some(average) = bytes.checked_div(page.len()) {
            let fitting = MOST_BYTES / average.max(1);
            self.0 = fitting.min(self.0 * 4).clamp(1, MOST_EVENTS);
        }
    }
}

fn size(event: &RecordedEvent) -> usize {
    let foreign = event.foreign.as_ref().map_or(0, |foreign| foreign.metadata.len());
    event.data.len() + foreign
}
