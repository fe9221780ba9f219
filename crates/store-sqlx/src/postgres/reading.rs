//! Reading events from PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use kernel::backoff;
use kernel::event::{EventFilter, Metadata, Position, RecordedEvent, Revision, StreamName};
use kernel::store::{BoxError, EventLocation, LogPage, PAGE_BYTES, ReadError};
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};
use tokio::time::Instant;
use uuid::Uuid;

use super::connecting::{look, within};
use super::failure::lost_connection;
use super::streams::{StreamHead, Streams};
use super::tail::{Mark, Tail};
use crate::interning::Interner;

macro_rules! select_events {
    ($rest:literal) => {
        select_events!("", $rest)
    };
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT e.position, s.name, e.revision, e.id, e.type, e.data, e.correlation_id, \
             e.causation_id, e.traceparent, e.actor, e.origin_system, e.occurred_at, \
             e.recorded_at, e.foreign_metadata, e.foreign_json",
            $more,
            " FROM event e JOIN stream s ON s.id = e.stream_id ",
            $rest
        )
    };
}

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    pub(super) const ID_AT: &str = "SELECT id FROM event WHERE position = $1 \
         UNION ALL SELECT id FROM scavenged WHERE position = $1";
    /// The stream's id comes along, because a reader of a stream is likely to append to it.
    pub(super) const STREAM: &str =
        select_events!(", s.id", "WHERE s.name = $1 AND e.revision >= $2 ORDER BY e.revision LIMIT $3");
    pub(super) const LAST: &str =
        select_events!(", s.id", "WHERE s.name = $1 ORDER BY e.revision DESC LIMIT 1");
    pub(super) const FIND: &str = "SELECT e.revision, e.position FROM stream s \
         JOIN event e ON e.stream_id = s.id WHERE s.name = $1 AND e.id = $2";
    pub(super) const LOG: &str =
        select_events!("WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position LIMIT $3");
    pub(super) const LOG_OF_FAMILIES: &str = select_events!(
        "WHERE e.position > $1 AND e.position <= $2 \
         AND rtrim(e.type, '0123456789') = ANY ($4) AND right(e.type, 1) <> 'v' \
         ORDER BY e.position LIMIT $3"
    );
    pub(super) const CORRELATION: &str =
        select_events!("WHERE e.correlation_id = $1 AND e.position > $2 ORDER BY e.position LIMIT $3");
    pub(super) const IS_READ_ONLY: &str = "SELECT current_setting('transaction_read_only')::boolean";
}

/// Columns of an event; behind them there may be the id of the one stream that is read.
const EVENT_COLUMNS: usize = 15;
/// The part of the log that one page examines if few of its events match.
const SCAN: Position = 20_000;
/// How long a read is retried on other connections after those it used were lost.
const PATIENCE: Duration = Duration::from_secs(1);

type Events = Vec<Arc<RecordedEvent>>;

/// Connections that read.
#[derive(Clone)]
pub(super) struct Readers {
    pub(super) pool: PgPool,
    /// The timeout of a statement.
    pub(super) timeout: Duration,
    pub(super) tail: Arc<Tail>,
}

fn unavailable(error: sqlx::Error) -> ReadError {
    ReadError::Unavailable(Box::new(error))
}

impl Readers {
    /// Reads, on another connection if needed: a restart of the server closes all open ones.
    async fn read<T, F>(&self, read: impl Fn() -> F) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut pauses = backoff::endless(Duration::from_millis(5), Duration::from_millis(200));
        loop {
            match within(self.timeout, read()).await {
                Err(error) if lost_connection(&error) && Instant::now() < deadline => {
                    tracing::debug!(%error, "a read lost its connection; retrying on another one");
                    tokio::time::sleep(pauses.next().unwrap_or(PATIENCE)).await;
                }
                result => return result.map_err(unavailable),
            }
        }
    }

    /// Returns the events that one of the statements above selects.
    async fn events<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Events, ReadError> {
        self.page(query, usize::MAX).await.map(|(events, _)| events)
    }

    /// Returns the events up to a number of bytes, and whether there are more.
    async fn page<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments>,
        most: usize,
    ) -> Result<(Events, bool), ReadError> {
        self.read(|| async {
            let streams = self.tail.streams(self.tail.incarnation());
            let mut connection = self.pool.acquire().await?;
            collect(query(), most, &mut connection, &streams).await
        })
        .await?
    }

    /// Returns the last event of the log, after comparing the remembered state with it.
    pub(super) async fn look(&self) -> Result<Mark, ReadError> {
        let looked =
            self.read(|| async { look(&mut *self.pool.acquire().await?, &self.tail).await });
        Ok(looked.await?.head)
    }

    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.look().await?.position)
    }

    pub(super) async fn is_read_only(&self) -> Result<bool, ReadError> {
        self.read(|| sqlx::query_scalar(IS_READ_ONLY).fetch_one(&self.pool)).await
    }

    pub(super) async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        self.read(|| async { id_at(position, &mut *self.pool.acquire().await?).await }).await
    }

    /// Returns up to `limit` events, and no more once they exceed `most` bytes.
    pub(super) async fn stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
        most: usize,
    ) -> Result<Events, ReadError> {
        let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
        let query = || sqlx::query(STREAM).bind(stream.as_str()).bind(from).bind(count(limit));
        self.page(query, most).await.map(|(events, _)| events)
    }

    pub(super) async fn last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        Ok(self.events(|| sqlx::query(LAST).bind(stream.as_str())).await?.pop())
    }

    pub(super) async fn find(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<EventLocation>, ReadError> {
        let row: Option<(i64, i64)> = self
            .read(|| {
                let query = sqlx::query_as(FIND).bind(stream.as_str()).bind(event_id);
                query.fetch_optional(&self.pool)
            })
            .await?;
        Ok(row.map(|(revision, position)| EventLocation {
            revision: revision.cast_unsigned(),
            position: position.cast_unsigned(),
        }))
    }

    /// Reads the log up to `head`: everything up to there is written and visible.
    pub(super) async fn log(
        &self,
        after: Position,
        head: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        let families: Option<Vec<String>> = filter
            .wanted_families()
            .map(|families| families.iter().map(|family| format!("{family}.v")).collect());
        let to = match families {
            Some(_) => head.min(after.saturating_add(SCAN)),
            None => head,
        };
        let query = || {
            let (after, to) = (after.cast_signed(), to.cast_signed());
            let query = |statement| sqlx::query(statement).bind(after).bind(to).bind(count(limit));
            match &families {
                Some(families) => query(LOG_OF_FAMILIES).bind(families),
                None => query(LOG),
            }
        };
        self.read(|| async {
            let streams = self.tail.streams(self.tail.incarnation());
            let mut connection = self.pool.acquire().await?;
            let page = collect(query(), PAGE_BYTES, &mut connection, &streams).await?;
            let (events, has_more) = match page {
                Ok(page) => page,
                Err(damaged) => return Ok(Err(damaged)),
            };
            let last = events.last().map(|last| (last.position, Some(last.id)));
            let is_full = has_more || events.len() == limit;
            let (scanned_to, scanned_id) = match last.filter(|(at, _)| is_full || *at == to) {
                Some(last) => last,
                // On the same connection: a server without this event may lack more.
                None => (to, Some(id_at(to, &mut connection).await?.ok_or_else(|| lacks(to))?)),
            };
            Ok(Ok(LogPage { events, scanned_to, scanned_id }))
        })
        .await?
    }

    /// Returns the next events of the log, whatever the known head, and whether there are more.
    pub(super) async fn after(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<(Events, bool), ReadError> {
        let after = after.cast_signed();
        let query = || sqlx::query(LOG).bind(after).bind(i64::MAX).bind(count(limit));
        let (events, has_more) = self.page(query, PAGE_BYTES).await?;
        let has_more = has_more || events.len() == limit;
        Ok((events, has_more))
    }

    pub(super) async fn correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Events, ReadError> {
        let Ok(after) = i64::try_from(after) else { return Ok(Vec::new()) };
        self.events(|| sqlx::query(CORRELATION).bind(correlation_id).bind(after).bind(count(limit)))
            .await
    }
}

/// Returns the events that a query selects, up to a number of bytes, and whether there are more.
async fn collect(
    query: Query<'_, Postgres, PgArguments>,
    most: usize,
    connection: &mut PgConnection,
    streams: &Streams,
) -> Result<Result<(Events, bool), ReadError>, sqlx::Error> {
    let mut rows = query.fetch(connection);
    let mut texts = Interner::default();
    let mut events: Events = Vec::new();
    let mut stream_id = None;
    let (mut bytes, mut has_more) = (0, false);
    while let Some(row) = rows.try_next().await? {
        if bytes >= most {
            has_more = true;
            break;
        }
        let stream = events.last().map(|event| &event.stream);
        let event = match recorded(&row, stream, &mut texts) {
            Ok(event) => event,
            Err(source) => {
                let position = row.try_get::<i64, _>(0)?.cast_unsigned();
                return Ok(Err(ReadError::Damaged { position, source }));
            }
        };
        if row.len() > EVENT_COLUMNS {
            stream_id = Some(row.try_get(EVENT_COLUMNS)?);
        }
        bytes += event.size();
        events.push(Arc::new(event));
    }
    if let (Some(id), Some(last)) = (stream_id, events.last()) {
        // The last event of a page need not be the last one of its stream; then the next append finds
        // out.
        streams.seen(&last.stream, StreamHead { id, revision: last.revision });
    }
    Ok(Ok((events, has_more)))
}

async fn id_at(
    position: Position,
    connection: &mut PgConnection,
) -> Result<Option<Uuid>, sqlx::Error> {
    let Ok(position) = i64::try_from(position) else { return Ok(None) };
    sqlx::query_scalar(ID_AT).bind(position).fetch_optional(connection).await
}

/// The error of a server without an event that this process knows to be in the log.
fn lacks(position: Position) -> sqlx::Error {
    sqlx::Error::Protocol(format!("the database has no event at position {position} of the log"))
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Decodes a row into an event. Consecutive events often have the same stream and share its name.
fn recorded(
    row: &PgRow,
    neighbour: Option<&StreamName>,
    texts: &mut Interner,
) -> Result<RecordedEvent, BoxError> {
    let stream: &str = row.try_get(1)?;
    Ok(RecordedEvent {
        position: row.try_get(0).map(i64::cast_unsigned)?,
        stream: match neighbour {
            Some(name) if name.as_str() == stream => name.clone(),
            _ => StreamName::new(stream)?,
        },
        revision: row.try_get(2).map(i64::cast_unsigned)?,
        id: row.try_get(3)?,
        event_type: texts.share(row.try_get(4)?),
        data: row.try_get(5)?,
        metadata: Metadata {
            correlation_id: row.try_get(6)?,
            causation_id: row.try_get(7)?,
            traceparent: row.try_get(8)?,
            actor: texts.share(row.try_get(9)?),
            origin_system: texts.share(row.try_get(10)?),
            occurred_at: moment(row.try_get(11)?)?,
        },
        foreign: crate::foreign(row.try_get(13)?, row.try_get(14)?),
        recorded_at: moment(row.try_get(12)?)?,
    })
}

fn moment(microseconds: i64) -> Result<DateTime<Utc>, BoxError> {
    DateTime::from_timestamp_micros(microseconds).ok_or_else(|| "a time out of range".into())
}
