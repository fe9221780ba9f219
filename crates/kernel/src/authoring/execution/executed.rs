//! What became of a command that was carried out.

use uuid::Uuid;

use crate::log::event::{Position, Revision};

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executed {
    /// The last revision of the aggregate's stream, `None` when it has no event.
    pub revision: Option<Revision>,
    /// Everything this command wrote is at or before this position.
    pub position: Position,
    /// Id of the event there, `None` when there is none.
    pub event_id: Option<Uuid>,
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
