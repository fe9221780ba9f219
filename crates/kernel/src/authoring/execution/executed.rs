//! The result of an executed command.

use uuid::Uuid;

use crate::log::event::{Position, Revision};

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executed {
    /// The last revision of the aggregate's stream, `None` if it has no event.
    pub revision: Option<Revision>,
    /// All events of this command are at or before this position.
    pub position: Position,
    /// Id of the event at that position, `None` if there is none.
    pub event_id: Option<Uuid>,
    /// Whether this execution recorded events.
    pub recorded: bool,
}

/// The result of a command with its recorded events.
#[derive(Debug, Clone)]
pub struct CarriedOut<E> {
    /// The result.
    pub executed: Executed,
    /// The events recorded now; empty if the command had already been executed.
    pub events: Vec<E>,
}
