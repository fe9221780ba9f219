//! Load, decide, append: how a command reaches an aggregate, with a bounded retry when another
//! writer was faster.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::codec::{Codec, CodecError, EventSet as _};
use crate::decider::{Context, Decider};
use crate::event::{Metadata, NewEvent, Position, RecordedEvent, Revision, StreamName};
use crate::keys::SecretKey;
use crate::seams::{SharedClock, new_id};
use crate::store::{AppendError, AppendRequest, EventStore, ExpectedRevision, ReadError};

/// Name of this system in `origin_system`.
pub const ORIGIN: &str = "bascule";

const PAGE: usize = 500;

/// What modules are handed to do their work with. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    /// The event store.
    pub store: Arc<dyn EventStore>,
    /// Encodes and decodes events.
    pub codec: Codec,
    /// Tells the time.
    pub clock: SharedClock,
    /// Key of the digests for lookups by personal data.
    pub lookup_key: SecretKey,
}

/// Why something happens: what every event that follows from it carries.
#[derive(Debug, Clone)]
pub struct Cause {
    /// What the whole chain of events began with.
    pub correlation_id: Uuid,
    /// The event reacted to.
    pub causation_id: Option<Uuid>,
    /// Who asked.
    pub actor: String,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The system in which it happened.
    pub origin_system: String,
    /// When it happened there, where that is not now.
    pub occurred_at: Option<DateTime<Utc>>,
    event_ids: EventIds,
}

/// Where the ids of new events come from.
#[derive(Debug, Clone)]
enum EventIds {
    /// New ones, for a request that cannot be recognised when it is repeated.
    Fresh,
    /// UUIDv5(seed, name/index): the same cause always yields the same ids, so that a repetition
    /// is recognised by the log itself.
    Derived { seed: Uuid, name: String },
}

impl Cause {
    /// A request from outside that cannot be recognised when repeated.
    pub fn request(correlation_id: Uuid, actor: impl Into<String>) -> Self {
        Self {
            correlation_id,
            causation_id: None,
            actor: actor.into(),
            traceparent: None,
            origin_system: ORIGIN.to_owned(),
            occurred_at: None,
            event_ids: EventIds::Fresh,
        }
    }

    /// A reaction of the named subscription to an event.
    pub fn reaction(trigger: &RecordedEvent, subscription: &str) -> Self {
        Self {
            correlation_id: trigger.metadata.correlation_id,
            causation_id: Some(trigger.id),
            actor: subscription.to_owned(),
            traceparent: trigger.metadata.traceparent.clone(),
            origin_system: ORIGIN.to_owned(),
            occurred_at: None,
            event_ids: EventIds::Derived { seed: trigger.id, name: subscription.to_owned() },
        }
    }

    /// The same cause, recognised when repeated: event ids derive from `seed` and `name`.
    pub fn recognised_by(mut self, seed: Uuid, name: impl Into<String>) -> Self {
        self.event_ids = EventIds::Derived { seed, name: name.into() };
        self
    }

    /// The same cause for one of several aggregates it touches: each has event ids of its own.
    pub fn about(mut self, aggregate: Uuid) -> Self {
        if let EventIds::Derived { name, .. } = &mut self.event_ids {
            *name = format!("{name}/{aggregate}");
        }
        self
    }

    fn event_id(&self, index: usize) -> Uuid {
        match &self.event_ids {
            EventIds::Fresh => new_id(),
            EventIds::Derived { seed, name } => {
                Uuid::new_v5(seed, format!("{name}/{index}").as_bytes())
            }
        }
    }

    /// The id the first event would have, when it can be told beforehand.
    fn first_event_id(&self) -> Option<Uuid> {
        match &self.event_ids {
            EventIds::Fresh => None,
            EventIds::Derived { .. } => Some(self.event_id(0)),
        }
    }

    fn metadata(&self, now: DateTime<Utc>) -> Metadata {
        Metadata {
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            traceparent: self.traceparent.clone(),
            actor: self.actor.as_str().into(),
            origin_system: self.origin_system.as_str().into(),
            occurred_at: self.occurred_at.unwrap_or(now),
        }
    }
}

/// Why an aggregate could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store did not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event of it cannot be decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::error::Error> {
    /// The aggregate says no.
    #[error("{0}")]
    Refused(R),
    /// The caller expected another revision.
    #[error("expected revision {expected}, found {}", .actual.map_or("none".to_owned(), |found| found.to_string()))]
    RevisionMismatch {
        /// What the caller expected.
        expected: Revision,
        /// What is there.
        actual: Option<Revision>,
    },
    /// Other writers were faster every time.
    #[error("too many others are changing the same thing; try again")]
    Contention,
    /// The aggregate could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An event could not be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The store did not take the events.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl<R: std::error::Error> ExecuteError<R> {
    /// Whether the same command may succeed later: nothing about the command itself is wrong.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(_) | Self::RevisionMismatch { .. } => false,
            Self::Contention | Self::Load(LoadError::Read(ReadError::Unavailable(_))) => true,
            Self::Load(LoadError::Read(ReadError::Damaged { .. })) => false,
            Self::Load(LoadError::Codec(error)) | Self::Codec(error) => error.is_transient(),
            Self::Append(error) => matches!(
                error,
                AppendError::WrongExpectedRevision { .. }
                    | AppendError::Overloaded
                    | AppendError::Unavailable(_)
                    | AppendError::OutcomeUnknown(_)
            ),
        }
    }

    /// Whether another writer was faster, so that deciding again on fresh state may succeed.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Append(AppendError::WrongExpectedRevision { .. }))
    }
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executed {
    /// The last revision of the aggregate's stream, `None` when it has no event.
    pub revision: Option<Revision>,
    /// Everything this command wrote is at or before this position.
    pub position: Position,
    /// Whether it recorded anything now.
    pub recorded: bool,
}

/// A command that was carried out, with what it recorded.
#[derive(Debug, Clone)]
pub struct CarriedOut<E> {
    /// Where the aggregate stands now.
    pub executed: Executed,
    /// What was recorded now: nothing when the command was carried out before, too.
    pub events: Vec<E>,
}

/// An aggregate as it stands in the log.
#[derive(Debug, Clone)]
pub struct Loaded<D: Decider> {
    /// Its stream.
    pub stream: StreamName,
    /// Its state.
    pub state: D::State,
    /// The last revision of its stream.
    pub revision: Option<Revision>,
    /// Position of its last event, 0 when it has none.
    pub position: Position,
    event_ids: Vec<Uuid>,
}

impl<D: Decider> Loaded<D> {
    /// An aggregate of which nothing is known yet.
    fn empty(stream: StreamName) -> Self {
        let (state, event_ids) = (D::State::default(), Vec::new());
        Self { stream, state, revision: None, position: 0, event_ids }
    }

    /// Takes in the next event of its stream.
    async fn take(&mut self, recorded: Arc<RecordedEvent>, codec: &Codec) -> Result<(), LoadError> {
        self.revision = Some(recorded.revision);
        self.position = recorded.position;
        self.event_ids.push(recorded.id);
        let envelope = codec.decode::<D::Event>(recorded).await?;
        self.state = D::evolve(std::mem::take(&mut self.state), &envelope.event);
        Ok(())
    }

    /// Where it stands, nothing having been recorded.
    pub fn unchanged(&self) -> Executed {
        Executed { revision: self.revision, position: self.position, recorded: false }
    }

    /// Where it stands after these events of it went into the log, which then ended at `position`:
    /// what [`UnitOfWork::commit`] answers.
    pub fn after(&self, events: &[D::Event], position: Option<Position>) -> Executed {
        let Some(position) = position else {
            return self.unchanged();
        };
        let next = self.revision.map_or(0, |revision| revision + 1);
        let revision = (next + events.len() as Revision).checked_sub(1);
        Executed { revision, position, recorded: true }
    }
}

impl Environment {
    /// Reads an aggregate from its stream.
    pub async fn load<D: Decider>(&self, id: Uuid) -> Result<Loaded<D>, LoadError> {
        self.load_stream(StreamName::of(D::CATEGORY, id)).await
    }

    /// Reads an aggregate from a stream that is not named by a UUID.
    pub async fn load_stream<D: Decider>(
        &self,
        stream: StreamName,
    ) -> Result<Loaded<D>, LoadError> {
        let mut loaded = Loaded::empty(stream);
        loop {
            let from = loaded.revision.map_or(0, |revision| revision + 1);
            let page = self.store.read_stream(&loaded.stream, from, PAGE).await?;
            let complete = page.len() < PAGE;
            for recorded in page {
                loaded.take(recorded, &self.codec).await?;
            }
            if complete {
                return Ok(loaded);
            }
        }
    }

    /// Reads the last event of a stream only, for a decider whose every event says all that the
    /// next decision needs. However long the stream, this takes one read.
    ///
    /// [`UnitOfWork::was_done_in`] sees no more than that event: ask another aggregate of the unit.
    pub async fn load_last<D: Decider>(&self, stream: StreamName) -> Result<Loaded<D>, LoadError> {
        let mut loaded = Loaded::empty(stream);
        if let Some(recorded) = self.store.read_last(&loaded.stream).await? {
            loaded.take(recorded, &self.codec).await?;
        }
        Ok(loaded)
    }

    /// Carries out a command on one aggregate, deciding again when another writer was faster.
    ///
    /// A cause that was carried out before is recognised by the id of its first event and answers
    /// without deciding again.
    pub async fn execute<D: Decider>(
        &self,
        id: Uuid,
        command: D::Command,
        cause: &Cause,
        expected: Option<Revision>,
    ) -> Result<Executed, ExecuteError<D::Refusal>> {
        Ok(self.carry_out::<D>(id, command, cause, expected).await?.executed)
    }

    /// [`Self::execute`], for a caller who needs to know what was recorded, too.
    pub async fn carry_out<D: Decider>(
        &self,
        id: Uuid,
        command: D::Command,
        cause: &Cause,
        expected: Option<Revision>,
    ) -> Result<CarriedOut<D::Event>, ExecuteError<D::Refusal>> {
        let mut retries = Retries::default();
        loop {
            let mut work = UnitOfWork::new(self, cause);
            let loaded = self.load::<D>(id).await?;
            if work.was_done_in(&loaded) {
                return Ok(CarriedOut { executed: loaded.unchanged(), events: Vec::new() });
            }
            if let Some(expected) = expected.filter(|expected| Some(*expected) != loaded.revision) {
                return Err(ExecuteError::RevisionMismatch { expected, actual: loaded.revision });
            }
            let events = D::decide(&loaded.state, command.clone(), &work.context)
                .map_err(ExecuteError::Refused)?;
            work.record(&loaded, &events).await?;
            match work.commit().await {
                Ok(position) => {
                    let executed = loaded.after(&events, position);
                    return Ok(CarriedOut { executed, events });
                }
                Err(AppendError::WrongExpectedRevision { .. }) => {
                    if !retries.again().await {
                        return Err(ExecuteError::Contention);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// One decision over one or several aggregates, appended all or nothing.
pub struct UnitOfWork<'a> {
    environment: &'a Environment,
    cause: &'a Cause,
    requests: Vec<AppendRequest>,
    recorded: usize,
    /// What the decisions of this unit may know.
    pub context: Context,
}

impl<'a> UnitOfWork<'a> {
    /// An empty unit, decided now.
    pub fn new(environment: &'a Environment, cause: &'a Cause) -> Self {
        let context = Context { now: environment.clock.now() };
        Self { environment, cause, requests: Vec::new(), recorded: 0, context }
    }

    /// Whether the first event of this cause is in the aggregate's stream already. The first
    /// aggregate recorded in a unit is the one to ask.
    pub fn was_done_in<D: Decider>(&self, loaded: &Loaded<D>) -> bool {
        self.cause.first_event_id().is_some_and(|id| loaded.event_ids.contains(&id))
    }

    /// Adds an aggregate's new events. The aggregate must still be as it was loaded when the unit
    /// is committed.
    pub async fn record<D: Decider>(
        &mut self,
        loaded: &Loaded<D>,
        events: &[D::Event],
    ) -> Result<(), CodecError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut new_events = Vec::with_capacity(events.len());
        for event in events {
            let id = self.cause.event_id(self.recorded);
            self.recorded += 1;
            new_events.push(NewEvent {
                id,
                event_type: event.event_type().into(),
                data: self.environment.codec.encode(event, id).await?,
                metadata: self.cause.metadata(self.context.now),
            });
        }
        self.requests.push(AppendRequest {
            stream: loaded.stream.clone(),
            expected: ExpectedRevision::exactly(loaded.revision),
            events: new_events,
        });
        Ok(())
    }

    /// Appends everything recorded, all or nothing. The position of the last event, `None` when
    /// nothing was recorded.
    ///
    /// An append whose outcome is unknown is settled here: the same ids are appended again.
    pub async fn commit(self) -> Result<Option<Position>, AppendError> {
        if self.requests.is_empty() {
            return Ok(None);
        }
        let store = &self.environment.store;
        let mut retries = Retries::default();
        loop {
            let outcome = match <[AppendRequest; 1]>::try_from(self.requests.clone()) {
                Ok([request]) => store.append(request).await.map(|appended| vec![appended]),
                Err(requests) => store.append_many(requests).await,
            };
            match outcome {
                Ok(appended) => return Ok(appended.iter().map(|one| one.position).max()),
                Err(AppendError::OutcomeUnknown(_)) if retries.again().await => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A bounded number of tries, with growing pauses in between.
#[derive(Debug, Default)]
pub struct Retries {
    tried: u32,
}

impl Retries {
    const MOST: u32 = 12;

    /// Waits before the next try; `false` when there were enough.
    pub async fn again(&mut self) -> bool {
        self.tried += 1;
        if self.tried >= Self::MOST {
            return false;
        }
        // The first two come at once: most conflicts are between two writers.
        let pause = Duration::from_millis(1) * (1 << self.tried.saturating_sub(2).min(6));
        if self.tried > 2 {
            tokio::time::sleep(crate::backoff::jittered(pause)).await;
        }
        true
    }
}
