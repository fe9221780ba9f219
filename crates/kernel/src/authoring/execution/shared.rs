//! Appends the events of several causes together: one commit for all pending causes, for the case
//! that they share an aggregate, which would otherwise admit only one at a time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::unit::{Ahead, Change, Committed, Part, Retries, Source, UnitOfWork, append};
use super::{Attempt, Cause, Environment, ExecuteError};
use crate::log::event::StreamName;
use crate::log::store::{AppendError, Appended, BoxError};

/// Maximum number of bytes of events in one append, unless a single decision has more.
const MOST_BYTES: usize = 1024 * 1024;

/// The outcome of one of several causes.
pub type SharedOutcome<T, R> = Result<(T, Committed), ExecuteError<R>>;

impl Environment {
    /// Makes a decision for each of several causes, in order, and appends their events in as few
    /// units as the size limit allows; each unit all or nothing. Every decision sees the events of
    /// the decisions before it. Returns one outcome per cause.
    ///
    /// A decision that is refused or fails does not affect the others. Neither does one that the
    /// store rejects: its unit is then repeated with each cause on its own. After a write conflict
    /// all decisions of the unit are repeated. As with [`Self::in_unit`], a cause that was already
    /// executed changes nothing.
    pub async fn in_shared_units<'a, P: Sync, T: Send, R: std::error::Error + Send>(
        &'a self,
        parts: &'a [P],
        cause: impl Fn(&P) -> &Cause + Copy + Send + Sync,
        attempt: impl for<'w> Fn(&'a P, &'w mut UnitOfWork<'a>) -> Attempt<'w, T, R>
        + Copy
        + Send
        + Sync,
    ) -> Vec<SharedOutcome<T, R>> {
        let mut outcomes = Vec::with_capacity(parts.len());
        while let Some(rest) = parts.get(outcomes.len()..).filter(|rest| !rest.is_empty()) {
            match self.share(rest, cause, attempt).await {
                Ok(shared) => outcomes.extend(shared),
                Err(NotShared { count }) => {
                    for part in rest.iter().take(count) {
                        let alone = self.in_unit(cause(part), |work| attempt(part, work));
                        outcomes.push(alone.await);
                    }
                }
            }
        }
        outcomes
    }

    /// Runs one unit over the first parts, as many as fit.
    async fn share<'a, P: Sync, T: Send, R: std::error::Error + Send>(
        &'a self,
        parts: &'a [P],
        cause: impl Fn(&P) -> &Cause + Copy + Send + Sync,
        attempt: impl for<'w> Fn(&'a P, &'w mut UnitOfWork<'a>) -> Attempt<'w, T, R>
        + Copy
        + Send
        + Sync,
    ) -> Result<Vec<SharedOutcome<T, R>>, NotShared> {
        let mut retries = Retries::default();
        let mut source = Source::Memory;
        loop {
            let incarnation = self.incarnation();
            let mut shared = Shared::default();
            for part in parts {
                if !shared.add(self, part, cause(part), source, attempt).await {
                    break;
                }
            }
            source = Source::Log;
            let (decided, changes, assumes) = (shared.decided, shared.changes, shared.assumes);
            match changes.append(self, incarnation).await {
                Ok(appended) if assumes && appended.iter().any(|one| one.repeated) => {}
                Ok(appended) => {
                    let outcomes = decided.into_iter().map(|decided| {
                        decided
                            .map(|Decided { value, places }| (value, committed(&places, &appended)))
                    });
                    return Ok(outcomes.collect());
                }
                Err(AppendError::WrongExpectedRevision { .. } | AppendError::WentBack) => {
                    if !retries.again().await {
                        return Ok(all(&decided, || ExecuteError::Contention));
                    }
                }
                // A decision on cached state was executed meanwhile.
                Err(AppendError::IdempotencyMismatch { .. }) if assumes => {}
                Err(error) => {
                    let count = decided.len();
                    let told = Told::of(error).ok_or(NotShared { count })?;
                    return Ok(all(&decided, || ExecuteError::Append(told.error())));
                }
            }
        }
    }
}

/// This number of parts cannot be appended together: one of them is at fault.
struct NotShared {
    count: usize,
}

/// A decided part, and the places of its events in the append.
struct Decided<T> {
    value: T,
    places: Vec<SharedPlace>,
}

/// The request that holds a stream's events, and how many events it has up to and including these.
struct SharedPlace {
    stream: StreamName,
    events: usize,
}

/// Parts that are decided one after the other and appended together.
struct Shared<T, R: std::error::Error> {
    decided: Vec<Result<Decided<T>, ExecuteError<R>>>,
    changes: Merged,
    ahead: Ahead,
    assumes: bool,
    bytes: usize,
}

impl<T, R: std::error::Error> Default for Shared<T, R> {
    fn default() -> Self {
        Self {
            decided: Vec::new(),
            changes: Merged::default(),
            ahead: Ahead::default(),
            assumes: false,
            bytes: 0,
        }
    }
}

impl<T, R: std::error::Error> Shared<T, R> {
    /// Decides on one more part. Returns `false` if it does not fit any more.
    async fn add<'a, P>(
        &mut self,
        environment: &'a Environment,
        part: &'a P,
        cause: &'a Cause,
        mut source: Source,
        attempt: impl for<'w> Fn(&'a P, &'w mut UnitOfWork<'a>) -> Attempt<'w, T, R>,
    ) -> bool {
        loop {
            let ahead = std::mem::take(&mut self.ahead);
            let mut work = UnitOfWork::new(environment, cause, source).after(ahead);
            let outcome = attempt(part, &mut work).await;
            source = Source::Log;
            if work.is_to_be_decided_again(&outcome) {
                self.ahead = work.abandon();
                continue;
            }
            let value = match outcome {
                Ok(value) => value,
                Err(error) => {
                    self.ahead = work.abandon();
                    self.decided.push(Err(error));
                    return true;
                }
            };
            let bytes = self.bytes + work.bytes();
            if bytes > MOST_BYTES && !self.changes.is_empty() {
                self.ahead = work.abandon();
                return false;
            }
            self.bytes = bytes;
            self.assumes |= work.assumes();
            let (changes, ahead) = work.finish();
            self.ahead = ahead;
            let places = changes.into_iter().map(|change| self.changes.add(change)).collect();
            self.decided.push(Ok(Decided { value, places }));
            return true;
        }
    }
}

/// The changes of several units, one per stream.
#[derive(Default)]
struct Merged {
    /// Each with the number of the last change that was added to it.
    changes: HashMap<StreamName, (usize, Change)>,
    added: usize,
}

impl Merged {
    fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds a unit's events after those of other units for the same stream.
    fn add(&mut self, change: Change) -> SharedPlace {
        self.added += 1;
        let stream = change.request.stream.clone();
        let events = match self.changes.get_mut(&stream) {
            Some((number, known)) => {
                *number = self.added;
                known.request.events.extend(change.request.events);
                known.remember = change.remember;
                known.request.events.len()
            }
            None => {
                let events = change.request.events.len();
                self.changes.insert(stream.clone(), (self.added, change));
                events
            }
        };
        SharedPlace { stream, events }
    }

    /// Appends the changes in the order of their last events: a stream of one unit comes before the
    /// stream that all units share.
    async fn append(
        self,
        environment: &Environment,
        incarnation: u64,
    ) -> Result<Appends, AppendError> {
        let mut changes: Vec<_> = self.changes.into_values().collect();
        changes.sort_unstable_by_key(|(number, _)| *number);
        let changes: Vec<Change> = changes.into_iter().map(|(_, change)| change).collect();
        let requests: Vec<_> =
            changes.iter().map(|change| (change.last(), change.request.events.len())).collect();
        let appended = append(environment, incarnation, changes).await?;
        let appends = requests.into_iter().zip(appended);
        let appends = appends.map(|(((stream, event_id), events), one)| {
            (stream.clone(), (events, Part { stream, appended: one, event_id }))
        });
        Ok(Appends(appends.collect()))
    }
}

/// The result per stream: number of events, and place of the last one.
struct Appends(HashMap<StreamName, (usize, Part)>);

impl Appends {
    fn iter(&self) -> impl Iterator<Item = &Appended> {
        self.0.values().map(|(_, part)| &part.appended)
    }
}

/// Returns the result of one unit.
fn committed(places: &[SharedPlace], appends: &Appends) -> Committed {
    let of_it = places.iter().filter_map(|place| {
        let (events, last) = appends.0.get(&place.stream)?;
        let after = (events - place.events) as u64;
        let revision = last.appended.revision - after;
        Some(Part { appended: Appended { revision, ..last.appended }, ..last.clone() })
    });
    of_it.collect()
}

/// Gives the same error to every part, including those that recorded nothing: their decision may
/// depend on events that were not appended.
fn all<T, R: std::error::Error>(
    decided: &[Result<Decided<T>, ExecuteError<R>>],
    error: impl Fn() -> ExecuteError<R>,
) -> Vec<SharedOutcome<T, R>> {
    decided.iter().map(|_| Err(error())).collect()
}

/// An append error without details of the append, shared by all its parts.
enum Told {
    Overloaded,
    Unavailable(SharedError),
    OutcomeUnknown(SharedError),
}

impl Told {
    fn of(error: AppendError) -> Option<Self> {
        match error {
            AppendError::Overloaded => Some(Self::Overloaded),
            AppendError::Unavailable(source) => Some(Self::Unavailable(SharedError(source.into()))),
            AppendError::OutcomeUnknown(source) => {
                Some(Self::OutcomeUnknown(SharedError(source.into())))
            }
            _ => None,
        }
    }

    fn error(&self) -> AppendError {
        match self {
            Self::Overloaded => AppendError::Overloaded,
            Self::Unavailable(source) => AppendError::Unavailable(source.boxed()),
            Self::OutcomeUnknown(source) => AppendError::OutcomeUnknown(source.boxed()),
        }
    }
}

/// An error that several parts share.
#[derive(Debug, Clone)]
struct SharedError(Arc<dyn std::error::Error + Send + Sync>);

impl SharedError {
    fn boxed(&self) -> BoxError {
        Box::new(self.clone())
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
