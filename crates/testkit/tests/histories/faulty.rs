//! The whole apparatus catches stores that break a promise now and then: the workload provokes it,
//! the checkers see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernel::decorator::Decorator;
use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use kernel::memory::MemoryStore;
use kernel::seams::SystemClock;
use kernel::store::{
    AppendError, AppendRequest, Appended, EventStore, ExpectedRevision, LogPage, ReadError,
};
use testkit::history::{Recorder, Workload, in_log_order, linearizable, read_all};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Takes an append whatever it expects.
    ChecksNothing,
    /// Writes half of what it acknowledges.
    WritesHalf,
    /// Answers a read without the last event.
    ReadsLate,
    /// Leaves an event of the log out.
    Skips,
}

/// A store with a fault that shows in one of ten cases.
struct Faulty {
    inner: MemoryStore,
    fault: Fault,
    cases: AtomicU64,
}

impl Faulty {
    fn strikes(&self, fault: Fault) -> bool {
        self.fault == fault && self.cases.fetch_add(1, Ordering::Relaxed) % 10 == 9
    }
}

impl Decorator for Faulty {
    fn inner(&self) -> &dyn EventStore {
        &self.inner
    }

    async fn append_many(
        &self,
        mut requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        if self.strikes(Fault::ChecksNothing) {
            for request in &mut requests {
                request.expected = ExpectedRevision::Any;
            }
        }
        if requests.len() > 1 && self.strikes(Fault::WritesHalf) {
            let first = self.inner.append_many(vec![requests.swap_remove(0)]).await?;
            return Ok([first.clone(), first].concat());
        }
        self.inner.append_many(requests).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let mut events = self.inner.read_stream(stream, from, limit).await?;
        if self.strikes(Fault::ReadsLate) {
            events.pop();
        }
        Ok(events)
    }

    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        let mut page = self.inner.read_log(after, filter, limit).await?;
        if page.events.len() > 1 && self.strikes(Fault::Skips) {
            page.events.remove(0);
        }
        Ok(page)
    }
}

/// Whether each of the checkers is content with the store.
async fn content_with(fault: Fault) -> (bool, bool) {
    let inner = MemoryStore::new(Arc::new(SystemClock));
    let store: Arc<dyn EventStore> = Arc::new(Faulty { inner, fault, cases: AtomicU64::default() });
    let recorder = Arc::new(Recorder::default());
    let workload = Workload { streams: 3, clients: 4, operations: 100, seed: 1, process: 0 };
    workload.run(std::slice::from_ref(&store), &recorder).await;
    let (history, log) = (recorder.history(), read_all(&store).await);
    (linearizable(&history, &log).is_ok(), in_log_order(&history, &log).is_ok())
}

#[tokio::test]
async fn stores_that_break_a_promise_are_found_out() {
    for (fault, content) in [
        (Fault::None, (true, true)),
        (Fault::ChecksNothing, (false, true)),
        (Fault::WritesHalf, (false, false)),
        (Fault::ReadsLate, (false, false)),
        (Fault::Skips, (true, false)),
    ] {
        assert_eq!(content_with(fault).await, content, "{fault:?}");
    }
}
