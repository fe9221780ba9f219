//! Writing a group of appends into a SQLite file: one transaction, one fsync.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::event::{ContentType, Position, StreamName};
use kernel::planning::{KnownEvents, Plan, PlannedEvent};
use kernel::seams::SharedClock;
use kernel::store::{AppendError, BoxError};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tokio::sync::watch;

use super::connection::open_writer;
use super::reading;
use crate::appender::{Answer, GroupWriter, Job, SharedError};
use crate::raise;
use crate::recent::Recent;

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    /// A write that changes nothing.
    pub(super) const PROBE: &str = "UPDATE log SET created_at = created_at";
    pub(super) const FIND_STREAM: &str = "SELECT id, revision FROM stream WHERE name = ?1";
    pub(super) const FIND_EVENT: &str =
        "SELECT revision, position FROM event WHERE stream_id = ?1 AND id = ?2";
    pub(super) const NEW_STREAM: &str = "INSERT INTO stream (id, name, revision) VALUES (?1, ?2, ?3)";
    pub(super) const GROW_STREAM: &str = "UPDATE stream SET revision = ?2 WHERE id = ?1";
    pub(super) const NEW_EVENT: &str = "INSERT INTO event \
         (position, stream_id, revision, id, type, data, correlation_id, causation_id, traceparent, \
         actor, origin_system, occurred_at, recorded_at, foreign_metadata, foreign_json) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
}

/// Writes groups on a connection of its own, reopened after a failure.
pub(super) struct SqliteWriter {
    writing: Arc<Writing>,
    connection: Option<Connection>,
}

/// The state needed to write a group.
struct Writing {
    path: PathBuf,
    clock: SharedClock,
    recent: Arc<Recent>,
    head: Arc<watch::Sender<Position>>,
}

/// How a group failed: whether its events may be written all the same.
enum Failure {
    Before(BoxError),
    AtCommit(BoxError),
}

impl<E: Into<BoxError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Before(error.into())
    }
}

/// The results of the jobs of a group.
type Answers = Vec<Answer>;

impl SqliteWriter {
    pub(super) fn new(
        path: PathBuf,
        clock: SharedClock,
        recent: Arc<Recent>,
        head: Arc<watch::Sender<Position>>,
    ) -> Self {
        Self { writing: Arc::new(Writing { path, clock, recent, head }), connection: None }
    }
}

impl GroupWriter for SqliteWriter {
    async fn write(&mut self, group: Vec<Job>) {
        let writing = Arc::clone(&self.writing);
        let connection = self.connection.take();
        // The callers are answered on that thread: one thread less to wake before they continue.
        let work = tokio::task::spawn_blocking(move || writing.write(connection, group));
        match work.await {
            Ok(connection) => self.connection = connection,
            // Its callers receive "outcome unknown".
            Err(error) => tracing::error!(%error, "writing a group of appends ended unexpectedly"),
        }
    }

    async fn probe(&mut self) -> Result<(), BoxError> {
        let path = self.writing.path.clone();
        let connection = self.connection.take();
        let probe = move || -> rusqlite::Result<Connection> {
            let connection = connection.map_or_else(|| open_writer(&path), Ok)?;
            connection.execute(PROBE, [])?;
            Ok(connection)
        };
        self.connection = Some(tokio::task::spawn_blocking(probe).await??);
        Ok(())
    }

    async fn close(self) {
        if let Some(connection) = self.connection
            && let Err((_, error)) = connection.close()
        {
            tracing::warn!(%error, "cannot close the writing connection properly");
        }
    }
}

impl Writing {
    /// Writes a group and answers every job of it. Returns the connection if it can be used again.
    fn write(&self, connection: Option<Connection>, group: Vec<Job>) -> Option<Connection> {
        let connection = match connection {
            Some(connection) => Ok(connection),
            None => open_writer(&self.path).map_err(Failure::from),
        };
        let written = connection.and_then(|mut connection| {
            self.write_group(&mut connection, &group).map(|answers| (connection, answers))
        });
        match written {
            Ok((connection, answers)) => {
                for (job, answer) in group.into_iter().zip(answers) {
                    job.answer(answer);
                }
                Some(connection)
            }
            Err(failure) => {
                fail(group, failure);
                None
            }
        }
    }

    fn write_group(&self, connection: &mut Connection, group: &[Job]) -> Result<Answers, Failure> {
        let now = self.clock.now();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut plan, mut stream_ids) = plan(&transaction, group)?;
        let answers = group.iter().map(|job| plan.add(&job.requests)).collect();
        if plan.events.is_empty() {
            transaction.rollback()?;
            return Ok(answers);
        }
        write_streams(&transaction, &plan, &mut stream_ids)?;
        write_events(&transaction, &plan.events, &stream_ids, now)?;
        transaction.commit().map_err(|error| Failure::AtCommit(error.into()))?;
        self.recent.extend(plan.events.iter().map(|planned| {
            let PlannedEvent { stream, revision, position, event } = planned;
            let event = (*event).clone();
            Arc::new(event.recorded(*position, (*stream).clone(), *revision, now))
        }));
        raise(&self.head, plan.head());
        Ok(answers)
    }
}

/// Sends every caller of a group its error.
fn fail(group: Vec<Job>, failure: Failure) {
    let (error, at_commit) = match failure {
        Failure::Before(error) => (error, false),
        Failure::AtCommit(error) => (error, true),
    };
    // For every group: `appender` logs when an outage begins and ends.
    tracing::debug!(
        error = &*error as &dyn std::error::Error,
        at_commit,
        "a group of appends failed"
    );
    let error = SharedError::new(error);
    for job in group {
        let error = Box::new(error.clone());
        job.answer(Err(if at_commit {
            AppendError::OutcomeUnknown(error)
        } else {
            AppendError::Unavailable(error)
        }));
    }
}

/// The ids of the streams that exist. A stream's id is the position of its first event.
type StreamIds = HashMap<StreamName, i64>;

/// Looks up the streams and event ids of a group. They do not change until the transaction ends,
/// because no other process can write.
fn plan<'a>(
    transaction: &Transaction<'_>,
    group: &[Job],
) -> Result<(Plan<'a>, StreamIds), rusqlite::Error> {
    let mut find_stream = transaction.prepare_cached(FIND_STREAM)?;
    let mut find_event = transaction.prepare_cached(FIND_EVENT)?;
    let mut stream_ids = StreamIds::new();
    let mut revisions = HashMap::new();
    let mut known = KnownEvents::new();
    for request in group.iter().flat_map(|job| &job.requests) {
        if let Entry::Vacant(unknown) = revisions.entry(request.stream.clone()) {
            let found: Option<(i64, i64)> = find_stream
                .query_row([request.stream.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            unknown.insert(found.map(|(_, revision)| revision.cast_unsigned()));
            stream_ids.extend(found.map(|(id, _)| (request.stream.clone(), id)));
        }
        let Some(stream_id) = stream_ids.get(&request.stream) else { continue };
        for event in &request.events {
            let place =
                find_event.query_row(params![stream_id, event.id], reading::place).optional()?;
            known.extend(place.map(|place| ((request.stream.clone(), event.id), place)));
        }
    }
    Ok((Plan::new(reading::head_within(transaction)?, revisions, known), stream_ids))
}

/// Writes the heads of the streams with new events, and adds the ids of new streams.
fn write_streams(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
    stream_ids: &mut StreamIds,
) -> Result<(), rusqlite::Error> {
    let mut new_stream = transaction.prepare_cached(NEW_STREAM)?;
    let mut grow_stream = transaction.prepare_cached(GROW_STREAM)?;
    let mut revisions: HashMap<_, _> =
        plan.events.iter().map(|planned| (planned.stream, planned.revision)).collect();
    for planned in &plan.events {
        let Some(revision) = revisions.remove(planned.stream) else { continue };
        let revision = revision.cast_signed();
        match stream_ids.get(planned.stream) {
            Some(id) => grow_stream.execute([*id, revision])?,
            None => {
                let id = planned.position.cast_signed();
                stream_ids.insert(planned.stream.clone(), id);
                new_stream.execute(params![id, planned.stream.as_str(), revision])?
            }
        };
    }
    Ok(())
}

fn write_events(
    transaction: &Transaction<'_>,
    events: &[PlannedEvent<'_>],
    stream_ids: &StreamIds,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let mut new_event = transaction.prepare_cached(NEW_EVENT)?;
    for PlannedEvent { stream, revision, position, event } in events {
        let metadata = &event.metadata;
        new_event.execute(params![
            position.cast_signed(),
            stream_ids.get(*stream).ok_or("a stream got no id")?,
            revision.cast_signed(),
            event.id,
            event.event_type.as_str(),
            event.data,
            metadata.correlation_id,
            metadata.causation_id,
            metadata.traceparent,
            metadata.actor.as_str(),
            metadata.origin_system.as_str(),
            metadata.occurred_at.timestamp_micros(),
            now.timestamp_micros(),
            event.foreign.as_ref().map(|foreign| foreign.metadata.as_slice()),
            event.foreign.as_ref().map(|foreign| foreign.content_type == ContentType::Json),
        ])?;
    }
    Ok(())
}
