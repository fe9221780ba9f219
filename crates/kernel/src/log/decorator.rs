//! Event stores that wrap another event store.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use super::store::{
    AppendError, AppendRequest, Appended, EventLocation, EventStore, LogPage, ReadError,
};

/// Overrides some operations of an event store; all other operations go to the inner store. Every
/// implementation is an [`EventStore`].
pub trait Decorator: Send + Sync + 'static {
    /// Returns the inner store.
    fn inner(&self) -> &dyn EventStore;

    /// See [`EventStore::append_many`]. Receives all appends, including those to a single stream.
    fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> impl Future<Output = Result<Vec<Appended>, AppendError>> + Send {
        async move { self.inner().append_many(requests).await }
    }

    /// See [`EventStore::read_stream`].
    fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Arc<RecordedEvent>>, ReadError>> + Send {
        async move { self.inner().read_stream(stream, from, limit).await }
    }

    /// See [`EventStore::read_stream_page`].
    fn read_stream_page(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Arc<RecordedEvent>>, ReadError>> + Send {
        async move { self.inner().read_stream_page(stream, from, limit).await }
    }

    /// See [`EventStore::read_last`].
    fn read_last(
        &self,
        stream: &StreamName,
    ) -> impl Future<Output = Result<Option<Arc<RecordedEvent>>, ReadError>> + Send {
        async move { self.inner().read_last(stream).await }
    }

    /// See [`EventStore::find_in_stream`].
    fn find_in_stream(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> impl Future<Output = Result<Option<EventLocation>, ReadError>> + Send {
        async move { self.inner().find_in_stream(stream, event_id).await }
    }

    /// See [`EventStore::read_log`].
    fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> impl Future<Output = Result<LogPage, ReadError>> + Send {
        async move { self.inner().read_log(after, filter, limit).await }
    }
}

#[async_trait]
impl<D: Decorator> EventStore for D {
    fn log_id(&self) -> Uuid {
        self.inner().log_id()
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        Decorator::append_many(self, requests).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        Decorator::read_stream(self, stream, from, limit).await
    }

    async fn read_stream_page(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        Decorator::read_stream_page(self, stream, from, limit).await
    }

    async fn read_last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        Decorator::read_last(self, stream).await
    }

    async fn find_in_stream(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<EventLocation>, ReadError> {
        Decorator::find_in_stream(self, stream, event_id).await
    }

    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        Decorator::read_log(self, after, filter, limit).await
    }

    async fn read_correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.inner().read_correlation(correlation_id, after, limit).await
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        self.inner().event_id_at(position).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner().head().await
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.inner().watch_head()
    }

    fn watch_incarnation(&self) -> watch::Receiver<u64> {
        self.inner().watch_incarnation()
    }

    async fn scavenge(
        &self,
        stream: &StreamName,
        below: Revision,
        limit: usize,
    ) -> Result<u64, AppendError> {
        self.inner().scavenge(stream, below, limit).await
    }

    async fn check_writable(&self) -> Result<(), AppendError> {
        self.inner().check_writable().await
    }
}
