//! A checkpoint: a place in a log.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::event::{Position, RecordedEvent};
use crate::log::store::{EventStore, LogPage, ReadError};

/// How far a subscription has come in which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The log it was reading.
    pub log_id: Uuid,
    /// Everything up to here is done; 0 before the first event.
    pub position: Position,
    /// Id of the event there, where one was seen: a restored log has another one in its place.
    pub event_id: Option<Uuid>,
}

impl Checkpoint {
    /// Before the first event of a log.
    pub fn beginning(log_id: Uuid) -> Self {
        Self { log_id, position: 0, event_id: None }
    }

    /// The same after a page of its log was read.
    pub(crate) fn after(self, page: &LogPage) -> Self {
        if page.scanned_to == self.position {
            return self;
        }
        Self { position: page.scanned_to, event_id: page.scanned_id, ..self }
    }

    /// The same after an event of its log.
    pub(crate) fn past(self, event: &RecordedEvent) -> Self {
        Self { position: event.position, event_id: Some(event.id), ..self }
    }

    /// Whether it belongs to a log as that is now: after a restore another event may stand there,
    /// or none.
    pub async fn is_of(&self, log: &dyn EventStore) -> Result<bool, ReadError> {
        Ok(self.log_id == log.log_id() && log.event_id_at(self.position).await? == self.event_id)
    }
}
