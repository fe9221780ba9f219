//! The end of the log as this process knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernel::event::{EventFilter, Position, RecordedEvent};
use kernel::store::LogPage;
use tokio::sync::{Notify, watch};

use crate::raise;
use crate::recent::Recent;

/// What the writer, the readers and the follower share.
pub(super) struct Tail {
    /// The last events, for subscribers that are up to date.
    pub(super) recent: Recent,
    /// What subscribers wait for. Raised once what is below it is in `recent`.
    head: watch::Sender<Position>,
    /// What was acknowledged before it was in `recent`, because that took too long.
    acknowledged: AtomicU64,
    /// Others have written, or may have.
    pub(super) behind: Notify,
    /// This process has written.
    pub(super) wrote: Notify,
}

impl Tail {
    pub(super) fn starting_at(head: Position) -> Self {
        Self {
            recent: Recent::starting_at(head),
            head: watch::channel(head).0,
            acknowledged: AtomicU64::new(0),
            behind: Notify::new(),
            wrote: Notify::new(),
        }
    }

    /// The wanted events after a position that are in memory; where those are not all that this
    /// process knows of, how far the database has to be read.
    pub(super) fn page(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, Position> {
        let acknowledged = self.acknowledged.load(Ordering::Acquire);
        let end = self.recent.end();
        if end.max(acknowledged) <= after {
            return Ok(LogPage { events: Vec::new(), scanned_to: after });
        }
        let page = if acknowledged <= end { self.recent.page(after, filter, limit) } else { None };
        page.ok_or(end.max(acknowledged))
    }

    /// What this process has written up to here is acknowledged.
    pub(super) fn acknowledged(&self, position: Position) {
        self.acknowledged.fetch_max(position, Ordering::AcqRel);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// This process has committed these events, which follow one another. `false` if what others
    /// wrote before them is not here yet: then the follower brings all of it.
    pub(super) fn written_here(&self, events: &[Arc<RecordedEvent>]) -> bool {
        self.wrote.notify_one();
        let before = events.first().map_or(0, |first| first.position - 1);
        let follows = self.add(before, events);
        if !follows {
            self.behind.notify_one();
        }
        follows
    }

    /// Adds what the log has after a position, unless others are missing before it.
    pub(super) fn add(&self, after: Position, events: &[Arc<RecordedEvent>]) -> bool {
        let follows = self.recent.follow(after, events);
        if follows {
            raise(&self.head, self.recent.end());
        }
        follows
    }

    /// The log was seen to reach this far.
    pub(super) fn seen(&self, position: Position) {
        if position > self.recent.end() {
            self.behind.notify_one();
        }
    }

    /// Gives up on having everything in memory: what is before this position is read from the
    /// database by whoever wants it.
    pub(super) fn skip_to(&self, position: Position) {
        self.recent.skip_to(position);
        raise(&self.head, position);
    }
}
