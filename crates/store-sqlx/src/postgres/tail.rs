//! The end of the log as this process knows it, and what it remembers of the log at all.
//!
//! A log can go back: an asynchronous standby that lacks its end is promoted. So every connection, when
//! it is made, and every look at the end of the log compares the last event that is remembered here
//! with the database. Where it is not there any more, everything is forgotten at once, and a new
//! *incarnation* of the log begins. What was read or written before that, and arrives after it, is
//! told by the incarnation in which it began, and not taken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kernel::event::{EventFilter, Position, RecordedEvent};
use kernel::store::LogPage;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::streams::Streams;
use crate::raise;
use crate::recent::Recent;

/// What the writer, the readers and the follower share.
pub(super) struct Tail {
    /// The last events, for subscribers that are up to date.
    pub(super) recent: Recent,
    /// What is believed of streams.
    streams: Streams,
    /// What subscribers wait for. Raised once what is below it is in `recent`.
    head: watch::Sender<Position>,
    /// What was acknowledged before it was in `recent`, because that took too long.
    acknowledged: AtomicU64,
    /// Others have written, or may have.
    pub(super) behind: Notify,
    /// This process has written.
    pub(super) wrote: Notify,
    /// Held while anything above changes.
    remembered: Mutex<Remembered>,
    /// Whether the database was refused when it was last asked.
    refusing: AtomicBool,
    /// Sent when all of it has been forgotten.
    incarnation: watch::Sender<u64>,
}

/// An event in the log, for comparison.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: Position,
    /// `None` before the first event.
    pub(super) event_id: Option<Uuid>,
}

/// What a database is compared with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Remembered {
    pub(super) incarnation: u64,
    /// Which log it is, once that is known.
    pub(super) log_id: Option<Uuid>,
    /// The last event that was written here or read.
    pub(super) last: Mark,
    /// When this incarnation began, unless it is the first.
    since: Option<Instant>,
}

/// What a database has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The last event.
    pub(super) head: Mark,
    /// Id of the event where one is remembered.
    pub(super) there: Option<Uuid>,
}

impl Tail {
    /// Of a log of which nothing is known.
    pub(super) fn new() -> Self {
        Self {
            recent: Recent::starting_at(0),
            streams: Streams::new(),
            head: watch::channel(0).0,
            acknowledged: AtomicU64::new(0),
            behind: Notify::new(),
            wrote: Notify::new(),
            remembered: Mutex::default(),
            refusing: AtomicBool::new(false),
            incarnation: watch::channel(0).0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To compare a database with. Taken before that is asked: meanwhile it only grows.
    pub(super) fn remembered(&self) -> Remembered {
        *self.lock()
    }

    /// The incarnation of the log. Whatever is read or written counts for the one that was current
    /// before its connection was taken.
    pub(super) fn incarnation(&self) -> u64 {
        self.lock().incarnation
    }

    pub(super) fn watch_incarnation(&self) -> watch::Receiver<u64> {
        self.incarnation.subscribe()
    }

    /// Whether a connection of this age was opened before the log went back: it may lead to where
    /// what was lost still is.
    pub(super) fn is_of_earlier_incarnation(&self, age: Duration) -> bool {
        self.lock().since.is_some_and(|since| age > since.elapsed())
    }

    /// What is believed of streams in an incarnation.
    pub(super) fn streams(&self, incarnation: u64) -> Streams {
        self.streams.of(incarnation)
    }

    /// Which log this is. It ends here.
    pub(super) fn open(&self, log_id: Uuid, head: Mark) {
        let mut remembered = self.lock();
        (remembered.log_id, remembered.last) = (Some(log_id), head);
        self.recent.skip_to(head.position);
        raise(&self.head, head.position);
    }

    /// Takes in what a database has, which was asked for with what was remembered before. Where the
    /// log went back, all that is remembered of it is forgotten. The incarnation that the database
    /// has; `None` when another began meanwhile, and it has to be asked again.
    #[must_use]
    pub(super) fn compare(&self, asked: Remembered, found: Found) -> Option<u64> {
        self.refusing.store(false, Ordering::Relaxed);
        let mut remembered = self.lock();
        if remembered.incarnation != asked.incarnation {
            return None;
        }
        if found.there == asked.last.event_id {
            remembered.advance(found.head);
            return Some(asked.incarnation);
        }
        let incarnation = asked.incarnation + 1;
        tracing::error!(
            remembered = remembered.last.position,
            head = found.head.position,
            "the event store went back to an earlier state: it does not have the last event that this process remembers, and events that were acknowledged may be lost (a failover to a standby that lagged, or a backup that was restored). Subscriptions stop; `bascule projections rebuild --all` makes them go on"
        );
        metrics::counter!("event_store_went_back_total").increment(1);
        self.acknowledged.store(0, Ordering::Release);
        self.recent.go_back_to(found.head.position);
        self.streams.begin(incarnation);
        remembered.incarnation = incarnation;
        remembered.last = found.head;
        remembered.since = Some(Instant::now());
        self.head.send_replace(found.head.position);
        // Last: who sees it finds nothing of before.
        self.incarnation.send_replace(incarnation);
        Some(incarnation)
    }

    /// A connection is not used. Told once: others are tried, and most who wait for one hear only that
    /// there was none in time.
    pub(super) fn refused(&self, error: &sqlx::Error) {
        if !self.refusing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "a connection to the event store cannot be used");
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
            return Ok(LogPage::nothing_after(after));
        }
        let page = if acknowledged <= end { self.recent.page(after, filter, limit) } else { None };
        page.ok_or(end.max(acknowledged))
    }

    /// What this process has written up to here, in an incarnation, is acknowledged.
    pub(super) fn acknowledged(&self, incarnation: u64, position: Position) {
        if self.lock().incarnation == incarnation {
            self.acknowledged.fetch_max(position, Ordering::AcqRel);
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// This process has committed these events, which follow one another. `false` if what others
    /// wrote before them is not here yet: then the follower brings all of it.
    pub(super) fn written_here(&self, incarnation: u64, events: &[Arc<RecordedEvent>]) -> bool {
        self.wrote.notify_one();
        let before = events.first().map_or(0, |first| first.position - 1);
        let follows = self.add(incarnation, before, events);
        if !follows {
            self.behind.notify_one();
        }
        follows
    }

    /// Adds what the log has after a position, unless others are missing before it, or the log went
    /// back since it was read.
    pub(super) fn add(
        &self,
        incarnation: u64,
        after: Position,
        events: &[Arc<RecordedEvent>],
    ) -> bool {
        let mut remembered = self.lock();
        if remembered.incarnation != incarnation {
            return false;
        }
        if let Some(last) = events.last() {
            remembered.advance(Mark { position: last.position, event_id: Some(last.id) });
        }
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
    pub(super) fn skip_to(&self, incarnation: u64, position: Position) {
        let remembered = self.lock();
        if remembered.incarnation == incarnation {
            self.recent.skip_to(position);
            raise(&self.head, position);
        }
    }
}

impl Remembered {
    fn advance(&mut self, to: Mark) {
        if to.position > self.last.position {
            self.last = to;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::DateTime;
    use kernel::event::{Metadata, NewEvent, StreamName};
    use kernel::seams::new_id;

    use super::super::streams::StreamHead;
    use super::*;

    fn event(position: Position) -> Arc<RecordedEvent> {
        let metadata = Metadata {
            correlation_id: new_id(),
            causation_id: None,
            traceparent: None,
            actor: "test".into(),
            origin_system: "test".into(),
            occurred_at: DateTime::UNIX_EPOCH,
        };
        let id = new_id();
        let event =
            NewEvent { id, event_type: "a.B.v1".into(), data: vec![], metadata, foreign: None };
        let stream = StreamName::new("a-1").unwrap();
        Arc::new(event.recorded(position, stream, position - 1, DateTime::UNIX_EPOCH))
    }

    fn mark(event: &RecordedEvent) -> Mark {
        Mark { position: event.position, event_id: Some(event.id) }
    }

    /// What a database with these events answers to somebody who remembers this.
    fn found(events: &[Arc<RecordedEvent>], asked: Remembered) -> Found {
        let there = events.iter().find(|event| event.position == asked.last.position);
        Found {
            head: events.last().map(|last| mark(last)).unwrap_or_default(),
            there: there.map(|event| event.id),
        }
    }

    fn tail_with(events: &[Arc<RecordedEvent>]) -> Tail {
        let tail = Tail::new();
        tail.open(new_id(), Mark::default());
        assert!(tail.written_here(0, events));
        tail
    }

    #[test]
    fn a_log_that_only_grew_is_the_same() {
        let events: Vec<_> = (1..=5).map(event).collect();
        let tail = tail_with(&events[..3]);
        let asked = tail.remembered();
        // Written after the question was made, and seen by the answer or not.
        assert!(tail.written_here(0, &events[3..4]));
        assert_eq!(tail.compare(asked, found(&events[..3], asked)), Some(0));
        assert_eq!(tail.compare(asked, found(&events, asked)), Some(0));
        assert_eq!((tail.incarnation(), tail.remembered().last), (0, mark(&events[4])));
        assert_eq!(tail.recent.end(), 4);
    }

    #[test]
    fn a_log_that_lost_its_end_is_forgotten_and_what_was_under_way_is_not_taken() {
        let events: Vec<_> = (1..=5).map(event).collect();
        let tail = tail_with(&events);
        let asked = tail.remembered();
        let stream = StreamName::new("a-1").unwrap();
        tail.streams(0).put([(stream.clone(), StreamHead { id: 4, revision: 1 })]);
        let mut incarnation = tail.watch_incarnation();
        assert_eq!(tail.compare(asked, found(&events[..3], asked)), Some(1));
        // Another connection asked the same.
        assert_eq!(tail.compare(asked, found(&events[..3], asked)), None);
        assert_eq!(*incarnation.borrow_and_update(), 1);
        assert_eq!((*tail.subscribe().borrow(), tail.recent.end()), (3, 3));
        assert_eq!(tail.streams(1).get(&stream), None);
        assert!(!tail.add(0, 3, &events[3..]));
        tail.acknowledged(0, 5);
        tail.skip_to(0, 5);
        let page = tail.page(3, &EventFilter::all(), 10).unwrap();
        assert_eq!((page.scanned_to, tail.recent.end()), (3, 3));
        // It grows again, and is found to have lost its end once more.
        let others: Vec<_> = (4..=9).map(event).collect();
        assert!(tail.written_here(1, &others));
        let asked = tail.remembered();
        assert_eq!(tail.compare(asked, found(&events, asked)), Some(2));
        assert_eq!((tail.incarnation(), tail.remembered().last), (2, mark(&events[4])));
    }

    #[test]
    fn a_log_that_has_grown_since_it_lost_its_end_is_recognised_by_the_event() {
        let events: Vec<_> = (1..=5).map(event).collect();
        let tail = tail_with(&events);
        let others: Vec<_> = events[..3].iter().cloned().chain((4..=9).map(event)).collect();
        let asked = tail.remembered();
        assert_eq!(tail.compare(asked, found(&others, asked)), Some(1));
        assert_eq!((tail.incarnation(), *tail.subscribe().borrow()), (1, 9));
    }

    #[test]
    fn connections_from_before_are_told_by_their_age() {
        let tail = tail_with(&[event(1)]);
        assert!(!tail.is_of_earlier_incarnation(Duration::from_secs(3600)));
        let asked = tail.remembered();
        assert_eq!(tail.compare(asked, found(&[], asked)), Some(1));
        assert!(tail.is_of_earlier_incarnation(Duration::from_secs(3600)));
        assert!(!tail.is_of_earlier_incarnation(Duration::ZERO));
    }
}
