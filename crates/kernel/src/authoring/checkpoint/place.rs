//! A checkpoint: a position in a log.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::event::{Position, RecordedEvent};
use crate::log::store::{EventStore, LogPage, ReadError};

/// The position that a subscription has reached, and in which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The log that it reads.
    pub log_id: Uuid,
    /// All events up to here are completed; 0 before the first event.
    pub position: Position,
    /// Id of the event at the position if one was seen: a restored log holds another event there.
    pub event_id: Option<Uuid>,
}

impl Checkpoint {
    /// Returns the checkpoint before the first event of a log.
    pub fn beginning(log_id: Uuid) -> Self {
        Self { log_id, position: 0, event_id: None }
    }

    /// Returns the checkpoint after a page of its log.
    pub(crate) fn after(self, page: &LogPage) -> Self {
        if page.scanned_to == self.position {
            return self;
        }
        Self { position: page.scanned_to, event_id: page.scanned_id, ..self }
    }

    /// Returns the checkpoint after an event of its log.
    pub(crate) fn past(self, event: &RecordedEvent) -> Self {
        Self { position: event.position, event_id: Some(event.id), ..self }
    }

    /// Returns whether it belongs to the current state of a log: after a restore, its position may
    /// hold another event or none.
    pub async fn is_of(&self, log: &dyn EventStore) -> Result<bool, ReadError> {
        Ok(self.log_id == log.log_id() && log.event_id_at(self.position).await? == self.event_id)
    }
}
