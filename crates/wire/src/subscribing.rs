//! Subscriptions: existing events, then `CaughtUp`, then live events. No event is missed or sent twice,
//! and none is read before the client has taken the events before it.

use std::sync::Arc;

use async_stream::try_stream;
use futures::Stream;
use kernel::event::{EventFilter, RecordedEvent, StreamName};
use kernel::seams::new_id;
use kernel::store::{LogPage, ReadError};
use kernel::subscription::LogReader;

use crate::endpoint::Endpoint;
use crate::filter::Filter;
use crate::lifecycle::{Lifecycle, TOMBSTONE};
use crate::paging::PageLimit;
use crate::presentation::{Presentation, Reached, caught_up, checkpoint, confirmation};
use crate::protocol::streams::ReadResp;
use crate::reading::{From, wanted};
use crate::refusal::Refusal;

/// Counts an open subscription until dropped.
struct Open;

impl Open {
    fn new() -> Self {
        metrics::gauge!("wire_subscriptions").increment(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("wire_subscriptions").decrement(1.0);
    }
}

/// Reads live events.
struct Live {
    endpoint: Arc<Endpoint>,
    reader: LogReader,
    limit: PageLimit,
}

impl Live {
    fn after(endpoint: &Arc<Endpoint>, position: u64) -> Self {
        let reader = LogReader::new(Arc::clone(&endpoint.store), position, EventFilter::all());
        Self { endpoint: Arc::clone(endpoint), reader, limit: PageLimit::new() }
    }

    /// Returns the next page of the log, which may be empty at the head.
    async fn page(&mut self) -> Result<LogPage, Refusal> {
        self.endpoint.goes_on()?;
        let page = self.reader.page(self.limit.events()).await?;
        self.limit.fit(&page.events);
        Ok(page)
    }

    /// Waits until the log has more events.
    async fn wait(&mut self) -> Result<(), Refusal> {
        tokio::select! {
            () = self.endpoint.stopping.cancelled() => Err(Refusal::Stopping),
            () = self.reader.wait() => Ok(()),
        }
    }
}

/// Returns an error if the event ends the stream.
fn must_go_on(event: &RecordedEvent) -> Result<(), Refusal> {
    if event.event_type == TOMBSTONE {
        return Err(Refusal::StreamDeleted(event.stream.clone()));
    }
    Ok(())
}

fn unread(error: ReadError) -> Refusal {
    error.into()
}

/// Returns the events of a stream after a revision.
pub(crate) fn stream(
    endpoint: Arc<Endpoint>,
    stream: StreamName,
    from: From,
    present: Presentation,
) -> impl Stream<Item = Result<ReadResp, Refusal>> + Send {
    try_stream! {
        let _open = Open::new();
        // Read before the stream: events that the read misses come after this position in the log.
        let head = endpoint.store.head().await.map_err(unread)?;
        let mut live = Live::after(&endpoint, head);
        let lifecycle =
            Lifecycle::of(&stream, &endpoint.ownership, endpoint.store.as_ref()).await.map_err(unread)?;
        lifecycle.must_be_alive(&stream)?;
        let last = endpoint.last_revision(&stream).await.map_err(unread)?;
        let visible = last.and_then(|last| lifecycle.visible(last, endpoint.clock.now()));
        yield confirmation(new_id().to_string());

        let after_last = last.map_or(0, |last| last + 1);
        let mut next = match from {
            From::Start => 0,
            From::At(revision) => revision.saturating_add(1),
            From::End => after_last,
        };
        next = next.max(visible.map_or(after_last, |visible| visible.first));
        let mut reached = last;
        let mut limit = PageLimit::new();
        loop {
            endpoint.goes_on()?;
            let page = endpoint.store.read_stream_page(&stream, next, limit.events()).await
                .map_err(unread)?;
            live.reader.expect_no_return().map_err(unread)?;
            limit.fit(&page);
            let Some(end) = page.last() else { break };
            next = end.revision + 1;
            reached = Some(end.revision);
            for event in &page {
                must_go_on(event)?;
                if visible.is_none_or(|visible| visible.shows(event)) {
                    yield present.event(event).await?;
                }
            }
        }
        yield caught_up(Reached::Stream(reached), endpoint.clock.now());

        loop {
            let page = live.page().await?;
            for event in &page.events {
                if event.stream == stream && event.revision >= next {
                    next = event.revision + 1;
                    must_go_on(event)?;
                    yield present.event(event).await?;
                }
            }
            if page.events.is_empty() {
                live.wait().await?;
            }
        }
    }
}

/// Returns the events of the log after a position that pass the filter.
pub(crate) fn log(
    endpoint: Arc<Endpoint>,
    from: From,
    filter: Option<Filter>,
    present: Presentation,
) -> impl Stream<Item = Result<ReadResp, Refusal>> + Send {
    try_stream! {
        let _open = Open::new();
        let after = match from {
            From::Start => 0,
            From::At(position) => position,
            From::End => endpoint.store.head().await.map_err(unread)?,
        };
        yield confirmation(new_id().to_string());

        let mut live = Live::after(&endpoint, after);
        let mut is_live = false;
        // Number of events examined since the last message to the client.
        let mut silent = 0_u64;
        loop {
            let page = live.page().await?;
            for event in &page.events {
                silent += 1;
                if wanted(filter.as_ref(), event)? {
                    yield present.event(event).await?;
                }
                if let Some(filter) = &filter
                    && silent >= filter.checkpoint_every
                {
                    silent = 0;
                    yield checkpoint(event.position, endpoint.clock.now());
                }
            }
            if !page.events.is_empty() {
                continue;
            }
            if !is_live {
                is_live = true;
                if filter.is_some() && silent > 0 {
                    silent = 0;
                    yield checkpoint(page.scanned_to, endpoint.clock.now());
                }
                yield caught_up(Reached::Log(page.scanned_to), endpoint.clock.now());
            }
            live.wait().await?;
        }
    }
}
