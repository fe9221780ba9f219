//! Reading events from a SQLite file.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::event::{EventFilter, Metadata, Position, RecordedEvent, Revision, StreamName};
use kernel::store::{BoxError, EventLocation, LogPage, PAGE_BYTES, ReadError};
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};
use uuid::Uuid;

use super::connection::{Reader, Readers, unavailable};
use crate::interning::Interner;

macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT e.position, s.name, e.revision, e.id, e.type, e.data, e.correlation_id, \
             e.causation_id, e.traceparent, e.actor, e.origin_system, e.occurred_at, \
             e.recorded_at, e.foreign_metadata, e.foreign_json FROM event e JOIN stream s ON s.id = e.stream_id ",
            $rest
        )
    };
}

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    pub(super) const HEAD: &str = "SELECT coalesce(max(position), 0) FROM event";
    pub(super) const ID_AT: &str = "SELECT id FROM event WHERE position = ?1 \
         UNION ALL SELECT id FROM scavenged WHERE position = ?1";
    pub(super) const STREAM: &str =
        select_events!("WHERE s.name = ?1 AND e.revision >= ?2 ORDER BY e.revision LIMIT ?3");
    pub(super) const LAST: &str = select_events!("WHERE s.name = ?1 AND e.revision = s.revision");
    pub(super) const FIND: &str = "SELECT e.revision, e.position FROM event e \
         JOIN stream s ON s.id = e.stream_id WHERE s.name = ?1 AND e.id = ?2";
    pub(super) const LOG: &str =
        select_events!("WHERE e.position > ?1 AND e.position <= ?2 ORDER BY e.position LIMIT ?3");
    pub(super) const LOG_OF_FAMILIES: &str = select_events!(
        "WHERE e.position > ?1 AND e.position <= ?2 \
         AND rtrim(e.type, '0123456789') IN (SELECT value || '.v' FROM json_each(?4)) \
         AND substr(e.type, -1) <> 'v' \
         ORDER BY e.position LIMIT ?3"
    );
    pub(super) const CORRELATION: &str =
        select_events!("WHERE e.correlation_id = ?1 AND e.position > ?2 ORDER BY e.position LIMIT ?3");
}

/// The part of the log that one page examines if few of its events match.
const SCAN: Position = 20_000;

impl Reader {
    /// Returns the events that one of the statements above selects.
    fn events(
        &mut self,
        statement: &str,
        parameters: impl Params,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.page(statement, parameters, usize::MAX).map(|(events, _)| events)
    }

    /// Returns the events up to a number of bytes, and whether there are more.
    fn page(
        &mut self,
        statement: &str,
        parameters: impl Params,
        most: usize,
    ) -> Result<(Vec<Arc<RecordedEvent>>, bool), ReadError> {
        let mut statement = self.connection.prepare_cached(statement).map_err(unavailable)?;
        let mut rows = statement.query(parameters).map_err(unavailable)?;
        let mut events: Vec<Arc<RecordedEvent>> = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.next().map_err(unavailable)? {
            if bytes >= most {
                return Ok((events, true));
            }
            let position = row.get(0).map(i64::cast_unsigned).map_err(unavailable)?;
            let stream = events.last().map(|event| &event.stream);
            let event = recorded(position, row, stream, &mut self.texts)
                .map_err(|source| ReadError::Damaged { position, source })?;
            bytes += event.size();
            events.push(Arc::new(event));
        }
        Ok((events, false))
    }
}

/// Decodes a row into an event. Consecutive events often have the same stream and share its name.
fn recorded(
    position: Position,
    row: &Row<'_>,
    neighbour: Option<&StreamName>,
    texts: &mut Interner,
) -> Result<RecordedEvent, BoxError> {
    let stream = row.get_ref(1)?.as_str()?;
    Ok(RecordedEvent {
        position,
        stream: match neighbour {
            Some(name) if name.as_str() == stream => name.clone(),
            _ => StreamName::new(stream)?,
        },
        revision: row.get(2).map(i64::cast_unsigned)?,
        id: row.get(3)?,
        event_type: texts.share(row.get_ref(4)?.as_str()?),
        data: row.get_ref(5)?.as_blob()?.to_vec(),
        metadata: Metadata {
            correlation_id: row.get(6)?,
            causation_id: row.get(7)?,
            traceparent: row.get(8)?,
            actor: texts.share(row.get_ref(9)?.as_str()?),
            origin_system: texts.share(row.get_ref(10)?.as_str()?),
            occurred_at: moment(row.get(11)?)?,
        },
        foreign: crate::foreign(row.get(13)?, row.get(14)?),
        recorded_at: moment(row.get(12)?)?,
    })
}

fn moment(microseconds: i64) -> Result<DateTime<Utc>, BoxError> {
    DateTime::from_timestamp_micros(microseconds).ok_or_else(|| "a time out of range".into())
}

/// Returns a requested position or revision as SQL's signed number. A larger one than SQL supports
/// matches no event; converted, it would be before the first.
fn place_asked(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn place(row: &Row<'_>) -> rusqlite::Result<EventLocation> {
    Ok(EventLocation {
        revision: row.get(0).map(i64::cast_unsigned)?,
        position: row.get(1).map(i64::cast_unsigned)?,
    })
}

pub(super) fn head_within(connection: &Connection) -> rusqlite::Result<Position> {
    connection.prepare_cached(HEAD)?.query_row([], |row| row.get(0)).map(i64::cast_unsigned)
}

/// Returns the first row of a result, if any.
fn first<T>(
    connection: &Connection,
    statement: &str,
    parameters: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, ReadError> {
    let statement = connection.prepare_cached(statement);
    statement
        .and_then(|mut statement| statement.query_row(parameters, read).optional())
        .map_err(unavailable)
}

impl Readers {
    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        self.read(|reader| head_within(&reader.connection).map_err(unavailable)).await
    }

    pub(super) async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        let position = place_asked(position);
        self.read(move |reader| first(&reader.connection, ID_AT, [position], |row| row.get(0)))
            .await
    }

    /// Returns up to `limit` events, and no more once they exceed `most` bytes.
    pub(super) async fn stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
        most: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let stream = stream.clone();
        self.read(move |reader| {
            let parameters = params![stream.as_str(), place_asked(from), count(limit)];
            reader.page(STREAM, parameters, most).map(|(events, _)| events)
        })
        .await
    }

    pub(super) async fn last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        let stream = stream.clone();
        self.read(move |reader| Ok(reader.events(LAST, [stream.as_str()])?.pop())).await
    }

    pub(super) async fn find(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<EventLocation>, ReadError> {
        let stream = stream.clone();
        self.read(move |reader| {
            first(&reader.connection, FIND, params![stream.as_str(), event_id], place)
        })
        .await
    }

    /// Reads the log up to `head`, a position known to be written: everything up to it is visible.
    pub(super) async fn log(
        &self,
        after: Position,
        head: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        let to = head.min(after.saturating_add(SCAN));
        let families =
            filter.wanted_families().map(|families| serde_json::json!(families).to_string());
        self.read(move |reader| {
            let (from, until) = (place_asked(after), place_asked(to));
            let (events, has_more) = match families {
                None => reader.page(LOG, params![from, until, count(limit)], PAGE_BYTES),
                Some(families) => {
                    let parameters = params![from, until, count(limit), families];
                    reader.page(LOG_OF_FAMILIES, parameters, PAGE_BYTES)
                }
            }?;
            let (scanned_to, scanned_id) = match events.last() {
                Some(last) if has_more || events.len() == limit => (last.position, Some(last.id)),
                _ => (to, first(&reader.connection, ID_AT, [place_asked(to)], |row| row.get(0))?),
            };
            Ok(LogPage { events, scanned_to, scanned_id })
        })
        .await
    }

    pub(super) async fn correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.read(move |reader| {
            reader.events(CORRELATION, params![correlation_id, place_asked(after), count(limit)])
        })
        .await
    }
}
