//! The statements that write a batch, and the conversion of a batch's events into their arguments.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::event::{ContentType, Foreign, Revision, StreamName};
use kernel::planning::PlannedEvent;
use kernel::store::{AppendRequest, Appended, ExpectedRevision};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::facts::Facts;
use super::streams::{StreamHead, Streams};

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    /// Writes a batch in one statement that relies on the assumed heads of its streams, and fails as a
    /// whole if an assumption is wrong.
    ///
    /// The lock comes first, because all writes join it. An older snapshot of the statement does no
    /// harm: a stream that was at a revision has reached it for ever, and streams, revisions and events
    /// that exist by now violate their unique keys.
    pub(super) const WRITE: &str = "\
WITH locked AS MATERIALIZED (
    SELECT lock_log() AS base
), created AS (
    INSERT INTO stream (id, name)
    SELECT locked.base + new.first, new.name
    FROM locked, unnest($1::bigint[], $2::text[]) AS new (first, name)
), written AS (
    INSERT INTO event (
        position, stream_id, revision, occurred_at, recorded_at, id, correlation_id, causation_id,
        type, actor, origin_system, traceparent, data, foreign_metadata, foreign_json
    )
    SELECT
        locked.base + new.ordinal,
        CASE WHEN new.stream > 0 THEN new.stream ELSE locked.base - new.stream END,
        new.revision, new.occurred_at, $18, new.id, new.correlation_id, new.causation_id,
        new.type, new.actor, new.origin_system, new.traceparent, new.data, new.foreign_metadata,
        new.foreign_json
    FROM locked, unnest(
        $5::bigint[], $6::bigint[], $7::uuid[], $8::text[], $9::bytea[], $10::uuid[],
        $11::uuid[], $12::text[], $13::text[], $14::text[], $15::bigint[], $16::bytea[],
        $17::boolean[]
    ) WITH ORDINALITY AS new (
        stream, revision, id, type, data, correlation_id, causation_id, traceparent, actor,
        origin_system, occurred_at, foreign_metadata, foreign_json, ordinal
    )
)
SELECT base, require_fit(cardinality($3::bigint[]) = (
    SELECT count(*) FROM unnest($3::bigint[], $4::bigint[]) AS known (stream, revision)
    JOIN event ON event.stream_id = known.stream AND event.revision = known.revision
)) FROM locked";

    /// Writes the appends that fit; see the migration.
    pub(super) const WRITE_WHAT_FITS: &str = "\
SELECT part, stream_id, last_revision, last_position FROM append_what_fits(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
}

/// An append of a batch.
pub(super) struct PlannedAppend<'a> {
    pub(super) requests: &'a [AppendRequest],
    /// The positions and revisions of its requests; positions count from the base of the batch.
    pub(super) places: Vec<Appended>,
}

/// Planned appends that are written in one statement.
pub(super) struct Batch<'a> {
    pub(super) appends: Vec<PlannedAppend<'a>>,
    /// Their events, in the same order.
    pub(super) events: &'a [PlannedEvent<'a>],
    pub(super) recorded_at: DateTime<Utc>,
}

/// The positions and revisions of an append's requests; `None` if it did not fit.
pub(super) type Fitted = Option<Vec<Appended>>;

/// The columns of the events to write.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    types: Vec<&'a str>,
    datas: Vec<&'a [u8]>,
    correlations: Vec<Uuid>,
    causations: Vec<Option<Uuid>>,
    traceparents: Vec<Option<&'a str>>,
    actors: Vec<&'a str>,
    origins: Vec<&'a str>,
    occurrences: Vec<i64>,
    foreign_metadatas: Vec<Option<&'a [u8]>>,
    foreign_jsons: Vec<Option<bool>>,
}

/// A stream that a batch writes to.
struct Touched {
    /// Its assumed head, `None` if it is new.
    before: Option<StreamHead>,
    /// The place of its first event in the batch, from 1.
    first: i64,
    /// The revision of its last event.
    after: Revision,
}

/// A written part of an append; see the migration.
#[derive(FromRow)]
struct WrittenPart {
    part: i32,
    stream_id: i64,
    last_revision: i64,
    last_position: i64,
}

impl<'a> Batch<'a> {
    /// Writes the whole batch on top of the assumed heads of its streams, or fails.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        assumed: &Facts,
        known: &Streams,
    ) -> Result<Vec<Fitted>, sqlx::Error> {
        let mut touched: HashMap<&StreamName, Touched> = HashMap::new();
        // A new stream has no id yet: it will be the position of its first event.
        let mut streams = Vec::with_capacity(self.events.len());
        for event in self.events {
            let stream = touched.entry(event.stream).or_insert_with(|| Touched {
                before: assumed.heads.get(event.stream).copied().flatten(),
                first: event.position.cast_signed(),
                after: event.revision,
            });
            stream.after = event.revision;
            streams.push(stream.before.map_or(-stream.first, |head| head.id));
        }
        let (mut firsts, mut names) = (Vec::new(), Vec::new());
        let (mut ids, mut revisions) = (Vec::new(), Vec::new());
        for (name, stream) in &touched {
            match stream.before {
                None => {
                    firsts.push(stream.first);
                    names.push(name.as_str());
                }
                Some(head) => {
                    ids.push(head.id);
                    revisions.push(head.revision.cast_signed());
                }
            }
        }
        let columns = self.columns();
        let base: i64 = sqlx::query_scalar(WRITE)
            .bind(firsts)
            .bind(names)
            .bind(ids)
            .bind(revisions)
            .bind(streams)
            .bind(self.events.iter().map(|event| event.revision.cast_signed()).collect::<Vec<_>>())
            .bind(columns.ids)
            .bind(columns.types)
            .bind(columns.datas)
            .bind(columns.correlations)
            .bind(columns.causations)
            .bind(columns.traceparents)
            .bind(columns.actors)
            .bind(columns.origins)
            .bind(columns.occurrences)
            .bind(columns.foreign_metadatas)
            .bind(columns.foreign_jsons)
            .bind(self.recorded_at.timestamp_micros())
            .fetch_one(connection)
            .await?;
        known.put(touched.into_iter().map(|(name, stream)| {
            let id = stream.before.map_or(base + stream.first, |head| head.id);
            (name.clone(), StreamHead { id, revision: stream.after })
        }));
        let base = base.cast_unsigned();
        let moved = |place: &Appended| Appended { position: base + place.position, ..*place };
        Ok(self
            .appends
            .iter()
            .map(|append| Some(append.places.iter().map(moved).collect()))
            .collect())
    }

    /// Writes the appends that fit the log as it is under the lock. They follow each other in the log
    /// in their order.
    pub(super) async fn write_what_fits(
        &self,
        connection: &mut PgConnection,
        known: &Streams,
    ) -> Result<Vec<Fitted>, sqlx::Error> {
        let parts: Vec<(i32, &AppendRequest)> = (0..)
            .zip(&self.appends)
            .flat_map(|(number, append)| append.requests.iter().map(move |part| (number, part)))
            .collect();
        let (mut numbers, mut places) = (Vec::new(), Vec::new());
        let mut previous = Vec::with_capacity(parts.len());
        let mut latest: HashMap<&StreamName, i32> = HashMap::new();
        for (part, (_, request)) in (1_i32..).zip(&parts) {
            previous.push(latest.insert(&request.stream, part).unwrap_or(0));
            for (place, _) in (0_i32..).zip(&request.events) {
                numbers.push(part);
                places.push(place);
            }
        }
        let count =
            |request: &AppendRequest| i32::try_from(request.events.len()).unwrap_or(i32::MAX);
        let columns = self.columns();
        let rows: Vec<WrittenPart> = sqlx::query_as(WRITE_WHAT_FITS)
            .bind(parts.iter().map(|(append, _)| *append).collect::<Vec<_>>())
            .bind(parts.iter().map(|(_, part)| part.stream.as_str()).collect::<Vec<_>>())
            .bind(previous)
            .bind(parts.iter().map(|(_, part)| expectation(part.expected)).collect::<Vec<_>>())
            .bind(parts.iter().map(|(_, part)| count(part)).collect::<Vec<_>>())
            .bind(numbers)
            .bind(places)
            .bind(columns.ids)
            .bind(columns.types)
            .bind(columns.datas)
            .bind(columns.correlations)
            .bind(columns.causations)
            .bind(columns.traceparents)
            .bind(columns.actors)
            .bind(columns.origins)
            .bind(columns.occurrences)
            .bind(columns.foreign_metadatas)
            .bind(columns.foreign_jsons)
            .bind(self.recorded_at.timestamp_micros())
            .fetch_all(connection)
            .await?;
        let written: HashMap<i32, WrittenPart> =
            rows.into_iter().map(|row| (row.part, row)).collect();
        let mut part = 0;
        let fitted = self.appends.iter().map(|append| {
            let first = part + 1;
            part += i32::try_from(append.requests.len()).unwrap_or(i32::MAX);
            (first..)
                .zip(append.requests)
                .map(|(part, request)| {
                    let row = written.get(&part)?;
                    let revision = row.last_revision.cast_unsigned();
                    let head = StreamHead { id: row.stream_id, revision };
                    known.put([(request.stream.clone(), head)]);
                    let position = row.last_position.cast_unsigned();
                    Some(Appended { revision, position, repeated: false })
                })
                .collect()
        });
        Ok(fitted.collect())
    }

    fn columns(&self) -> Columns<'a> {
        let mut columns = Columns::default();
        for PlannedEvent { event, .. } in self.events {
            let metadata = &event.metadata;
            columns.ids.push(event.id);
            columns.types.push(&event.event_type);
            columns.datas.push(&event.data);
            columns.correlations.push(metadata.correlation_id);
            columns.causations.push(metadata.causation_id);
            columns.traceparents.push(metadata.traceparent.as_deref());
            columns.actors.push(&metadata.actor);
            columns.origins.push(&metadata.origin_system);
            columns.occurrences.push(metadata.occurred_at.timestamp_micros());
            let foreign = event.foreign.as_ref();
            columns.foreign_metadatas.push(foreign.map(|foreign| foreign.metadata.as_slice()));
            let is_json = |foreign: &Arc<Foreign>| foreign.content_type == ContentType::Json;
            columns.foreign_jsons.push(foreign.map(is_json));
        }
        columns
    }
}

/// Returns the expectation as the number that the function in the migration takes.
fn expectation(expected: ExpectedRevision) -> i64 {
    match expected {
        ExpectedRevision::Revision(revision) => revision.cast_signed(),
        ExpectedRevision::NoStream => -1,
        ExpectedRevision::Exists => -2,
        ExpectedRevision::Any => -3,
    }
}
