//! The cause of a command, and the event metadata derived from it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::log::event::{Metadata, RecordedEvent, StreamName};
use crate::log::seams::new_id;

/// The name of this system in `origin_system`.
pub const ORIGIN: &str = "bascule";

/// The cause of a change: the metadata that every resulting event carries.
///
/// One cause may command any number of aggregates, one after the other or in one unit, each of them
/// once: event ids derive from the cause and the aggregate, and a second command on the same
/// aggregate counts as a repetition of the first. To command one aggregate twice, use two causes
/// ([`Self::recognised_by`] with another name).
#[derive(Debug, Clone)]
pub struct Cause {
    /// The correlation id of the causal chain.
    pub correlation_id: Uuid,
    /// The event that is reacted to.
    pub causation_id: Option<Uuid>,
    /// The actor that requested the change.
    pub actor: String,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The system in which it happened.
    pub origin_system: String,
    /// When it happened in that system, if not now.
    pub occurred_at: Option<DateTime<Utc>>,
    event_ids: EventIds,
}

/// The source of ids of new events.
#[derive(Debug, Clone)]
enum EventIds {
    /// Random ids, for a request that cannot be recognised when it is repeated.
    Fresh,
    /// UUIDv5(seed, name/stream/index), with the stream of the commanded aggregate: the same cause
    /// always yields the same ids, so that the log itself recognises a repetition.
    Derived { seed: Uuid, name: String },
}

impl Cause {
    /// Creates the cause of an external request that cannot be recognised when repeated.
    pub fn request(correlation_id: Uuid, actor: impl Into<String>) -> Self {
        Self {
            correlation_id,
            causation_id: None,
            actor: actor.into(),
            traceparent: None,
            origin_system: ORIGIN.to_owned(),
            occurred_at: None,
            event_ids: EventIds::Fresh,
        }
    }

    /// Creates the cause of a subscription's reaction to an event.
    pub fn reaction(trigger: &RecordedEvent, subscription: &str) -> Self {
        Self {
            correlation_id: trigger.metadata.correlation_id,
            causation_id: Some(trigger.id),
            actor: subscription.to_owned(),
            traceparent: trigger.metadata.traceparent.clone(),
            origin_system: ORIGIN.to_owned(),
            occurred_at: None,
            event_ids: EventIds::Derived { seed: trigger.id, name: subscription.to_owned() },
        }
    }

    /// Returns the cause with event ids derived from `seed` and `name`, so that a repetition is
    /// recognised.
    pub fn recognised_by(mut self, seed: Uuid, name: impl Into<String>) -> Self {
        self.event_ids = EventIds::Derived { seed, name: name.into() };
        self
    }

    /// Returns the id of an event of a unit whose leading aggregate has the stream `leading`.
    pub(super) fn event_id(&self, leading: &StreamName, index: usize) -> Uuid {
        match &self.event_ids {
            EventIds::Fresh => new_id(),
            EventIds::Derived { seed, name } => {
                Uuid::new_v5(seed, format!("{name}/{leading}/{index}").as_bytes())
            }
        }
    }

    /// Returns the id of the first event if it is predictable.
    pub(super) fn first_event_id(&self, leading: &StreamName) -> Option<Uuid> {
        match &self.event_ids {
            EventIds::Fresh => None,
            EventIds::Derived { .. } => Some(self.event_id(leading, 0)),
        }
    }

    pub(super) fn metadata(&self, now: DateTime<Utc>) -> Metadata {
        Metadata {
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            traceparent: self.traceparent.clone(),
            actor: self.actor.as_str().into(),
            origin_system: self.origin_system.as_str().into(),
            occurred_at: self.occurred_at.unwrap_or(now),
        }
    }
}
