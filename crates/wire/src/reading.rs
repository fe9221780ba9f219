//! Reads of a stream or the log as it is, forwards or backwards. Events appended later are not read.
//!
//! Responses are produced on demand: a page is read when the client has taken the one before.

use std::sync::Arc;

use async_stream::try_stream;
use futures::Stream;
use kernel::event::{EventFilter, Position, RecordedEvent, StreamName};
use kernel::store::PAGE_BYTES;

use crate::endpoint::Endpoint;
use crate::filter::Filter;
use crate::lifecycle::{Lifecycle, Visible};
use crate::paging::PageLimit;
use crate::presentation::{
    Presentation, first_stream_position, last_all_stream_position, last_stream_position,
    stream_not_found,
};
use crate::protocol::streams::ReadResp;
use crate::refusal::Refusal;

/// The start of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Start,
    End,
    /// A revision of a stream, or a position of the log.
    At(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forwards,
    Backwards,
}

/// A read of a stream.
pub(crate) struct StreamRead {
    pub(crate) stream: StreamName,
    pub(crate) from: From,
    pub(crate) direction: Direction,
    pub(crate) count: u64,
    /// Whether the client understands messages with the first and last revision.
    pub(crate) with_bounds: bool,
}

/// A read of the log.
pub(crate) struct LogRead {
    pub(crate) from: From,
    pub(crate) direction: Direction,
    pub(crate) count: u64,
    pub(crate) filter: Option<Filter>,
    /// Whether the client understands messages with the last position.
    pub(crate) with_bounds: bool,
}

impl Endpoint {
    /// Returns the readable part of a stream, `None` if the stream is absent.
    pub(crate) async fn visible(&self, stream: &StreamName) -> Result<Option<Visible>, Refusal> {
        let lifecycle = Lifecycle::of(stream, &self.ownership, self.store.as_ref()).await?;
        lifecycle.must_be_alive(stream)?;
        if lifecycle.hides() {
            self.scavenger.seen(stream);
        }
        let Some(last) = self.last_revision(stream).await? else { return Ok(None) };
        Ok(lifecycle.visible(last, self.clock.now()))
    }

    /// Returns an error if the server is stopping, to end reads.
    pub(crate) fn goes_on(&self) -> Result<(), Refusal> {
        if self.stopping.is_cancelled() { Err(Refusal::Stopping) } else { Ok(()) }
    }
}

/// Returns the events of a stream.
pub(crate) fn stream(
    endpoint: Arc<Endpoint>,
    read: StreamRead,
    present: Presentation,
) -> impl Stream<Item = Result<ReadResp, Refusal>> + Send {
    try_stream! {
        let StreamRead { stream, from, direction, mut count, with_bounds } = read;
        let Some(visible) = endpoint.visible(&stream).await? else {
            yield stream_not_found(&stream);
            return;
        };
        let mut limit = PageLimit::new();
        match direction {
            Direction::Forwards => {
                let mut next = match from {
                    From::Start => 0,
                    From::End => visible.last + 1,
                    From::At(revision) => revision,
                };
                if with_bounds && next < visible.first {
                    yield first_stream_position(visible.first);
                }
                next = next.max(visible.first);
                while count > 0 && next <= visible.last {
                    endpoint.goes_on()?;
                    let size = if visible.ages() { limit.events() } else { limit.at_most(count) };
                    let page = endpoint.store.read_stream_page(&stream, next, size).await
                        .map_err(Refusal::from)?;
                    limit.fit(&page);
                    let Some(end) = page.last() else { break };
                    next = end.revision + 1;
                    for event in shown(&page, &visible) {
                        if count > 0 {
                            count -= 1;
                            yield present.event(event).await?;
                        }
                    }
                }
                if with_bounds && next > visible.last {
                    yield last_stream_position(visible.last);
                }
            }
            Direction::Backwards => {
                let next = match from {
                    From::Start => 0,
                    From::End => visible.last,
                    From::At(revision) => revision.min(visible.last),
                };
                let mut end = next + 1;
                while count > 0 && end > visible.first {
                    endpoint.goes_on()?;
                    let size = limit.at_most((end - visible.first).min(count));
                    let begin = end - size as u64;
                    let mut page = endpoint.store.read_stream_page(&stream, begin, size).await
                        .map_err(Refusal::from)?;
                    limit.fit(&page);
                    if size > 1 && page.last().is_some_and(|last| last.revision + 1 < end) {
                        // More than a page: the last events are wanted.
                        limit.halve(size);
                        continue;
                    }
                    page.retain(|event| event.revision < end);
                    for event in shown(&page, &visible).rev() {
                        count -= 1;
                        yield present.event(event).await?;
                    }
                    // The first event left after removal or expiry is the beginning of the stream:
                    // nothing precedes it.
                    let goes_on = page.len() == size
                        && page.first().is_some_and(|oldest| visible.shows(oldest));
                    if !goes_on {
                        break;
                    }
                    end = begin;
                }
            }
        }
    }
}

fn shown<'a>(
    page: &'a [Arc<RecordedEvent>],
    visible: &'a Visible,
) -> impl DoubleEndedIterator<Item = &'a Arc<RecordedEvent>> + Send {
    let visible = *visible;
    let within = move |event: &&'a Arc<RecordedEvent>| {
        event.revision <= visible.last && visible.shows(event)
    };
    page.iter().filter(within)
}

/// Returns the events of the log. As the protocol defines, a forward read includes the event at the
/// given position; a backward read does not.
pub(crate) fn log(
    endpoint: Arc<Endpoint>,
    read: LogRead,
    present: Presentation,
) -> impl Stream<Item = Result<ReadResp, Refusal>> + Send {
    try_stream! {
        let LogRead { from, direction, mut count, filter, with_bounds } = read;
        let head = endpoint.store.head().await.map_err(Refusal::from)?;
        let all = EventFilter::all();
        let mut limit = PageLimit::new();
        match direction {
            Direction::Forwards => {
                let mut after = match from {
                    From::Start => 0,
                    From::End => head,
                    From::At(position) => position.saturating_sub(1),
                };
                while count > 0 && after < head {
                    endpoint.goes_on()?;
                    let page = endpoint.store.read_log(after, &all, limit.events()).await
                        .map_err(Refusal::from)?;
                    if page.scanned_to == after {
                        break;
                    }
                    after = page.scanned_to;
                    limit.fit(&page.events);
                    for event in page.events.iter().filter(|event| event.position <= head) {
                        if count > 0 && wanted(filter.as_ref(), event)? {
                            count -= 1;
                            yield present.event(event).await?;
                        }
                    }
                }
                if with_bounds && head > 0 && after >= head {
                    yield last_all_stream_position(head);
                }
            }
            Direction::Backwards => {
                // The last position to read.
                let mut last = match from {
                    From::Start => 0,
                    From::End => head,
                    From::At(position) => position.saturating_sub(1).min(head),
                };
                let mut window = limit.events() as u64;
                while count > 0 && last > 0 {
                    endpoint.goes_on()?;
                    let (events, begin) = before(&endpoint, last, window, limit.events()).await?;
                    limit.fit(&events);
                    // Where many events were removed, a longer window has as many events.
                    window = match events.len() as u64 * 2 < last - begin {
                        true => (window * 2).min(MOST_POSITIONS),
                        false => limit.events() as u64,
                    };
                    for event in events.iter().rev() {
                        if count > 0 && wanted(filter.as_ref(), event)? {
                            count -= 1;
                            yield present.event(event).await?;
                        }
                    }
                    last = begin;
                }
            }
        }
    }
}

/// Maximum window of the log that is read at once, backwards, where most events were removed.
const MOST_POSITIONS: u64 = 1 << 20;

/// Returns the events of the last `window` positions up to one, and the position before that window: a
/// shorter one if it has more events than are read at once.
async fn before(
    endpoint: &Endpoint,
    last: Position,
    mut window: u64,
    limit: usize,
) -> Result<(Vec<Arc<RecordedEvent>>, Position), Refusal> {
    let all = EventFilter::all();
    loop {
        let begin = last.saturating_sub(window);
        let (mut events, mut bytes, mut scanned_to) = (Vec::new(), 0, begin);
        while scanned_to < last && events.len() < limit && bytes < PAGE_BYTES {
            let page = endpoint.store.read_log(scanned_to, &all, limit - events.len()).await?;
            if page.scanned_to == scanned_to {
                scanned_to = last;
                break;
            }
            scanned_to = page.scanned_to;
            bytes += page.events.iter().map(|event| event.size()).sum::<usize>();
            events.extend(page.events);
        }
        if scanned_to < last && window > 1 {
            window /= 2;
            continue;
        }
        events.retain(|event| event.position <= last);
        return Ok((events, begin));
    }
}

pub(crate) fn wanted(filter: Option<&Filter>, event: &RecordedEvent) -> Result<bool, Refusal> {
    filter.map_or(Ok(true), |filter| filter.wants(event))
}
