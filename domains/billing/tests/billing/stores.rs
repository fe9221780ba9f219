//! Event stores that fail now and then, as stores behind a network do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use kernel::memory::MemoryStore;
use kernel::store::{AppendError, AppendRequest, Appended, EventStore, LogPage, ReadError};
use tokio::sync::watch;
use uuid::Uuid;

/// A store in memory that misbehaves as it is told to.
pub struct Unreliable {
    inner: MemoryStore,
    /// How many appends there were, when some of them are to fail.
    appends: Option<AtomicUsize>,
    /// Whether the next read of a last event shall miss it.
    misses: AtomicBool,
}

impl Unreliable {
    /// Every third append fails before anything is written; every fifth is written, but the answer
    /// is lost; every seventh is written, and then the caller is told that the store was out of
    /// reach, as if it had been killed before it could learn better.
    pub fn failing(inner: MemoryStore) -> Arc<Self> {
        let (appends, misses) = (Some(AtomicUsize::new(0)), AtomicBool::new(false));
        Arc::new(Self { inner, appends, misses })
    }

    /// One that does as it should until [`Self::miss_the_last_event`].
    pub fn racing(inner: MemoryStore) -> Arc<Self> {
        Arc::new(Self { inner, appends: None, misses: AtomicBool::new(false) })
    }

    /// The next read of a last event comes just before it is written, as when another process is
    /// faster.
    pub fn miss_the_last_event(&self) {
        self.misses.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl EventStore for Unreliable {
    fn log_id(&self) -> Uuid {
        self.inner.log_id()
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
        self.inner.read_stream(stream, from, limit).await
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
        last
    }

    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        self.inner.read_log(after, filter, limit).await
    }

    async fn read_correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.inner.read_correlation(correlation_id, after, limit).await
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        self.inner.event_id_at(position).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.inner.watch_head()
    }
}
