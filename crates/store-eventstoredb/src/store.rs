//! The event store's port over the network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kernel::backoff;
use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use kernel::planning::{MAX_EVENT_BYTES, validate};
use kernel::store::{
    AppendError, AppendRequest, Appended, EventLocation, EventStore, ExpectedRevision, LogPage,
    ReadError,
};
use tokio::sync::watch;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::connection::{BadAnswer, Connection, uuid};
use crate::events::{bytes, found, sent};
use crate::head::Head;
use crate::service::append_many_request::StreamAppend;
use crate::service::append_many_response::refused::Reason;
use crate::service::append_many_response::{Outcome, Refused};
use crate::service::expected::{Any, Exists, Kind, NoStream};
use crate::service::{
    AppendManyRequest, EventIdAtRequest, Expected, FindInStreamRequest, ReadCorrelationRequest,
};

/// How long an append with an unknown outcome is repeated.
const PATIENCE: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The event store of another bascule.
pub(crate) struct RemoteStore {
    connection: Connection,
    log_id: Uuid,
    head: Arc<Head>,
}

impl RemoteStore {
    pub(crate) fn new(connection: Connection, log_id: Uuid, head: Arc<Head>) -> Self {
        Self { connection, log_id, head }
    }

    async fn append_once(&self, request: AppendManyRequest) -> Result<Outcome, Status> {
        let response = self.connection.service().append_many(request).await?.into_inner();
        response.outcome.ok_or_else(|| Status::data_loss("the response contains no outcome"))
    }
}

fn unavailable(status: Status) -> ReadError {
    ReadError::Unavailable(Box::new(BadAnswer::from(status)))
}

fn expected(expected: ExpectedRevision) -> Expected {
    Expected {
        kind: Some(match expected {
            ExpectedRevision::Any => Kind::Any(Any {}),
            ExpectedRevision::NoStream => Kind::NoStream(NoStream {}),
            ExpectedRevision::Exists => Kind::Exists(Exists {}),
            ExpectedRevision::Revision(revision) => Kind::Revision(revision),
        }),
    }
}

fn expectation(expected: Option<Expected>) -> ExpectedRevision {
    match expected.and_then(|expected| expected.kind) {
        Some(Kind::NoStream(_)) => ExpectedRevision::NoStream,
        Some(Kind::Exists(_)) => ExpectedRevision::Exists,
        Some(Kind::Revision(revision)) => ExpectedRevision::Revision(revision),
        Some(Kind::Any(_)) | None => ExpectedRevision::Any,
    }
}

fn refusal(refused: Refused) -> AppendError {
    let damaged = || AppendError::Unavailable("the event store returned an invalid error".into());
    match refused.reason {
        None => damaged(),
        Some(Reason::WrongExpectedRevision(wrong)) => match StreamName::new(&wrong.stream) {
            Ok(stream) => AppendError::WrongExpectedRevision {
                stream,
                expected: expectation(wrong.expected),
                actual: wrong.actual,
            },
            Err(_) => damaged(),
        },
        Some(Reason::IdempotencyMismatch(mismatch)) => {
            match (StreamName::new(&mismatch.stream), Uuid::from_slice(&mismatch.event_id)) {
                (Ok(stream), Ok(event_id)) => AppendError::IdempotencyMismatch { stream, event_id },
                _ => damaged(),
            }
        }
        Some(Reason::EventTooLarge(large)) => match Uuid::from_slice(&large.event_id) {
            Ok(event_id) => AppendError::EventTooLarge {
                event_id,
                size: usize::try_from(large.size).unwrap_or(usize::MAX),
                limit: usize::try_from(large.limit).unwrap_or(usize::MAX),
            },
            Err(_) => damaged(),
        },
        Some(Reason::Invalid(problem)) => AppendError::Invalid(problem),
        Some(Reason::Overloaded(_)) => AppendError::Overloaded,
        Some(Reason::Unsupported(_)) => AppendError::Unsupported("this operation"),
        Some(Reason::WentBack(_)) => AppendError::WentBack,
        Some(Reason::Unavailable(why)) => AppendError::Unavailable(why.into()),
        Some(Reason::OutcomeUnknown(why)) => AppendError::OutcomeUnknown(why.into()),
    }
}

/// Returns whether an append with this status should be retried, and its error otherwise.
fn failure(status: Status) -> (bool, AppendError) {
    match status.code() {
        Code::ResourceExhausted => (false, AppendError::Overloaded),
        Code::InvalidArgument | Code::OutOfRange => {
            (false, AppendError::Invalid(status.message().to_owned()))
        }
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
            (false, AppendError::Unavailable(Box::new(BadAnswer::from(status))))
        }
        // Lost on the way there, or on the way back.
        _ => (true, AppendError::OutcomeUnknown(Box::new(BadAnswer::from(status)))),
    }
}

#[async_trait]
impl EventStore for RemoteStore {
    fn log_id(&self) -> Uuid {
        self.log_id
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        validate(&requests, MAX_EVENT_BYTES)?;
        if requests.iter().flat_map(|request| &request.events).any(|event| event.foreign.is_some())
        {
            return Err(AppendError::Unsupported("appending events from outside"));
        }
        let appends = requests.into_iter().map(|request| StreamAppend {
            stream: request.stream.to_string(),
            expected: Some(expected(request.expected)),
            events: request.events.into_iter().map(sent).collect(),
        });
        let request = AppendManyRequest {
            appends: appends.collect(),
            // Read once: a repeated request was decided on the same event.
            remembered: self.head.remembered(),
        };
        let deadline = Instant::now() + PATIENCE;
        let mut pauses = backoff::endless(SHORTEST_PAUSE, LONGEST_PAUSE);
        loop {
            match self.append_once(request.clone()).await {
                Ok(Outcome::Appended(appended)) => {
                    return Ok(appended
                        .places
                        .into_iter()
                        .map(|place| Appended {
                            revision: place.revision,
                            position: place.position,
                            repeated: place.repeated,
                        })
                        .collect());
                }
                Ok(Outcome::Refused(refused)) => return Err(refusal(refused)),
                Err(status) => {
                    let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                    let (is_worth_it, error) = failure(status);
                    if !is_worth_it || Instant::now() + pause > deadline {
                        return Err(error);
                    }
                    // With the same ids: events that were written already are recognised.
                    tracing::debug!(%error, "the outcome of an append is unknown; sending it again");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.connection.stream(stream, from, limit).await
    }

    async fn read_last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        self.connection.last(stream).await
    }

    async fn find_in_stream(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<EventLocation>, ReadError> {
        let request = FindInStreamRequest { stream: stream.to_string(), event_id: bytes(event_id) };
        let found = self.connection.service().find_in_stream(request).await;
        let place = found.map_err(unavailable)?.into_inner().place;
        Ok(place.map(|place| EventLocation { revision: place.revision, position: place.position }))
    }

    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        self.connection.log_after(after, filter, limit).await
    }

    async fn read_correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let mut events: Vec<Arc<RecordedEvent>> = Vec::new();
        // The remote side may return fewer events than requested.
        while events.len() < limit {
            let request = ReadCorrelationRequest {
                correlation_id: bytes(correlation_id),
                after: events.last().map_or(after, |event| event.position),
                limit: u32::try_from(limit - events.len()).unwrap_or(u32::MAX),
            };
            let answer = self.connection.service().read_correlation(request).await;
            let page = answer.map_err(unavailable)?.into_inner().events;
            if page.is_empty() {
                break;
            }
            for event in page {
                let position = event.position;
                let damaged = |source| ReadError::Damaged { position, source };
                events.push(Arc::new(found(event).map_err(damaged)?));
            }
        }
        Ok(events)
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        let answer = self.connection.service().event_id_at(EventIdAtRequest { position }).await;
        let event_id = answer.map_err(unavailable)?.into_inner().event_id;
        event_id.map(|id| uuid(&id).map_err(unavailable)).transpose()
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.head.look().await.map_err(unavailable)?.head)
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.head.watch()
    }

    fn watch_incarnation(&self) -> watch::Receiver<u64> {
        self.head.watch_incarnation()
    }

    async fn check_writable(&self) -> Result<(), AppendError> {
        match self.head.look().await {
            Ok(_) => Ok(()),
            Err(status) => Err(AppendError::Unavailable(Box::new(BadAnswer::from(status)))),
        }
    }
}
