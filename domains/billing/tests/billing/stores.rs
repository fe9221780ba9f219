//! Event stores that fail at times, like stores behind a network.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kernel::decorator::Decorator;
use kernel::event::{RecordedEvent, Revision, StreamName};
use kernel::memory::MemoryStore;
use kernel::store::{AppendError, AppendRequest, Appended, EventStore, ReadError};

/// A store in memory that fails as a test sets it.
pub struct Unreliable {
    inner: MemoryStore,
    /// How many appends there were, when some of them are to fail.
    appends: Option<AtomicUsize>,
    /// Whether the next read of a last event shall miss it.
    misses: AtomicBool,
    /// What another process does after so many more reads.
    meanwhile: Mutex<Option<(usize, BoxFuture)>>,
}

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Unreliable {
    /// Every third append fails before anything is written; every fifth is written, but its answer is
    /// lost; every seventh is written and reported as unavailable, as to a caller that is killed
    /// before the answer.
    pub fn failing(inner: MemoryStore) -> Arc<Self> {
        let (appends, misses) = (Some(AtomicUsize::new(0)), AtomicBool::new(false));
        Arc::new(Self { inner, appends, misses, meanwhile: Mutex::default() })
    }

    /// A store that works until [`Self::miss_the_last_event`] or [`Self::after_reads`].
    pub fn racing(inner: MemoryStore) -> Arc<Self> {
        let misses = AtomicBool::new(false);
        Arc::new(Self { inner, appends: None, misses, meanwhile: Mutex::default() })
    }

    /// Once, after so many more reads of streams and before the last of them is answered, another
    /// process does something: what was read is out of date when it is looked at.
    pub fn after_reads(&self, count: usize, deed: impl Future<Output = ()> + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some((count, Box::pin(deed)));
    }

    /// Counts a read, and lets the other process do its deed when it is time.
    async fn was_read(&self) {
        let deed = {
            let mut meanwhile = self.meanwhile.lock().unwrap();
            match &mut *meanwhile {
                Some((count, _)) if *count > 1 => {
                    *count -= 1;
                    None
                }
                due => due.take(),
            }
        };
        if let Some((_, deed)) = deed {
            deed.await;
        }
    }

    /// The next read of a last event comes just before it is written, as when another process is
    /// faster.
    pub fn miss_the_last_event(&self) {
        self.misses.store(true, Ordering::Relaxed);
    }
}

impl Decorator for Unreliable {
    fn inner(&self) -> &dyn EventStore {
        &self.inner
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        let Some(appends) = &self.appends else {
            return self.inner.append_many(requests).await;
        };
        let count = appends.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(3) {
            return Err(AppendError::Unavailable("out of reach".into()));
        }
        let appended = self.inner.append_many(requests).await?;
        if count.is_multiple_of(5) {
            return Err(AppendError::OutcomeUnknown("the connection was lost".into()));
        }
        if count.is_multiple_of(7) {
            return Err(AppendError::Unavailable("killed".into()));
        }
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        // Tasks take turns here, as they would at a real store.
        tokio::task::yield_now().await;
        let events = self.inner.read_stream(stream, from, limit).await;
        self.was_read().await;
        events
    }

    async fn read_last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        if self.misses.swap(false, Ordering::Relaxed) {
            return Ok(None);
        }
        let last = self.inner.read_last(stream).await;
        tokio::task::yield_now().await;
        self.was_read().await;
        last
    }
}
