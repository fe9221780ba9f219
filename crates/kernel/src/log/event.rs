//! Events as the event store writes and reads them: names, metadata, revisions, positions.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::shared_text::SharedText;

/// Position of an event in the log of the whole store: starts at 1, without gaps, in commit order.
/// As the start of a read ("after this position"), 0 means the beginning of the log.
pub type Position = u64;

/// Revision of an event in its stream: starts at 0, without gaps.
pub type Revision = u64;

/// Maximum length of a stream name, in bytes.
pub const MAX_STREAM_NAME: usize = 250;

/// The name of a stream. Streams of modules are named `<category>-<id>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

/// The error for a text that is not a valid stream name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is not a stream name: expected 1 to {MAX_STREAM_NAME} bytes without control characters, {found}"
)]
pub struct InvalidStreamName {
    /// The given name, shortened.
    pub name: String,
    /// What makes the name invalid.
    pub found: String,
}

impl StreamName {
    /// Validates a name: 1 to [`MAX_STREAM_NAME`] bytes, no control characters.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidStreamName> {
        let name = name.as_ref();
        let found = if name.is_empty() {
            "found none".to_owned()
        } else if name.len() > MAX_STREAM_NAME {
            format!("found {} bytes", name.len())
        } else if name.chars().any(char::is_control) {
            "found a control character".to_owned()
        } else {
            return Ok(Self(name.into()));
        };
        let name = name.chars().take(80).flat_map(char::escape_debug).collect();
        Err(InvalidStreamName { name, found })
    }

    /// Returns the stream name of one aggregate: `<category>-<uuid>`.
    pub fn of(category: &'static str, id: impl Into<Uuid>) -> Self {
        Self(format!("{category}-{}", id.into()).into())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part before the first dash.
    pub fn category(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }

    /// Returns the aggregate's id if the part after the first dash is a UUID.
    pub fn id(&self) -> Option<Uuid> {
        let (_, id) = self.0.split_once('-')?;
        id.parse().ok()
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An event's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Correlation id: shared by all events of one causal chain (EventStoreDB's field name).
    #[serde(rename = "$correlationId")]
    pub correlation_id: Uuid,
    /// Causation id: the event that this one reacts to (EventStoreDB's field name).
    #[serde(rename = "$causationId", default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// W3C trace context of the request that started the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The actor that requested the change.
    pub actor: SharedText,
    /// The system in which the event happened: `bascule`, or the name of a legacy system.
    pub origin_system: SharedText,
    /// When the event happened in that system.
    pub occurred_at: DateTime<Utc>,
}

/// The content type of an event from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// JSON text, as declared by its writer.
    Json,
    /// Anything else.
    Binary,
}

/// The data that a client of another protocol sent with an event, stored unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The content type of the event's data.
    pub content_type: ContentType,
    /// The client's metadata: any bytes, JSON by convention.
    pub metadata: Vec<u8>,
}

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The event's id, unique within its stream: appending the same id again changes nothing.
    pub id: Uuid,
    /// `<module>.<Event>.v<N>`.
    pub event_type: SharedText,
    /// The event's data: JSON text with personal values sealed. For events from outside, `foreign`
    /// states the content type.
    pub data: Vec<u8>,
    /// The event's metadata.
    pub metadata: Metadata,
    /// Additional data of an event from outside; `None` for the events of modules.
    pub foreign: Option<Arc<Foreign>>,
}

impl NewEvent {
    /// Returns the size in bytes that counts against the store's limit.
    pub fn size(&self) -> usize {
        let foreign = self.foreign.as_ref().map_or(0, |foreign| foreign.metadata.len());
        self.data.len() + self.event_type.len() + foreign
    }

    /// Returns the recorded event that results from appending this one.
    pub fn recorded(
        self,
        position: Position,
        stream: StreamName,
        revision: Revision,
        recorded_at: DateTime<Utc>,
    ) -> RecordedEvent {
        RecordedEvent {
            position,
            stream,
            revision,
            id: self.id,
            event_type: self.event_type,
            data: self.data,
            metadata: self.metadata,
            foreign: self.foreign,
            recorded_at,
        }
    }
}

/// An event as recorded in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Position in the log.
    pub position: Position,
    /// The event's stream.
    pub stream: StreamName,
    /// Revision in the stream.
    pub revision: Revision,
    /// The event's id, unique within the stream.
    pub id: Uuid,
    /// `<module>.<Event>.v<N>`.
    pub event_type: SharedText,
    /// The event's data: JSON text with personal values sealed. For events from outside, `foreign`
    /// states the content type.
    pub data: Vec<u8>,
    /// The event's metadata.
    pub metadata: Metadata,
    /// Additional data of an event from outside; `None` for the events of modules.
    pub foreign: Option<Arc<Foreign>>,
    /// When the store recorded the event.
    pub recorded_at: DateTime<Utc>,
}

impl RecordedEvent {
    /// Returns the size in bytes of the event's variable parts.
    pub fn size(&self) -> usize {
        let foreign = self.foreign.as_ref().map_or(0, |foreign| foreign.metadata.len());
        self.data.len() + self.event_type.len() + foreign
    }
}

/// Returns the family of a versioned event type: the family of `orders.OrderPlaced.v2` is
/// `orders.OrderPlaced`. Returns `None` for a type without a version.
pub fn family(event_type: &str) -> Option<&str> {
    let unnumbered = event_type.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let family = unnumbered.strip_suffix(".v")?;
    (unnumbered.len() < event_type.len()).then_some(family)
}

/// Selects the events that a reader receives: all events, or those of some families.
///
/// The filter selects families, not *types*: a reader that knows version 1 of an event must receive
/// version 2 and report that it cannot read it, never skip it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    families: Option<BTreeSet<Cow<'static, str>>>,
}

impl EventFilter {
    /// Selects every event of the log.
    pub fn all() -> Self {
        Self { families: None }
    }

    /// Selects the events of the families of these types, in every version.
    pub fn families_of(types: impl IntoIterator<Item = &'static str>) -> Self {
        Self::families(types.into_iter().filter_map(family))
    }

    /// Selects the events of these families, such as `orders.OrderPlaced`.
    pub fn families<F: Into<Cow<'static, str>>>(families: impl IntoIterator<Item = F>) -> Self {
        Self { families: Some(families.into_iter().map(Into::into).collect()) }
    }

    /// Returns the selected families, `None` for all.
    pub fn wanted_families(&self) -> Option<&BTreeSet<Cow<'static, str>>> {
        self.families.as_ref()
    }

    /// Returns whether the filter selects an event of this type.
    pub fn matches(&self, event_type: &str) -> bool {
        self.families.as_ref().is_none_or(|families| {
            family(event_type).is_some_and(|family| families.contains(family))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_of_a_wanted_event_is_wanted() {
        let filter = EventFilter::families_of(["orders.OrderPlaced.v1"]);
        assert!(filter.matches("orders.OrderPlaced.v1"));
        assert!(filter.matches("orders.OrderPlaced.v12"));
        for other in ["orders.OrderPlaced", "orders.OrderPlaced.v", "orders.OrderPlacedX.v1", "v1"]
        {
            assert!(!filter.matches(other), "{other}");
        }
    }
}
