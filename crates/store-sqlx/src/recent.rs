//! The tail of the log in memory, so that subscribers that are up to date do not query the database.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use kernel::store::{LogPage, PAGE_BYTES};
use uuid::Uuid;

const MAX_EVENTS: usize = 4096;
const MAX_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Default)]
struct Tail {
    /// Every event of the log after `after`, up to `end`. Missing positions were scavenged.
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
    after: Position,
    end: Position,
}

impl Tail {
    fn restart_at(&mut self, end: Position) {
        self.events.clear();
        self.bytes = 0;
        (self.after, self.end) = (end, end);
    }

    fn push(&mut self, event: Arc<RecordedEvent>) {
        self.end = event.position;
        self.bytes += weight(&event);
        self.events.push_back(event);
    }

    fn shrink(&mut self) {
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(dropped) = self.events.pop_front() else { break };
            self.bytes -= weight(&dropped);
            self.after = dropped.position;
        }
    }
}

/// The last events that this process wrote or read, within a limit of memory.
#[derive(Debug, Default)]
pub(crate) struct Recent(RwLock<Tail>);

fn weight(event: &RecordedEvent) -> usize {
    // The constant stands for ids, metadata and allocations.
    event.size() + 512
}

impl Recent {
    /// Returns an empty tail of a log that ends at this position.
    pub(crate) fn starting_at(end: Position) -> Self {
        Self(RwLock::new(Tail { after: end, end, ..Tail::default() }))
    }

    fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the last position it covers.
    pub(crate) fn end(&self) -> Position {
        self.tail().end
    }

    /// Drops all events: the log now ends at this position.
    pub(crate) fn go_back_to(&self, end: Position) {
        self.tail_mut().restart_at(end);
    }

    /// Continues after a later position, without the events before it.
    pub(crate) fn skip_to(&self, end: Position) {
        let mut tail = self.tail_mut();
        if end > tail.end {
            tail.restart_at(end);
        }
    }

    /// Adds the events of the log after a position, in order. Events that it has already are skipped;
    /// returns `false`, and adds nothing, if any could be missing before that position.
    pub(crate) fn follow(&self, after: Position, events: &[Arc<RecordedEvent>]) -> bool {
        let mut tail = self.tail_mut();
        if after > tail.end {
            return false;
        }
        for event in events {
            if event.position > tail.end {
                tail.push(Arc::clone(event));
            }
        }
        tail.shrink();
        true
    }

    /// Adds events that were just committed, in order.
    pub(crate) fn extend(&self, events: impl IntoIterator<Item = Arc<RecordedEvent>>) {
        let mut tail = self.tail_mut();
        for event in events {
            if event.position != tail.end + 1 {
                // Another process wrote in between.
                tail.restart_at(event.position - 1);
            }
            tail.push(event);
        }
        tail.shrink();
    }

    /// Returns the id of the event at a position, if it is in memory.
    pub(crate) fn id_at(&self, position: Position) -> Option<Uuid> {
        let tail = self.tail();
        let place = tail.events.binary_search_by_key(&position, |event| event.position).ok()?;
        tail.events.get(place).map(|event| event.id)
    }

    /// Drops the events of a stream below a revision, which were scavenged. The last event of a stream
    /// is never scavenged.
    pub(crate) fn forget(&self, stream: &StreamName, below: Revision) {
        let mut tail = self.tail_mut();
        let last = tail.events.iter().rfind(|event| event.stream == *stream);
        let Some(last) = last.map(|event| event.revision) else { return };
        tail.events.retain(|event| {
            event.stream != *stream || event.revision >= below || event.revision == last
        });
        tail.bytes = tail.events.iter().map(|event| weight(event)).sum();
    }

    /// Returns the requested events after a position, if everything from there to the last event
    /// written here is in memory; `None` if the database must be queried.
    pub(crate) fn page(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Option<LogPage> {
        let tail = self.tail();
        if after < tail.after || after >= tail.end {
            return None;
        }
        let first = tail.events.partition_point(|event| event.position <= after);
        let mut page = LogPage::nothing_after(after);
        let mut bytes = 0;
        for event in tail.events.range(first..) {
            if page.events.len() == limit || bytes >= PAGE_BYTES {
                return Some(page);
            }
            page.scan(event.position, event.id);
            if filter.matches(&event.event_type) {
                bytes += event.size();
                page.events.push(Arc::clone(event));
            }
        }
        // The last event of the log is never scavenged: it is the last one of its stream.
        (page.scanned_to == tail.end).then_some(page)
    }
}
