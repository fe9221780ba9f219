//! The tail of the log in memory, so that subscribers that are up to date read no database.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use kernel::event::{EventFilter, Position, RecordedEvent};
use kernel::store::LogPage;
use uuid::Uuid;

const MAX_EVENTS: usize = 4096;
const MAX_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Default)]
struct Tail {
    /// Positions without a gap.
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
}

/// The last events this process wrote, as far as they fit.
#[derive(Debug, Default)]
pub(crate) struct Recent(RwLock<Tail>);

fn weight(event: &RecordedEvent) -> usize {
    // The fixed part stands for ids, metadata and allocations.
    event.data.len() + 512
}

impl Recent {
    /// Adds events that were just committed, in order.
    pub(crate) fn extend(&self, events: impl IntoIterator<Item = Arc<RecordedEvent>>) {
        let mut tail = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let follows = |last: &Arc<RecordedEvent>| last.position + 1 == event.position;
            if !tail.events.back().is_none_or(follows) {
                // Another process wrote in between.
                tail.events.clear();
                tail.bytes = 0;
            }
            tail.bytes += weight(&event);
            tail.events.push_back(event);
        }
        while tail.events.len() > MAX_EVENTS || tail.bytes > MAX_BYTES {
            let Some(dropped) = tail.events.pop_front() else { break };
            tail.bytes -= weight(&dropped);
        }
    }

    /// The id of the event at a position, if it is in memory.
    pub(crate) fn id_at(&self, position: Position) -> Option<Uuid> {
        let tail = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let place = position.checked_sub(tail.events.front()?.position)?;
        tail.events.get(usize::try_from(place).ok()?).map(|event| event.id)
    }

    /// The wanted events after a position, if everything after it up to the last event written
    /// here is in memory; `None` when the database has to be asked.
    pub(crate) fn page(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Option<LogPage> {
        let tail = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = tail.events.front()?.position;
        let last = tail.events.back()?.position;
        if after + 1 < first || after >= last {
            return None;
        }
        let skip = usize::try_from(after + 1 - first).ok()?;
        let mut page = LogPage { events: Vec::new(), scanned_to: after };
        for event in tail.events.iter().skip(skip) {
            if page.events.len() == limit {
                break;
            }
            page.scanned_to = event.position;
            if filter.matches(&event.event_type) {
                page.events.push(Arc::clone(event));
            }
        }
        Some(page)
    }
}
