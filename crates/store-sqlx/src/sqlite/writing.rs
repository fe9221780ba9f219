//! Writing a group of appends into a SQLite file: one transaction, one fsync.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::event::{Position, RecordedEvent, Revision, StreamName};
use kernel::planning::{KnownEvents, Plan, PlannedEvent};
use kernel::seams::SharedClock;
use kernel::store::{AppendError, AppendRequest, Appended, BoxError, Place};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::sync::watch;
use uuid::Uuid;

use super::{raise, reading};
use crate::appender::{GroupWriter, Job};
use crate::recent::Recent;

pub(super) const REVISIONS: &str =
    "SELECT s.name, s.revision FROM json_each($1) j JOIN stream s ON s.name = j.value";
pub(super) const KNOWN: &str = "SELECT s.name, e.id, e.revision, e.position \
     FROM json_each($1) j JOIN event e ON e.id = unhex(j.value) JOIN stream s ON s.id = e.stream_id";
// `WHERE true` tells SQLite's parser that ON begins the conflict clause.
pub(super) const STREAMS: &str = "INSERT INTO stream (name, revision) \
     SELECT value ->> 0, value ->> 1 FROM json_each($1) WHERE true \
     ON CONFLICT (name) DO UPDATE SET revision = excluded.revision RETURNING name, id";

const COLUMNS: usize = 9;
/// Statements for 1, 2, 4 … 64 rows: few enough to stay prepared.
static INSERTS: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..=6).map(|power| insert_statement(1 << power)).collect());

fn insert_statement(rows: usize) -> String {
    let row = |row: usize| {
        let places: Vec<_> =
            (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO event \
         (position, stream_id, revision, id, type, data, metadata, correlation_id, recorded_at) \
         VALUES {}",
        rows.join(", ")
    )
}

/// Writes groups on a connection of its own, opened again after a failure.
pub(super) struct SqliteWriter {
    connect: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    clock: SharedClock,
    recent: Arc<Recent>,
    head: Arc<watch::Sender<Position>>,
}

/// How a group failed: whether its events may have been written all the same.
enum Failure {
    Before(BoxError),
    AtCommit(BoxError),
}

impl<E: Into<BoxError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Before(error.into())
    }
}

/// What became of each job of a group.
type Answers = Vec<Result<Vec<Appended>, AppendError>>;

impl SqliteWriter {
    pub(super) fn new(
        connect: SqliteConnectOptions,
        clock: SharedClock,
        recent: Arc<Recent>,
        head: Arc<watch::Sender<Position>>,
    ) -> Self {
        Self { connect, connection: None, clock, recent, head }
    }

    async fn write_group(&mut self, group: &mut [Job]) -> Result<Answers, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect.connect().await?,
        };
        let now = self.clock.now();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut plan = plan(&mut transaction, group).await?;
        let answers: Answers = group.iter().map(|job| plan.add(&job.requests)).collect();
        let head = plan.head();
        if plan.events.is_empty() {
            transaction.rollback().await?;
            self.connection = Some(connection);
            return Ok(answers);
        }
        let stream_ids = write_streams(&mut transaction, &plan).await?;
        write_events(&mut transaction, &plan.events, &stream_ids, now).await?;
        transaction.commit().await.map_err(|error| Failure::AtCommit(error.into()))?;
        self.connection = Some(connection);
        let places: Vec<_> =
            plan.events.iter().map(|event| (event.position, event.revision)).collect();
        self.recent.extend(recorded(group, &answers, places, now));
        raise(&self.head, head);
        Ok(answers)
    }
}

#[async_trait]
impl GroupWriter for SqliteWriter {
    async fn write(&mut self, mut group: Vec<Job>) {
        match self.write_group(&mut group).await {
            Ok(answers) => {
                for (job, answer) in group.into_iter().zip(answers) {
                    count(&answer);
                    // A caller that went away does not want the answer.
                    drop(job.reply.send(answer));
                }
            }
            // The connection was not put back: the next group opens another.
            Err(failure) => {
                let (error, at_commit) = match failure {
                    Failure::Before(error) => (error, false),
                    Failure::AtCommit(error) => (error, true),
                };
                tracing::error!(
                    error = &*error as &dyn std::error::Error,
                    at_commit,
                    "a group of appends failed"
                );
                let shared: Arc<dyn std::error::Error + Send + Sync> = error.into();
                for job in group {
                    let error = Box::new(SharedError(Arc::clone(&shared)));
                    let answer = Err(if at_commit {
                        AppendError::OutcomeUnknown(error)
                    } else {
                        AppendError::Unavailable(error)
                    });
                    count(&answer);
                    drop(job.reply.send(answer));
                }
            }
        }
    }

    async fn close(self) {
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the connection that writes could not be closed in order");
        }
    }
}

/// One error that several callers are told.
#[derive(Debug)]
struct SharedError(Arc<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for SharedError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

fn count(answer: &Result<Vec<Appended>, AppendError>) {
    let outcome = match answer {
        Ok(_) => "appended",
        Err(AppendError::WrongExpectedRevision { .. }) => "conflict",
        Err(_) => "failed",
    };
    metrics::counter!("event_store_appends_total", "outcome" => outcome).increment(1);
}

async fn plan<'a>(connection: &mut SqliteConnection, group: &[Job]) -> Result<Plan<'a>, Failure> {
    let requests = || group.iter().flat_map(|job| &job.requests);
    let head = reading::head_within(connection).await?;
    let names: Value = requests().map(|request| request.stream.as_str()).collect();
    let rows: Vec<(String, i64)> =
        sqlx::query_as(REVISIONS).bind(names.to_string()).fetch_all(&mut *connection).await?;
    let mut revisions: HashMap<StreamName, Option<Revision>> = HashMap::new();
    for (name, revision) in rows {
        revisions.insert(StreamName::new(name)?, Some(revision.cast_unsigned()));
    }
    let ids: Value = requests()
        .flat_map(|request| &request.events)
        .map(|event| event.id.simple().to_string())
        .collect();
    let rows: Vec<(String, Uuid, i64, i64)> =
        sqlx::query_as(KNOWN).bind(ids.to_string()).fetch_all(&mut *connection).await?;
    let mut known = KnownEvents::new();
    for (name, id, revision, position) in rows {
        let place =
            Place { revision: revision.cast_unsigned(), position: position.cast_unsigned() };
        known.insert((StreamName::new(name)?, id), place);
    }
    Ok(Plan::new(head, revisions, known))
}

async fn write_streams(
    connection: &mut SqliteConnection,
    plan: &Plan<'_>,
) -> Result<HashMap<String, i64>, Failure> {
    let streams: Value =
        plan.revisions().map(|(name, revision)| json!([name.as_str(), revision])).collect();
    let rows: Vec<(String, i64)> =
        sqlx::query_as(STREAMS).bind(streams.to_string()).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

async fn write_events(
    connection: &mut SqliteConnection,
    events: &[PlannedEvent<'_>],
    stream_ids: &HashMap<String, i64>,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let mut rest = events;
    while !rest.is_empty() {
        let power = rest.len().ilog2().min(6);
        let (rows, after) = rest.split_at(1 << power);
        rest = after;
        let statement = &INSERTS[power as usize];
        let mut query = sqlx::query(AssertSqlSafe(statement.as_str()));
        for PlannedEvent { stream, revision, position, event } in rows {
            let stream_id = stream_ids.get(stream.as_str()).ok_or("a stream got no id")?;
            query = query
                .bind(position.cast_signed())
                .bind(*stream_id)
                .bind(revision.cast_signed())
                .bind(event.id)
                .bind(event.event_type.as_str())
                .bind(event.data.as_slice())
                .bind(serde_json::to_vec(&event.metadata)?)
                .bind(event.metadata.correlation_id)
                .bind(now.timestamp_micros());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// The events of a group that were written, each with its position and revision.
fn recorded(
    group: &mut [Job],
    answers: &Answers,
    places: Vec<(Position, Revision)>,
    recorded_at: DateTime<Utc>,
) -> Vec<Arc<RecordedEvent>> {
    let is_new = |answer: &Result<Vec<Appended>, AppendError>| {
        answer.as_ref().is_ok_and(|appended| appended.iter().all(|appended| !appended.repeated))
    };
    let written = group.iter_mut().zip(answers).filter(|(_, answer)| is_new(answer));
    let events = written.flat_map(|(job, _)| std::mem::take(&mut job.requests)).flat_map(
        |AppendRequest { stream, events, .. }| {
            events.into_iter().map(move |event| (stream.clone(), event))
        },
    );
    let placed = events.zip(places);
    placed
        .map(|((stream, event), (position, revision))| {
            Arc::new(event.recorded(position, stream, revision, recorded_at))
        })
        .collect()
}
