//! Executes `Sync…` commands, the same way for every aggregate: parse the state, decide, record, and
//! return the outcome.

use std::marker::PhantomData;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::indexed::LONGEST_KEY;
use super::{
    LegacyReport, LegacyState, SyncError, SyncOutcome, SyncRequest, SyncTarget, understand,
};
use crate::authoring::codec::CodecError;
use crate::authoring::decider::Decider;
use crate::authoring::execution::{Environment, ExecuteError, LoadError};
use crate::log::store::{AppendError, ReadError};

/// An aggregate that a legacy system may own: implemented by its module for [`LegacyEntrance`].
pub trait LegacyAggregate: Decider {
    /// The command's name, which a mapping refers to: `<module>.Sync<Aggregate>`.
    const COMMAND: &'static str;
    /// The state that a mapping's program returns.
    type Said: DeserializeOwned + JsonSchema + Send + Sync + 'static;

    /// Returns the command that compares the legacy state with ours.
    fn sync(report: LegacyReport<Self::Said>) -> Self::Command;

    /// Returns the changed field names if the event is a revision; `None` for every other event.
    fn changed(event: &Self::Event) -> Option<&[String]>;

    /// Classifies a refusal of the command.
    fn objection(refusal: &Self::Refusal) -> Objection;
}

/// The meaning of a refused `Sync…` command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// The legacy state no longer counts: bascule owns the aggregate.
    OwnedByBascule,
    /// The data subject was erased: no state is accepted any more.
    Erased,
    /// The state lacks required data of the aggregate: it belongs in quarantine.
    NotUnderstood,
    /// A refusal that should never happen for this command.
    Unforeseen,
}

/// A module's handler for the `Sync…` command of one kind of aggregate.
pub struct LegacyEntrance<D> {
    environment: Environment,
    _of: PhantomData<fn() -> D>,
}

impl<D: LegacyAggregate> LegacyEntrance<D> {
    /// Creates a handler in this environment.
    pub fn new(environment: Environment) -> Self {
        Self { environment, _of: PhantomData }
    }
}

#[async_trait]
impl<D: LegacyAggregate> SyncTarget for LegacyEntrance<D> {
    fn command(&self) -> &'static str {
        D::COMMAND
    }

    async fn sync(&self, request: SyncRequest) -> Result<SyncOutcome, SyncError> {
        let SyncRequest { id, legacy, state, cause } = request;
        if legacy.id.len() > LONGEST_KEY {
            let text = format!("the legacy's key is longer than {LONGEST_KEY} bytes");
            return Err(SyncError::Impossible(text));
        }
        let state = match state {
            LegacyState::Present(state) => LegacyState::Present(understand(&state)?),
            LegacyState::Absent { reason } => LegacyState::Absent { reason },
        };
        let command = D::sync(LegacyReport { id, legacy, state });
        let done = match self.environment.carry_out::<D>(id.into(), command, &cause, None).await {
            Ok(done) => done,
            Err(ExecuteError::Refused(refusal)) => {
                return match D::objection(&refusal) {
                    Objection::OwnedByBascule => Ok(SyncOutcome::Conflict),
                    Objection::Erased => Ok(SyncOutcome::Suppressed),
                    Objection::NotUnderstood => Err(SyncError::NotUnderstood(refusal.to_string())),
                    // The same command would be refused every time.
                    Objection::Unforeseen => Err(SyncError::Impossible(refusal.to_string())),
                };
            }
            Err(error) => return Err(never_recorded(error)),
        };
        Ok(match done.events.first() {
            Some(event) => D::changed(event)
                .map_or(SyncOutcome::Imported, |changed| SyncOutcome::Revised(changed.to_vec())),
            None if done.executed.revision.is_none() => SyncOutcome::Ignored,
            None => SyncOutcome::Unchanged,
        })
    }
}

/// Distinguishes permanent failures from temporary ones.
fn never_recorded<R: std::error::Error + Send + Sync + 'static>(
    error: ExecuteError<R>,
) -> SyncError {
    let why = match &error {
        ExecuteError::Append(AppendError::EventTooLarge { size, limit, .. }) => {
            format!("the event would have {size} bytes; the store's limit is {limit}")
        }
        ExecuteError::Append(AppendError::Invalid(why)) => {
            format!("the store rejects it: {why}")
        }
        ExecuteError::Load(LoadError::Read(ReadError::Damaged { position, .. })) => {
            format!("its event at position {position} is damaged")
        }
        ExecuteError::Load(LoadError::Codec(CodecError::Malformed { event_type, .. })) => {
            format!("the data of its {event_type} violates its contract")
        }
        _ => return SyncError::Failed(error.into()),
    };
    SyncError::Impossible(why)
}
