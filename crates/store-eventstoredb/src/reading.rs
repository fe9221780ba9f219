//! Reads with EventStoreDB's client.

use std::sync::Arc;

use eventstore::{
    Error, Position as WirePosition, ReadAllOptions, ReadStream, ReadStreamOptions, StreamPosition,
};
use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use kernel::store::{LogPage, PAGE_BYTES, ReadError};

use crate::connection::Connection;
use crate::events;

/// The part of the log that one page examines if few of its events match: events that do not match are
/// sent all the same.
const SCAN: usize = 1000;

fn unavailable(error: Error) -> ReadError {
    ReadError::Unavailable(Box::new(error))
}

/// Returns all events of a read. A stream that does not exist has none.
async fn collect(reading: Result<ReadStream, Error>) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
    let mut reading = match reading {
        Err(Error::ResourceNotFound) => return Ok(Vec::new()),
        other => other.map_err(unavailable)?,
    };
    let mut found = Vec::new();
    while let Some(event) = next(&mut reading).await? {
        found.push(event);
    }
    Ok(found)
}

/// Returns the next event of a read, `None` at its end.
async fn next(reading: &mut ReadStream) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
    match reading.next().await {
        Ok(Some(event)) => {
            let event = event.get_original_event();
            let position = event.position.commit;
            let damaged = |source| ReadError::Damaged { position, source };
            Ok(Some(Arc::new(events::read(event).map_err(damaged)?)))
        }
        Ok(None) | Err(Error::ResourceNotFound) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

impl Connection {
    /// Reads an event, to test whether reading works.
    pub(crate) async fn try_reading(&self) -> Result<(), ReadError> {
        let options = ReadAllOptions::default().position(StreamPosition::Start).max_count(1);
        collect(self.events.read_all(&options).await).await.map(drop)
    }

    pub(crate) async fn stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let options = ReadStreamOptions::default()
            .position(StreamPosition::Position(from))
            .forwards()
            .max_count(limit);
        collect(self.events.read_stream(stream.as_str(), &options).await).await
    }

    pub(crate) async fn last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        let options = ReadStreamOptions::default().position(StreamPosition::End).max_count(1);
        Ok(collect(self.events.read_stream(stream.as_str(), &options).await).await?.pop())
    }

    /// Returns the requested events after a position. The filter is applied here.
    pub(crate) async fn log_after(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        let is_filtered = filter.wanted_families().is_some();
        let count = if is_filtered { limit.max(SCAN) } else { limit };
        // A read begins with the event at its position.
        let from = after.saturating_add(1);
        let from = WirePosition { commit: from, prepare: from };
        let options = ReadAllOptions::default()
            .position(StreamPosition::Position(from))
            .forwards()
            .max_count(count);
        let mut reading = self.events.read_all(&options).await.map_err(unavailable)?;
        let mut page = LogPage::nothing_after(after);
        let mut bytes = 0;
        // Events that do not match are dropped at once, and the log is not read beyond the page.
        while page.events.len() < limit && bytes < PAGE_BYTES {
            let Some(event) = next(&mut reading).await? else { break };
            page.scan(event.position, event.id);
            if filter.matches(&event.event_type) {
                bytes += event.size();
                page.events.push(event);
            }
        }
        Ok(page)
    }
}
