//! The service `bascule.store.v1.Store`: the operations that a remote module needs beyond
//! EventStoreDB's protocol.

use std::sync::Arc;

use chrono::DateTime;
use kernel::event::{Metadata, NewEvent, Position, RecordedEvent, StreamName};
use kernel::keys::KeyHolder;
use kernel::store::{AppendError, AppendRequest, ExpectedRevision, PAGE_BYTES, ReadError};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::accounts::Caller;
use crate::calls;
use crate::endpoint::{Endpoint, MOST_APPENDED_EVENTS};
use crate::ownership::Owner;
use crate::proposed::{must_be_plain, must_be_plain_metadata, must_be_readable};
use crate::protocol::store::append_many_request::Remembered;
use crate::protocol::store::append_many_response::appended::Last;
use crate::protocol::store::append_many_response::refused::Reason;
use crate::protocol::store::append_many_response::{
    Appended, EventTooLarge, IdempotencyMismatch, Outcome, Overloaded, Refused, WentBack,
    WrongExpectedRevision,
};
use crate::protocol::store::expected::Kind;
use crate::protocol::store::find_in_stream_response::Place;
use crate::protocol::store::store_server::Store;
use crate::protocol::store::{self as wire, expected};
use crate::refusal::Refusal;
use crate::rights::Right;

/// Maximum number of events of a correlation per response.
const MOST_READ: usize = 500;
/// Maximum number of events read at once: each may have the maximum size of an event.
const READ_AT_ONCE: usize = 16;

/// The service `Store`.
pub(crate) struct StoreService(pub(crate) Arc<Endpoint>);

#[tonic::async_trait]
impl Store for StoreService {
    async fn log(
        &self,
        request: Request<wire::LogRequest>,
    ) -> Result<Response<wire::LogResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let log = |_| async move { self.log_as_it_is(request).await };
        self.0.answer(&calls::STORE_LOG, &extensions, log).await
    }

    async fn append_many(
        &self,
        request: Request<wire::AppendManyRequest>,
    ) -> Result<Response<wire::AppendManyResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let append = |caller: Caller| async move {
            let remembered = request.remembered.clone();
            let requests = self.append_requests(&caller, request)?;
            let appended = match self.is_there(remembered).await? {
                true => self.0.store.append_many(requests).await,
                false => Err(AppendError::WentBack),
            };
            let outcome = match appended {
                Ok(appended) => Outcome::Appended(Appended {
                    places: appended
                        .into_iter()
                        .map(|appended| Last {
                            revision: appended.revision,
                            position: appended.position,
                            repeated: appended.repeated,
                        })
                        .collect(),
                }),
                Err(error) => Outcome::Refused(Refused { reason: Some(reason(error)) }),
            };
            Ok(wire::AppendManyResponse { outcome: Some(outcome) })
        };
        self.0.answer(&calls::STORE_APPEND_MANY, &extensions, append).await
    }

    async fn find_in_stream(
        &self,
        request: Request<wire::FindInStreamRequest>,
    ) -> Result<Response<wire::FindInStreamResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let find = |_| async move {
            let stream = StreamName::new(request.stream)?;
            let event_id = uuid(&request.event_id, "the event")?;
            let place = self.0.store.find_in_stream(&stream, event_id).await?;
            let place =
                place.map(|place| Place { revision: place.revision, position: place.position });
            Ok(wire::FindInStreamResponse { place })
        };
        self.0.answer(&calls::STORE_FIND_IN_STREAM, &extensions, find).await
    }

    async fn read_correlation(
        &self,
        request: Request<wire::ReadCorrelationRequest>,
    ) -> Result<Response<wire::ReadCorrelationResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let read = |_| async move {
            let correlation_id = uuid(&request.correlation_id, "the correlation")?;
            let limit = usize::try_from(request.limit).unwrap_or(MOST_READ).min(MOST_READ);
            let events = self.correlation(correlation_id, request.after, limit).await?;
            Ok(wire::ReadCorrelationResponse { events })
        };
        self.0.answer(&calls::STORE_READ_CORRELATION, &extensions, read).await
    }

    async fn event_id_at(
        &self,
        request: Request<wire::EventIdAtRequest>,
    ) -> Result<Response<wire::EventIdAtResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let read = |_| async move {
            let event_id = self.0.store.event_id_at(request.position).await?.map(bytes);
            Ok(wire::EventIdAtResponse { event_id })
        };
        self.0.answer(&calls::STORE_EVENT_ID_AT, &extensions, read).await
    }

    async fn sealing_key(
        &self,
        request: Request<wire::SealingKeyRequest>,
    ) -> Result<Response<wire::SealingKeyResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let key = |caller: Caller| async move {
            let holder = holder(&caller, &request.subject, request.purpose)?;
            let key = self.0.vault.sealing_key(&holder).await?;
            let key = key.map(|key| wire::SubjectKey {
                id: bytes(key.id),
                key: key.key.to_bytes().to_vec(),
            });
            Ok(wire::SealingKeyResponse { key })
        };
        self.0.answer(&calls::STORE_SEALING_KEY, &extensions, key).await
    }

    async fn opening_key(
        &self,
        request: Request<wire::OpeningKeyRequest>,
    ) -> Result<Response<wire::OpeningKeyResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let key = |_| async move {
            let key = self.0.vault.opening_key(uuid(&request.key_id, "the key")?).await?;
            Ok(wire::OpeningKeyResponse { key: key.map(|key| key.to_bytes().to_vec()) })
        };
        self.0.answer(&calls::STORE_OPENING_KEY, &extensions, key).await
    }

    async fn is_destroyed(
        &self,
        request: Request<wire::IsDestroyedRequest>,
    ) -> Result<Response<wire::IsDestroyedResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let is_destroyed = |caller: Caller| async move {
            let holder = holder(&caller, &request.subject, request.purpose)?;
            let destroyed = self.0.vault.is_destroyed(&holder).await?;
            Ok(wire::IsDestroyedResponse { destroyed })
        };
        self.0.answer(&calls::STORE_IS_DESTROYED, &extensions, is_destroyed).await
    }

    async fn destroy_keys(
        &self,
        request: Request<wire::DestroyKeysRequest>,
    ) -> Result<Response<wire::DestroyKeysResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let destroy = |_| async move {
            let subjects = request.subjects.iter().map(|subject| uuid(subject, "the subject"));
            let subjects = subjects.collect::<Result<Vec<_>, _>>()?;
            let retained: Vec<&str> = request.retained.iter().map(String::as_str).collect();
            self.0.codec.destroy_keys(&subjects, &retained).await?;
            Ok(wire::DestroyKeysResponse {})
        };
        self.0.answer(&calls::STORE_DESTROY_KEYS, &extensions, destroy).await
    }

    async fn lookup_key(
        &self,
        request: Request<wire::LookupKeyRequest>,
    ) -> Result<Response<wire::LookupKeyResponse>, Status> {
        let key = |_| async move {
            let key = self.0.vault.lookup_key().await?.to_bytes().to_vec();
            Ok(wire::LookupKeyResponse { key })
        };
        self.0.answer(&calls::STORE_LOOKUP_KEY, request.extensions(), key).await
    }
}

/// Returns a person's key for a purpose, which must be the caller's own module.
fn holder(caller: &Caller, subject: &[u8], purpose: String) -> Result<KeyHolder, Refusal> {
    caller.needs(&Right::Module(purpose.clone()))?;
    Ok(KeyHolder { subject: uuid(subject, "the subject")?, purpose })
}

impl StoreService {
    /// Returns events of a correlation, as many as fit into one message.
    async fn correlation(
        &self,
        correlation_id: Uuid,
        mut after: Position,
        limit: usize,
    ) -> Result<Vec<wire::RecordedEvent>, ReadError> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        while found.len() < limit && bytes < PAGE_BYTES {
            let step = READ_AT_ONCE.min(limit - found.len());
            let events = self.0.store.read_correlation(correlation_id, after, step).await?;
            for event in &events {
                bytes += event.size();
                after = event.position;
                found.push(recorded(event));
            }
            if events.len() < step {
                break;
            }
        }
        Ok(found)
    }

    /// Returns the head of the log, and the event that the caller asks about.
    async fn log_as_it_is(&self, request: wire::LogRequest) -> Result<wire::LogResponse, Refusal> {
        let store = &self.0.store;
        let head = store.head().await?;
        let id_at = async |position| {
            let id = store.event_id_at(position).await?;
            Ok::<_, ReadError>(id.map(bytes))
        };
        let remembered_event_id = match request.remembered {
            Some(position) => id_at(position).await?,
            None => None,
        };
        let head_event_id = id_at(head).await?;
        Ok(wire::LogResponse {
            log_id: bytes(store.log_id()),
            head,
            head_event_id,
            remembered_event_id,
        })
    }

    /// Returns whether the log contains the event on which an append was decided, if it names one.
    async fn is_there(&self, remembered: Option<Remembered>) -> Result<bool, Refusal> {
        let Some(Remembered { position, event_id }) = remembered else { return Ok(true) };
        let event_id = uuid(&event_id, "the remembered event")?;
        Ok(self.0.store.event_id_at(position).await? == Some(event_id))
    }

    fn append_requests(
        &self,
        caller: &Caller,
        request: wire::AppendManyRequest,
    ) -> Result<Vec<AppendRequest>, Refusal> {
        let events = request.appends.iter().map(|append| append.events.len()).sum::<usize>();
        if events > MOST_APPENDED_EVENTS {
            let problem = format!("an append has at most {MOST_APPENDED_EVENTS} events");
            return Err(Refusal::Invalid(problem));
        }
        let mut requests = Vec::with_capacity(request.appends.len());
        for append in request.appends {
            let stream = StreamName::new(append.stream)?;
            let Owner::Module(module) = self.0.ownership.of(&stream) else {
                return Err(Refusal::Forbidden(format!(
                    "stream {stream} does not belong to a module: append to it with EventStoreDB's protocol"
                )));
            };
            caller.needs(&Right::Module(module.to_owned()))?;
            let event = |event: wire::NewEvent| self.event(module, event);
            let events = append.events.into_iter().map(event).collect::<Result<_, _>>()?;
            requests.push(AppendRequest {
                stream,
                expected: expectation(append.expected)?,
                events,
            });
        }
        Ok(requests)
    }

    fn event(&self, module: &str, event: wire::NewEvent) -> Result<NewEvent, Refusal> {
        let id = uuid(&event.id, "an event")?;
        if self.0.ownership.module_of_event(&event.event_type) != Some(module) {
            return Err(Refusal::Forbidden(format!(
                "{} is not an event of the module {module}",
                event.event_type
            )));
        }
        let missing = || Refusal::Invalid(format!("event {id} has no metadata"));
        let metadata = event.metadata.ok_or_else(missing)?;
        let no_time =
            || Refusal::Invalid(format!("the time at which event {id} occurred is not valid"));
        let causation_id = metadata.causation_id.map(|id| uuid(&id, "the cause"));
        let metadata = Metadata {
            correlation_id: uuid(&metadata.correlation_id, "the correlation")?,
            causation_id: causation_id.transpose()?,
            traceparent: metadata.traceparent,
            actor: metadata.actor.into(),
            origin_system: metadata.origin_system.into(),
            occurred_at: DateTime::from_timestamp_micros(metadata.occurred_at)
                .ok_or_else(no_time)?,
        };
        must_be_plain(id, &event.event_type)?;
        must_be_plain_metadata(id, &metadata)?;
        must_be_readable(id, &event.event_type, &event.data)?;
        let event_type = event.event_type.into();
        Ok(NewEvent { id, event_type, data: event.data, metadata, foreign: None })
    }
}

fn expectation(expected: Option<wire::Expected>) -> Result<ExpectedRevision, Refusal> {
    match expected.and_then(|expected| expected.kind) {
        Some(Kind::Any(_)) => Ok(ExpectedRevision::Any),
        Some(Kind::NoStream(_)) => Ok(ExpectedRevision::NoStream),
        Some(Kind::Exists(_)) => Ok(ExpectedRevision::Exists),
        Some(Kind::Revision(revision)) => Ok(ExpectedRevision::Revision(revision)),
        None => Err(Refusal::Invalid("the expected state of a stream is missing".to_owned())),
    }
}

fn expected_message(expected: ExpectedRevision) -> wire::Expected {
    let kind = match expected {
        ExpectedRevision::Any => Kind::Any(expected::Any {}),
        ExpectedRevision::NoStream => Kind::NoStream(expected::NoStream {}),
        ExpectedRevision::Exists => Kind::Exists(expected::Exists {}),
        ExpectedRevision::Revision(revision) => Kind::Revision(revision),
    };
    wire::Expected { kind: Some(kind) }
}

/// Returns an error in a form from which the client can rebuild it.
fn reason(error: AppendError) -> Reason {
    match error {
        AppendError::WrongExpectedRevision { stream, expected, actual } => {
            Reason::WrongExpectedRevision(WrongExpectedRevision {
                stream: stream.to_string(),
                expected: Some(expected_message(expected)),
                actual,
            })
        }
        AppendError::IdempotencyMismatch { stream, event_id } => {
            Reason::IdempotencyMismatch(IdempotencyMismatch {
                stream: stream.to_string(),
                event_id: bytes(event_id),
            })
        }
        AppendError::EventTooLarge { event_id, size, limit } => {
            Reason::EventTooLarge(EventTooLarge {
                event_id: bytes(event_id),
                size: size as u64,
                limit: limit as u64,
            })
        }
        AppendError::Invalid(problem) => Reason::Invalid(problem),
        AppendError::Overloaded => Reason::Overloaded(Overloaded {}),
        AppendError::Unsupported(what) => Reason::Unsupported(what.to_owned()),
        AppendError::Unavailable(source) => Reason::Unavailable(source.to_string()),
        AppendError::WentBack => Reason::WentBack(WentBack {}),
        AppendError::OutcomeUnknown(source) => Reason::OutcomeUnknown(source.to_string()),
    }
}

fn recorded(event: &RecordedEvent) -> wire::RecordedEvent {
    let metadata = &event.metadata;
    let metadata = wire::Metadata {
        correlation_id: bytes(metadata.correlation_id),
        causation_id: metadata.causation_id.map(bytes),
        traceparent: metadata.traceparent.clone(),
        actor: metadata.actor.to_string(),
        origin_system: metadata.origin_system.to_string(),
        occurred_at: metadata.occurred_at.timestamp_micros(),
    };
    wire::RecordedEvent {
        position: event.position,
        stream: event.stream.to_string(),
        revision: event.revision,
        recorded_at: event.recorded_at.timestamp_micros(),
        event: Some(wire::NewEvent {
            id: bytes(event.id),
            event_type: event.event_type.to_string(),
            data: event.data.clone(),
            metadata: Some(metadata),
        }),
    }
}

fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

fn uuid(bytes: &[u8], what: &str) -> Result<Uuid, Refusal> {
    Uuid::from_slice(bytes)
        .map_err(|_| Refusal::Invalid(format!("the id of {what} must have 16 bytes")))
}

#[cfg(test)]
pub(crate) mod tests;
