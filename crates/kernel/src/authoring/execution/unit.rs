//! A unit of work: a decision over one or several aggregates, and its append.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::ExpectedAt;
use super::loaded::Extent;
use super::{Cause, Environment, ExecuteError, Executed, LoadError, Loaded};
use crate::authoring::codec::{CodecError, EventSet as _};
use crate::authoring::decider::{Context, Decider};
use crate::log::event::{NewEvent, Position, StreamName};
use crate::log::store::{AppendError, AppendRequest, Appended, EventLocation, ExpectedRevision};

/// The source of a unit's aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// This process's cache, with the log as fallback. Cached aggregates may be out of date.
    Memory,
    /// The current log.
    Log,
}

/// One decision over one or several aggregates, appended all or nothing. Created by
/// [`Environment::in_unit`].
///
/// The first decided aggregate is the leading one: [`Self::decide`] takes the caller's expectation
/// of its revision. Further aggregates follow with [`Self::also_decide`].
pub struct UnitOfWork<'a> {
    environment: &'a Environment,
    cause: &'a Cause,
    source: Source,
    /// The incarnation of the log when the unit began.
    incarnation: u64,
    /// Whether an aggregate came from the cache, or was assumed to be new.
    assumes: bool,
    /// The stream of the leading aggregate: the ids of all events of the unit derive from it, and it
    /// shows whether the cause was already executed.
    leading: Option<StreamName>,
    /// Whether the cause was already executed: then nothing more is decided.
    repeats: bool,
    /// The stream for which only an append can determine whether it contains the cause's events.
    undetermined: Option<StreamName>,
    changes: Vec<Change>,
    recorded: usize,
    /// The events of earlier units in the same append; `None` without such units.
    ahead: Option<Ahead>,
    /// The context of this unit's decisions.
    pub context: Context,
}

/// An aggregate's new events, and what to cache once they are in the log.
pub(super) struct Change {
    pub(super) request: AppendRequest,
    pub(super) remember: Remember,
    /// The aggregate after the events, for later units of the same append.
    evolved: Option<Evolved>,
}

impl Change {
    /// Returns the stream and the id of its last new event.
    pub(super) fn last(&self) -> (StreamName, Option<Uuid>) {
        let last = self.request.events.last().map(|event| event.id);
        (self.request.stream.clone(), last)
    }
}

pub(super) type Remember = Box<dyn FnOnce(&Environment, Appended) + Send>;

type Evolved = Arc<dyn Any + Send + Sync>;

/// Aggregates as left by the earlier units of the same append, by stream: units that are appended
/// together are decided one after the other.
#[derive(Default)]
pub(super) struct Ahead(HashMap<StreamName, Evolved>);

impl Ahead {
    fn get<D: Decider>(&self, stream: &StreamName, extent: Extent) -> Option<Arc<Loaded<D>>> {
        let known = Arc::clone(self.0.get(stream)?).downcast::<Loaded<D>>().ok()?;
        (known.extent == extent).then_some(known)
    }
}

impl<'a> UnitOfWork<'a> {
    pub(super) fn new(environment: &'a Environment, cause: &'a Cause, source: Source) -> Self {
        Self {
            environment,
            cause,
            source,
            incarnation: environment.incarnation(),
            assumes: false,
            leading: None,
            repeats: false,
            undetermined: None,
            changes: Vec::new(),
            recorded: 0,
            ahead: None,
            context: Context { now: environment.clock.now() },
        }
    }

    /// Returns the unit, decided after others in the same append.
    pub(super) fn after(self, ahead: Ahead) -> Self {
        Self { ahead: Some(ahead), ..self }
    }

    /// Discards the unit's decisions. Returns the aggregates as left by the earlier units.
    pub(super) fn abandon(self) -> Ahead {
        self.ahead.unwrap_or_default()
    }

    /// Returns the changes to append, and the aggregates as left by this unit and the earlier ones.
    pub(super) fn finish(self) -> (Vec<Change>, Ahead) {
        let Self { ahead, mut changes, .. } = self;
        let mut ahead = ahead.unwrap_or_default();
        for change in &mut changes {
            if let Some(evolved) = change.evolved.take() {
                ahead.0.insert(change.request.stream.clone(), evolved);
            }
        }
        (changes, ahead)
    }

    /// Returns the size in bytes of the changes to append.
    pub(super) fn bytes(&self) -> usize {
        let events = self.changes.iter().flat_map(|change| &change.request.events);
        events.map(NewEvent::size).sum()
    }

    fn ahead<D: Decider>(&self, stream: &StreamName, extent: Extent) -> Option<Arc<Loaded<D>>> {
        self.ahead.as_ref()?.get(stream, extent)
    }

    /// Loads an aggregate to decide on.
    pub async fn load<D: Decider>(&mut self, id: D::Id) -> Result<Arc<Loaded<D>>, LoadError> {
        self.load_stream(StreamName::of(D::CATEGORY, id)).await
    }

    /// Loads an aggregate to decide on, from a stream that is not named by a UUID.
    pub async fn load_stream<D: Decider>(
        &mut self,
        stream: StreamName,
    ) -> Result<Arc<Loaded<D>>, LoadError> {
        self.take(stream, Extent::Whole).await
    }

    /// Loads an aggregate whose last event alone contains all that the next decision needs; reads
    /// only that event. This is one read, whatever the length of the stream.
    pub async fn load_last<D: Decider>(
        &mut self,
        stream: StreamName,
    ) -> Result<Arc<Loaded<D>>, LoadError> {
        self.take(stream, Extent::LastEvent).await
    }

    /// Loads an aggregate that should not exist yet, for a command that creates it: nothing is read
    /// unless the aggregate turns out to exist.
    pub async fn load_new<D: Decider>(&mut self, id: D::Id) -> Result<Arc<Loaded<D>>, LoadError> {
        self.load_new_stream(StreamName::of(D::CATEGORY, id)).await
    }

    /// Like [`Self::load_new`], for a stream that is not named by a UUID.
    pub async fn load_new_stream<D: Decider>(
        &mut self,
        stream: StreamName,
    ) -> Result<Arc<Loaded<D>>, LoadError> {
        let known = self.environment.remembered::<D>(&stream, Extent::Whole).is_some()
            || self.ahead::<D>(&stream, Extent::Whole).is_some();
        if known || self.source == Source::Log {
            return self.load_stream(stream).await;
        }
        self.assumes = true;
        Ok(Arc::new(Loaded::empty(stream, Extent::Whole, self.incarnation)))
    }

    async fn take<D: Decider>(
        &mut self,
        stream: StreamName,
        extent: Extent,
    ) -> Result<Arc<Loaded<D>>, LoadError> {
        if let Some(known) = self.ahead(&stream, extent) {
            // Valid if the units before it in the same append are.
            return Ok(known);
        }
        if self.source == Source::Memory && !self.environment.aggregates.is_off() {
            let known = self.environment.remembered(&stream, extent);
            let outcome = if known.is_some() { "hit" } else { "miss" };
            metrics::counter!(
                "aggregate_cache_lookups_total", "category" => D::CATEGORY, "outcome" => outcome
            )
            .increment(1);
            if let Some(known) = known {
                self.assumes = true;
                return Ok(known);
            }
        }
        self.environment.read(stream, extent).await
    }

    /// Decides on the unit's leading aggregate and records the events, unless the cause was already
    /// executed. Returns the recorded events.
    pub async fn decide<D: Decider>(
        &mut self,
        loaded: &Loaded<D>,
        command: &D::Command,
        expected: Option<&ExpectedAt>,
    ) -> Result<Vec<D::Event>, ExecuteError<D::Refusal>> {
        if self.is_repetition(loaded).await? {
            return Ok(Vec::new());
        }
        if let Some(expected) = expected.filter(|expected| !expected.is_met_by(loaded.revision)) {
            let (expected, actual) = (expected.clone(), loaded.revision);
            return Err(ExecuteError::RevisionMismatch { expected, actual });
        }
        self.decide_now(loaded, command.clone()).await
    }

    /// Decides on a further aggregate after the leading one and records the events: the whole unit
    /// is appended, or nothing. If the leading aggregate showed that the cause was already executed,
    /// nothing is decided, because the further aggregates were part of that execution. Returns the
    /// recorded events.
    pub async fn also_decide<D: Decider>(
        &mut self,
        loaded: &Loaded<D>,
        command: D::Command,
    ) -> Result<Vec<D::Event>, ExecuteError<D::Refusal>> {
        if self.is_repetition(loaded).await? {
            return Ok(Vec::new());
        }
        self.decide_now(loaded, command).await
    }

    /// Returns whether the cause was already executed. The leading aggregate determines it for the
    /// whole unit.
    async fn is_repetition<D: Decider>(&mut self, loaded: &Loaded<D>) -> Result<bool, LoadError> {
        if self.leading.is_none() {
            self.leading = Some(loaded.stream.clone());
            self.repeats = self.was_done_in(loaded).await?;
        }
        Ok(self.repeats)
    }

    /// Returns whether the leading aggregate's stream already contains the first event of this
    /// cause.
    async fn was_done_in<D: Decider>(&mut self, loaded: &Loaded<D>) -> Result<bool, LoadError> {
        let Some(id) = self.cause.first_event_id(&loaded.stream) else { return Ok(false) };
        match loaded.has(id) {
            Some(true) => Ok(true),
            // The event may have been written since the load. If so, the append reports its id as
            // known; without an append, the log is read.
            _ if self.assumes => {
                self.undetermined = Some(loaded.stream.clone());
                Ok(false)
            }
            Some(false) => Ok(false),
            None => {
                let found = self.environment.store.find_in_stream(&loaded.stream, id).await?;
                Ok(found.is_some())
            }
        }
    }

    async fn decide_now<D: Decider>(
        &mut self,
        loaded: &Loaded<D>,
        command: D::Command,
    ) -> Result<Vec<D::Event>, ExecuteError<D::Refusal>> {
        let events =
            D::decide(&loaded.state, command, &self.context).map_err(ExecuteError::Refused)?;
        self.record(loaded, &events).await?;
        Ok(events)
    }

    /// Adds an aggregate's new events. The commit requires that the aggregate is still at the loaded
    /// revision.
    async fn record<D: Decider>(
        &mut self,
        loaded: &Loaded<D>,
        events: &[D::Event],
    ) -> Result<(), CodecError> {
        if events.is_empty() {
            return Ok(());
        }
        let leading = self.leading.as_ref().unwrap_or(&loaded.stream);
        let mut new_events = Vec::with_capacity(events.len());
        for event in events {
            let id = self.cause.event_id(leading, self.recorded);
            self.recorded += 1;
            new_events.push(NewEvent {
                id,
                event_type: event.event_type().into(),
                data: self.environment.codec.encode(event, id).await?,
                metadata: self.cause.metadata(self.context.now),
                foreign: None,
            });
        }
        let remembers = self.environment.remembers::<D>();
        let evolved = (remembers || self.ahead.is_some())
            .then(|| Arc::new(loaded.evolved(events, &new_events)));
        let for_others = self.ahead.is_some().then(|| evolved.clone()).flatten();
        let remember = move |environment: &Environment, appended: Appended| {
            if let Some(evolved) = evolved.filter(|_| remembers) {
                let mut evolved = Arc::unwrap_or_clone(evolved);
                evolved.position = appended.position;
                environment.remember(evolved);
            }
        };
        self.changes.push(Change {
            request: AppendRequest {
                stream: loaded.stream.clone(),
                expected: ExpectedRevision::exactly(loaded.revision),
                events: new_events,
            },
            remember: Box::new(remember),
            evolved: for_others.map(|evolved| evolved as Evolved),
        });
        Ok(())
    }

    /// Returns whether the decision may differ on the current log: only an append proves that the
    /// cached state was current.
    pub(super) fn is_to_be_decided_again<T, R: std::error::Error>(
        &self,
        outcome: &Result<T, ExecuteError<R>>,
    ) -> bool {
        match outcome {
            Ok(_) => self.is_unproven(),
            Err(error) => self.assumes && error.is_decision(),
        }
    }

    /// Returns whether the result depends on cached state alone, so that it must be decided again on
    /// the log before it is returned.
    fn is_unproven(&self) -> bool {
        let proves = |change: &Change| {
            self.undetermined.as_ref().is_none_or(|asked| *asked == change.request.stream)
        };
        self.assumes && !self.changes.first().is_some_and(proves)
    }

    /// Returns whether any input came from the cache.
    pub(super) fn assumes(&self) -> bool {
        self.assumes
    }

    /// Appends all recorded events, all or nothing.
    pub(super) async fn commit(self) -> Result<Committed, AppendError> {
        let (environment, incarnation) = (self.environment, self.incarnation);
        let (changes, _) = self.finish();
        let last: Vec<_> = changes.iter().map(Change::last).collect();
        let appended = append(environment, incarnation, changes).await?;
        let parts = last.into_iter().zip(appended);
        Ok(parts
            .map(|((stream, event_id), appended)| Part { stream, appended, event_id })
            .collect())
    }
}

/// Appends changes of different streams, all or nothing, and caches the resulting aggregates.
///
/// Resolves an append with an unknown outcome by appending the same ids again. A decision from an
/// earlier incarnation of the log is not appended to a later one.
pub(super) async fn append(
    environment: &Environment,
    incarnation: u64,
    changes: Vec<Change>,
) -> Result<Vec<Appended>, AppendError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let store = &environment.store;
    let (requests, remember): (Vec<_>, Vec<_>) =
        changes.into_iter().map(|change| (change.request, change.remember)).unzip();
    let mut retries = Retries::default();
    let mut was_unknown = false;
    let mut appended = loop {
        if environment.incarnation() != incarnation {
            // The events that the decision and the sealing were based on may not exist any more.
            let found = if was_unknown { found(environment, &requests).await? } else { None };
            break found.ok_or(AppendError::WentBack)?;
        }
        let outcome = match <[AppendRequest; 1]>::try_from(requests.clone()) {
            Ok([request]) => store.append(request).await.map(|appended| vec![appended]),
            Err(requests) => store.append_many(requests).await,
        };
        match outcome {
            Ok(appended) => break appended,
            Err(AppendError::OutcomeUnknown(_)) if retries.again().await => was_unknown = true,
            Err(error) => return Err(error),
        }
    };
    for (appended, remember) in appended.iter_mut().zip(remember) {
        // After an unknown outcome the existing events are most likely our own. They may still be
        // those of another writer with a different decision: they are read when needed.
        if !appended.repeated {
            remember(environment, *appended);
        } else if was_unknown {
            appended.repeated = false;
        }
    }
    Ok(appended)
}

/// Returns the places of appends with an unknown outcome, if the log contains them.
async fn found(
    environment: &Environment,
    requests: &[AppendRequest],
) -> Result<Option<Vec<Appended>>, AppendError> {
    let mut appended = Vec::with_capacity(requests.len());
    for AppendRequest { stream, events, .. } in requests {
        let Some(last) = events.last() else { continue };
        let found = environment.store.find_in_stream(stream, last.id).await;
        let found = found.map_err(|error| AppendError::OutcomeUnknown(error.into()))?;
        let Some(EventLocation { revision, position }) = found else { return Ok(None) };
        appended.push(Appended { revision, position, repeated: true });
    }
    Ok(Some(appended))
}

/// The result of a unit's append.
#[derive(Debug, Clone, Default)]
pub struct Committed(Vec<Part>);

/// The result of its append to one stream.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) stream: StreamName,
    pub(super) appended: Appended,
    /// Id of the event at `position`.
    pub(super) event_id: Option<Uuid>,
}

impl FromIterator<Part> for Committed {
    fn from_iter<T: IntoIterator<Item = Part>>(parts: T) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl Committed {
    /// Returns the result for one of the unit's aggregates.
    pub fn executed<D: Decider>(&self, loaded: &Loaded<D>) -> Executed {
        let of_it = self.0.iter().find(|part| part.stream == loaded.stream);
        of_it.map_or_else(
            || loaded.unchanged(),
            |part| {
                let last = self.last().unwrap_or(part);
                Executed {
                    revision: Some(part.appended.revision),
                    position: last.appended.position,
                    event_id: last.event_id,
                    recorded: !part.appended.repeated,
                }
            },
        )
    }

    fn last(&self) -> Option<&Part> {
        self.0.iter().max_by_key(|part| part.appended.position)
    }

    /// Returns the position of the last event, `None` if nothing was appended.
    pub fn position(&self) -> Option<Position> {
        self.last().map(|last| last.appended.position)
    }

    /// Returns whether the same ids already existed.
    pub(super) fn is_repetition(&self) -> bool {
        self.0.iter().any(|part| part.appended.repeated)
    }
}

/// A bounded number of attempts, with growing pauses between them.
#[derive(Debug, Default)]
pub(super) struct Retries {
    tried: u32,
}

impl Retries {
    const MOST: u32 = 12;

    /// Waits before the next attempt. Returns `false` after the last one.
    pub(super) async fn again(&mut self) -> bool {
        self.tried += 1;
        if self.tried >= Self::MOST {
            return false;
        }
        // The first two retries have no pause: most conflicts are between two writers.
        let pause = Duration::from_millis(1) * (1 << self.tried.saturating_sub(2).min(6));
        if self.tried > 2 {
            tokio::time::sleep(crate::log::backoff::jittered(pause)).await;
        }
        true
    }
}
