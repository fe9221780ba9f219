//! Why something happens, and what follows from it for the events it leads to.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ORIGIN;
use crate::event::{Metadata, RecordedEvent};
use crate::seams::new_id;

/// Why something happens: what every event that follows from it carries.
#[derive(Debug, Clone)]
pub struct Cause {
    /// What the whole chain of events began with.
    pub correlation_id: Uuid,
    /// The event reacted to.
    pub causation_id: Option<Uuid>,
    /// Who asked.
    pub actor: String,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The system in which it happened.
    pub origin_system: String,
    /// When it happened there, where that is not now.
    pub occurred_at: Option<DateTime<Utc>>,
    event_ids: EventIds,
}

/// Where the ids of new events come from.
#[derive(Debug, Clone)]
enum EventIds {
    /// New ones, for a request that cannot be recognised when it is repeated.
    Fresh,
    /// UUIDv5(seed, name/index): the same cause always yields the same ids, so that a repetition
    /// is recognised by the log itself.
    Derived { seed: Uuid, name: String },
}

impl Cause {
    /// A request from outside that cannot be recognised when repeated.
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

    /// A reaction of the named subscription to an event.
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

    /// The same cause, recognised when repeated: event ids derive from `seed` and `name`.
    pub fn recognised_by(mut self, seed: Uuid, name: impl Into<String>) -> Self {
        self.event_ids = EventIds::Derived { seed, name: name.into() };
        self
    }

    /// The same cause for one of several aggregates it touches: each has event ids of its own.
    pub fn about(mut self, aggregate: impl Into<Uuid>) -> Self {
        let aggregate = aggregate.into();
        if let EventIds::Derived { name, .. } = &mut self.event_ids {
            *name = format!("{name}/{aggregate}");
        }
        self
    }

    pub(super) fn event_id(&self, index: usize) -> Uuid {
        match &self.event_ids {
            EventIds::Fresh => new_id(),
            EventIds::Derived { seed, name } => {
                Uuid::new_v5(seed, format!("{name}/{index}").as_bytes())
            }
        }
    }

    /// The id the first event would have, when it can be told beforehand.
    pub(super) fn first_event_id(&self) -> Option<Uuid> {
        match &self.event_ids {
            EventIds::Fresh => None,
            EventIds::Derived { .. } => Some(self.event_id(0)),
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
