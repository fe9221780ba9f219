//! Several causes whose events are appended together: one commit for all that are pending, where one
//! of their aggregates is the same for all and would let only one at a time through.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::unit::{Ahead, Change, Committed, Part, Retries, Source, UnitOfWork, append};
use super::{Attempt, Cause, Environment, ExecuteError};
use crate::log::event::StreamName;
use crate::log::store::{AppendError, Appended, BoxError};

/// Most bytes of events in one append, unless one decision alone has more.
const MOST_BYTES: usize = 1024 * 1024;

/// What became of one of several causes.
pub type SharedOutcome<T, R> = Result<(T, Committed), ExecuteError<R>>;

impl Environment {
    /// Makes a decision for each of several causes, in order, and appends what they record in as few
    /// units as its size allows; each unit all or nothing. Every decision sees what those before it
    /// record. One outcome per cause.
    ///
    /// A decision that is refused or fails leaves the others alone, and so does one that the store
    /// does not take: its unit is then made again, each cause by itself. When another writer was
    /// faster, all of the unit are decided again. As with [`Self::in_unit`], a cause that was carried
    /// out before changes nothing.
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

    /// One unit over the first of the parts, as many as fit.
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
                // What was decided on memory was carried out meanwhile.
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

/// So many parts cannot be appended together: one of them is at fault.
struct NotShared {
    count: usize,
}

/// A part whose decision stands, and where its events are in what is appended.
struct Decided<T> {
    value: T,
    places: Vec<SharedPlace>,
}

/// Which request a stream's events went into, and how many of it are up to these.
struct SharedPlace {
    stream: StreamName,
    events: usize,
}

/// Parts that are decided one after the other, to be appended together.
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
    /// Decides on one more part; `false` when it does not fit any more.
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

/// Changes of several units, one per stream.
#[derive(Default)]
struct Merged {
    /// With the number of the last change that came into each.
    changes: HashMap<StreamName, (usize, Change)>,
    added: usize,
}

impl Merged {
    fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Puts a unit's events behind those that others have for the same stream.
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

    /// Appends them in the order of their last events: what is of one stream alone comes before what
    /// all have in common.
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

/// What was appended to each stream: how many events, and where the last of them is.
struct Appends(HashMap<StreamName, (usize, Part)>);

impl Appends {
    fn iter(&self) -> impl Iterator<Item = &Appended> {
        self.0.values().map(|(_, part)| &part.appended)
    }
}

/// What one unit appended.
fn committed(places: &[SharedPlace], appends: &Appends) -> Committed {
    let of_it = places.iter().filter_map(|place| {
        let (events, last) = appends.0.get(&place.stream)?;
        let after = (events - place.events) as u64;
        let revision = last.appended.revision - after;
        Some(Part { appended: Appended { revision, ..last.appended }, ..last.clone() })
    });
    of_it.collect()
}

/// What is told to everybody whose events were not appended: also of a decision that came to nothing,
/// which may rest on what those before it were to record.
fn all<T, R: std::error::Error>(
    decided: &[Result<Decided<T>, ExecuteError<R>>],
    error: impl Fn() -> ExecuteError<R>,
) -> Vec<SharedOutcome<T, R>> {
    decided.iter().map(|_| Err(error())).collect()
}

/// An append's failure that says nothing of what was to be appended, for everybody who shared it.
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

/// One error that several are told.
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
