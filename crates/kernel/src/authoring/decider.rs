//! The shape of every aggregate: a pure decision and a pure evolution.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::codec::EventSet;
use super::snapshot::SnapshotRule;

/// What a decision may know besides the state: everything else would make it unrepeatable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The time of the decision.
    pub now: DateTime<Utc>,
}

/// An aggregate: how it decides and how it changes. Pure: no I/O, no clock, no randomness.
pub trait Decider: Send + Sync + 'static {
    /// First part of its streams' names, before the dash.
    const CATEGORY: &'static str;
    /// What identifies the aggregate: a type of its own, so that a command never reaches an aggregate of
    /// another kind that has the same sort of id. [`Uuid`] where its streams are named otherwise.
    type Id: Copy + From<Uuid> + Into<Uuid> + Send + Sync + 'static;
    /// What the aggregate is at each stage of its life. The default is "nothing yet".
    type State: Default + Clone + std::fmt::Debug + Send + Sync + 'static;
    /// What can be asked of it.
    type Command: Clone + std::fmt::Debug + Send + Sync + 'static;
    /// What can happen to it.
    type Event: EventSet;
    /// Why it refuses, as named variants that a person understands.
    type Refusal: std::error::Error + Clone + PartialEq + Send + Sync + 'static;

    /// What happens when this is asked. No events: nothing needs to happen.
    fn decide(
        state: &Self::State,
        command: Self::Command,
        context: &Context,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// The state after an event. Never panics, never fails.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;

    /// How its state is kept beside the log, for a stream that grows long. `None`: every load
    /// reads the stream from its beginning, which is best while streams are short.
    fn snapshots() -> Option<SnapshotRule<Self::State>> {
        None
    }
}
