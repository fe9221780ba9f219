//! The trait of every aggregate: a pure decision and a pure evolution.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::codec::EventSet;
use super::snapshot::SnapshotRule;

/// The input of a decision besides the state: any other input would make it unrepeatable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The time of the decision.
    pub now: DateTime<Utc>,
}

/// An aggregate: how it decides and how it changes. Pure: no I/O, no clock, no randomness.
pub trait Decider: Send + Sync + 'static {
    /// The category of its streams: the part of the name before the dash.
    const CATEGORY: &'static str;
    /// The aggregate's id: a type of its own, so that a command never reaches an aggregate of
    /// another kind with the same form of id. [`Uuid`] if its streams are named differently.
    type Id: Copy + From<Uuid> + Into<Uuid> + Send + Sync + 'static;
    /// The aggregate's state at each stage of its life. The default means that it does not exist
    /// yet.
    type State: Default + Clone + std::fmt::Debug + Send + Sync + 'static;
    /// The aggregate's commands.
    type Command: Clone + std::fmt::Debug + Send + Sync + 'static;
    /// The aggregate's events.
    type Event: EventSet;
    /// The reasons for refusing a command, as named variants with a readable text.
    type Refusal: std::error::Error + Clone + PartialEq + Send + Sync + 'static;

    /// Decides a command. Returns no events if nothing has to change.
    fn decide(
        state: &Self::State,
        command: Self::Command,
        context: &Context,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Returns the state after an event. Never panics, never fails.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;

    /// Returns the snapshot rule, for streams that grow long. `None`: every load reads the stream
    /// from its beginning, which is best for short streams.
    fn snapshots() -> Option<SnapshotRule<Self::State>> {
        None
    }
}
