//! The end of the log as this process knows it, and its remembered state of the log.
//!
//! A log can be reset to an earlier state: when an asynchronous standby that lacks its end is promoted.
//! So every new connection, and every query of the head, compares the last event that is remembered
//! here with the database. If it is gone, everything remembered is dropped at once, and a new
//! *incarnation* of the log begins. Results of reads and writes that began in an earlier incarnation
//! are recognised by its number and not used.

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

/// State shared by the writer, the readers and the follower.
pub(super) struct Tail {
    /// The last events, for subscribers that are up to date.
    pub(super) recent: Recent,
    /// The assumed heads of streams.
    streams: Streams,
    /// The head that subscribers wait for. Raised once the events below it are in `recent`.
    head: watch::Sender<Position>,
    /// The last position acknowledged before it was in `recent`, because that took too long.
    acknowledged: AtomicU64,
    /// Notified when other processes have written, or may have.
    pub(super) behind: Notify,
    /// Notified when this process has written.
    pub(super) wrote: Notify,
    /// Locked while anything above changes.
    remembered: Mutex<Remembered>,
    /// Whether the database was refused at the last comparison.
    refusing: AtomicBool,
    /// Sent after everything was dropped.
    incarnation: watch::Sender<u64>,
}

/// An event in the log, for comparison.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: Position,
    /// `None` before the first event.
    pub(super) event_id: Option<Uuid>,
}

/// The state with which a database is compared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Remembered {
    pub(super) incarnation: u64,
    /// The log's id, once known.
    pub(super) log_id: Option<Uuid>,
    /// The last event that was written or read here.
    pub(super) last: Mark,
    /// When this incarnation began, except the first.
    since: Option<Instant>,
}

/// The state of a database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Its last event.
    pub(super) head: Mark,
    /// The id of its event at the remembered position.
    pub(super) there: Option<Uuid>,
}

impl Tail {
    /// Returns the state before anything of the log is known.
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

    /// Returns the state to compare a database with. Taken before the query: meanwhile it only grows.
    pub(super) fn remembered(&self) -> Remembered {
        *self.lock()
    }

    /// Returns the incarnation of the log. A read or write counts for the one that was current before
    /// its connection was acquired.
    pub(super) fn incarnation(&self) -> u64 {
        self.lock().incarnation
    }

    pub(super) fn watch_incarnation(&self) -> watch::Receiver<u64> {
        self.incarnation.subscribe()
    }

    /// Returns whether a connection of this age was opened before the log was reset: it may lead to a
    /// server that still has the lost events.
    pub(super) fn is_of_earlier_incarnation(&self, age: Duration) -> bool {
        self.lock().since.is_some_and(|since| age > since.elapsed())
    }

    /// Returns the assumed heads of streams in an incarnation.
    pub(super) fn streams(&self, incarnation: u64) -> Streams {
        self.streams.of(incarnation)
    }

    /// Sets the log's id and its head.
    pub(super) fn open(&self, log_id: Uuid, head: Mark) {
        let mut remembered = self.lock();
        (remembered.log_id, remembered.last) = (Some(log_id), head);
        self.recent.skip_to(head.position);
        raise(&self.head, head.position);
    }

    /// Compares the state of a database with the remembered state at the time of the query. If the log
    /// was reset, everything remembered is dropped. Returns the incarnation that the database has;
    /// `None` if another one began meanwhile, and the database must be queried again.
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
            "the event store was reset to an earlier state: it lacks the last event that this process remembers, and acknowledged events may be lost (after a failover to a lagging standby, or a restored backup). Subscriptions stop; run `bascule projections rebuild --all` to resume them"
        );
        metrics::counter!("event_store_went_back_total").increment(1);
        self.acknowledged.store(0, Ordering::Release);
        self.recent.go_back_to(found.head.position);
        self.streams.begin(incarnation);
        remembered.incarnation = incarnation;
        remembered.last = found.head;
        remembered.since = Some(Instant::now());
        self.head.send_replace(found.head.position);
        // Last: a reader of it finds nothing of the earlier incarnation.
        self.incarnation.send_replace(incarnation);
        Some(incarnation)
    }

    /// Records that a connection was refused. Logged once: others are tried, and most callers that wait
    /// for one only get a timeout.
    pub(super) fn refused(&self, error: &sqlx::Error) {
        if !self.refusing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "cannot use a connection to the event store; trying another one");
        }
    }

    /// Returns the requested events after a position that are in memory; if these are not all known
    /// events, how far the database must be read.
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

    /// Records that the events of this process up to a position, in an incarnation, are acknowledged.
    pub(super) fn acknowledged(&self, incarnation: u64, position: Position) {
        if self.lock().incarnation == incarnation {
            self.acknowledged.fetch_max(position, Ordering::AcqRel);
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Records consecutive events that this process committed. Returns `false` if events of other
    /// processes before them are still missing: then the follower reads all of them.
    pub(super) fn written_here(&self, incarnation: u64, events: &[Arc<RecordedEvent>]) -> bool {
        self.wrote.notify_one();
        let before = events.first().map_or(0, |first| first.position - 1);
        let follows = self.add(incarnation, before, events);
        if !follows {
            self.behind.notify_one();
        }
        follows
    }

    /// Adds the events of the log after a position, unless events before them are missing, or the log
    /// was reset since they were read.
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

    /// Records that the log has reached this position.
    pub(super) fn seen(&self, position: Position) {
        if position > self.recent.end() {
            self.behind.notify_one();
        }
    }

    /// Skips to a position without having the events before it in memory: readers that need them query
    /// the database.
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

    /// Returns what a database with these events answers to a process with this remembered state.
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
        // Written after the query was sent; the response may include them or not.
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
        // Another connection made the same comparison.
        assert_eq!(tail.compare(asked, found(&events[..3], asked)), None);
        assert_eq!(*incarnation.borrow_and_update(), 1);
        assert_eq!((*tail.subscribe().borrow(), tail.recent.end()), (3, 3));
        assert_eq!(tail.streams(1).get(&stream), None);
        assert!(!tail.add(0, 3, &events[3..]));
        tail.acknowledged(0, 5);
        tail.skip_to(0, 5);
        let page = tail.page(3, &EventFilter::all(), 10).unwrap();
        assert_eq!((page.scanned_to, tail.recent.end()), (3, 3));
        // The log grows again, and then loses its end once more.
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
