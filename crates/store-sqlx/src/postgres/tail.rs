//! The end of the log as this process knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernel::event::{Position, RecordedEvent};
use tokio::sync::{Notify, watch};

use crate::raise;
use crate::recent::Recent;

/// What the writer, the readers and the follower share.
pub(super) struct Tail {
    /// The last events, for subscribers that are up to date.
    pub(super) recent: Recent,
    /// What subscribers wait for. Raised once what is below it is in `recent`.
    head: watch::Sender<Position>,
    /// The last position that is known to be written: what is below it can be read.
    known: AtomicU64,
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
            known: AtomicU64::new(head),
            behind: Notify::new(),
            wrote: Notify::new(),
        }
    }

    pub(super) fn known(&self) -> Position {
        self.known.load(Ordering::Acquire)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// This process has committed these events, which follow one another.
    pub(super) fn written_here(&self, events: &[Arc<RecordedEvent>]) {
        self.add(events);
        self.wrote.notify_one();
    }

    /// These events of the log follow one another. Where others are missing before them, the
    /// follower is sent for all of them.
    pub(super) fn add(&self, events: &[Arc<RecordedEvent>]) {
        let Some(last) = events.last() else { return };
        self.known.fetch_max(last.position, Ordering::AcqRel);
        if self.recent.follow(events) {
            raise(&self.head, self.recent.end());
        } else {
            self.behind.notify_one();
        }
    }

    /// The log was seen to reach this far.
    pub(super) fn seen(&self, position: Position) {
        self.known.fetch_max(position, Ordering::AcqRel);
        if position > self.recent.end() {
            self.behind.notify_one();
        }
    }

    /// Gives up on having everything in memory: what is before this position is read from the
    /// database by whoever wants it.
    pub(super) fn skip_to(&self, position: Position) {
        self.known.fetch_max(position, Ordering::AcqRel);
        self.recent.skip_to(position);
        raise(&self.head, position);
    }
}
