//! Reading events from a SQLite file.

use std::sync::Arc;

use chrono::DateTime;
use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use kernel::store::{BoxError, LogPage, Place, ReadError};
use sqlx::{SqliteConnection, SqlitePool};
use uuid::Uuid;

macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT e.position, s.name, e.revision, e.id, e.type, e.data, e.metadata, \
             e.recorded_at FROM event e JOIN stream s ON s.id = e.stream_id ",
            $rest
        )
    };
}

pub(super) const HEAD: &str = "SELECT coalesce(max(position), 0) FROM event";
pub(super) const ID_AT: &str = "SELECT id FROM event WHERE position = $1";
pub(super) const STREAM: &str =
    select_events!("WHERE s.name = $1 AND e.revision >= $2 ORDER BY e.revision LIMIT $3");
pub(super) const LAST: &str = select_events!("WHERE s.name = $1 AND e.revision = s.revision");
pub(super) const FIND: &str = "SELECT e.revision, e.position FROM event e \
     JOIN stream s ON s.id = e.stream_id WHERE e.id = $1 AND s.name = $2";
pub(super) const LOG: &str =
    select_events!("WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position LIMIT $3");
pub(super) const LOG_OF_FAMILIES: &str = select_events!(
    "WHERE e.position > $1 AND e.position <= $2 \
     AND rtrim(e.type, '0123456789') IN (SELECT value || '.v' FROM json_each($4)) \
     ORDER BY e.position LIMIT $3"
);
pub(super) const CORRELATION: &str =
    select_events!("WHERE e.correlation_id = $1 AND e.position > $2 ORDER BY e.position LIMIT $3");

/// How much of the log one page looks at when few of its events are wanted.
const SCAN: Position = 20_000;

type Row = (i64, String, i64, Uuid, String, Vec<u8>, Vec<u8>, i64);

pub(super) fn unavailable(error: sqlx::Error) -> ReadError {
    ReadError::Unavailable(Box::new(error))
}

fn recorded(row: Row) -> Result<Arc<RecordedEvent>, ReadError> {
    let (position, stream, revision, id, event_type, data, metadata, recorded_at) = row;
    let position = position.cast_unsigned();
    let damaged = |source: BoxError| ReadError::Damaged { position, source };
    Ok(Arc::new(RecordedEvent {
        position,
        stream: StreamName::new(stream).map_err(|error| damaged(error.into()))?,
        revision: revision.cast_unsigned(),
        id,
        event_type: event_type.into(),
        data,
        metadata: serde_json::from_slice(&metadata).map_err(|error| damaged(error.into()))?,
        recorded_at: DateTime::from_timestamp_micros(recorded_at)
            .ok_or_else(|| damaged("a time out of range".into()))?,
    }))
}

fn all_recorded(rows: Vec<Row>) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
    rows.into_iter().map(recorded).collect()
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) async fn head(pool: &SqlitePool) -> Result<Position, sqlx::Error> {
    let head: i64 = sqlx::query_scalar(HEAD).fetch_one(pool).await?;
    Ok(head.cast_unsigned())
}

pub(super) async fn head_within(
    connection: &mut SqliteConnection,
) -> Result<Position, sqlx::Error> {
    let head: i64 = sqlx::query_scalar(HEAD).fetch_one(connection).await?;
    Ok(head.cast_unsigned())
}

pub(super) async fn event_id_at(
    pool: &SqlitePool,
    position: Position,
) -> Result<Option<Uuid>, ReadError> {
    sqlx::query_scalar(ID_AT)
        .bind(position.cast_signed())
        .fetch_optional(pool)
        .await
        .map_err(unavailable)
}

pub(super) async fn stream(
    pool: &SqlitePool,
    stream: &StreamName,
    from: Revision,
    limit: usize,
) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
    let rows = sqlx::query_as(STREAM)
        .bind(stream.as_str())
        .bind(from.cast_signed())
        .bind(count(limit))
        .fetch_all(pool)
        .await
        .map_err(unavailable)?;
    all_recorded(rows)
}

pub(super) async fn last(
    pool: &SqlitePool,
    stream: &StreamName,
) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
    let row: Option<Row> = sqlx::query_as(LAST)
        .bind(stream.as_str())
        .fetch_optional(pool)
        .await
        .map_err(unavailable)?;
    row.map(recorded).transpose()
}

pub(super) async fn find(
    pool: &SqlitePool,
    stream: &StreamName,
    event_id: Uuid,
) -> Result<Option<Place>, ReadError> {
    let row: Option<(i64, i64)> = sqlx::query_as(FIND)
        .bind(event_id)
        .bind(stream.as_str())
        .fetch_optional(pool)
        .await
        .map_err(unavailable)?;
    Ok(row.map(|(revision, position)| Place {
        revision: revision.cast_unsigned(),
        position: position.cast_unsigned(),
    }))
}

/// `head` is a position known to be written: everything up to it is visible.
pub(super) async fn log(
    pool: &SqlitePool,
    after: Position,
    head: Position,
    filter: &EventFilter,
    limit: usize,
) -> Result<LogPage, ReadError> {
    let to = head.min(after.saturating_add(SCAN));
    let query =
        sqlx::query_as(if filter.wanted_families().is_some() { LOG_OF_FAMILIES } else { LOG })
            .bind(after.cast_signed())
            .bind(to.cast_signed())
            .bind(count(limit));
    let query = match filter.wanted_families() {
        Some(families) => query.bind(serde_json::json!(families).to_string()),
        None => query,
    };
    let events = all_recorded(query.fetch_all(pool).await.map_err(unavailable)?)?;
    let scanned_to = match events.last() {
        Some(last) if events.len() == limit => last.position,
        _ => to,
    };
    Ok(LogPage { events, scanned_to })
}

pub(super) async fn correlation(
    pool: &SqlitePool,
    correlation_id: Uuid,
    after: Position,
    limit: usize,
) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
    let rows = sqlx::query_as(CORRELATION)
        .bind(correlation_id)
        .bind(after.cast_signed())
        .bind(count(limit))
        .fetch_all(pool)
        .await
        .map_err(unavailable)?;
    all_recorded(rows)
}
