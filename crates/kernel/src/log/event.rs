//! Events as they are written to and read from a store: names, metadata, revisions, positions.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::shared_text::SharedText;

/// Place of an event in the log of the whole store: 1 for the first, dense, in commit order.
/// As "read from after here", 0 is the beginning.
pub type Position = u64;

/// Place of an event in its stream: 0 for the first, dense.
pub type Revision = u64;

/// Longest stream name, in bytes.
pub const MAX_STREAM_NAME: usize = 250;

/// The name of a stream: `<category>-<id>` for the streams of modules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

/// Why a text is not a stream name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is not a stream name: expected 1 to {MAX_STREAM_NAME} bytes without control characters, {found}"
)]
pub struct InvalidStreamName {
    /// The name as given, shortened.
    pub name: String,
    /// What was found instead.
    pub found: String,
}

impl StreamName {
    /// Checks a name: 1 to [`MAX_STREAM_NAME`] bytes, no control characters.
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

    /// The stream of one aggregate: `<category>-<uuid>`.
    pub fn of(category: &'static str, id: impl Into<Uuid>) -> Self {
        Self(format!("{category}-{}", id.into()).into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first dash.
    pub fn category(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }

    /// The aggregate's id, where the part after the first dash is a UUID.
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

/// What travels with an event besides its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// What the whole chain of events began with (EventStoreDB's name).
    #[serde(rename = "$correlationId")]
    pub correlation_id: Uuid,
    /// The event that this one reacts to (EventStoreDB's name).
    #[serde(rename = "$causationId", default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// W3C trace context of the request that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Who asked for it.
    pub actor: SharedText,
    /// The system in which it happened: `bascule`, or the name of a legacy system.
    pub origin_system: SharedText,
    /// When it happened there.
    pub occurred_at: DateTime<Utc>,
}

/// What the data of an event from outside is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// JSON text, or so its writer says.
    Json,
    /// Anything else.
    Binary,
}

/// What a client of another protocol sent along with an event, kept as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// What its data is.
    pub content_type: ContentType,
    /// Its own metadata: any bytes, JSON by convention.
    pub metadata: Vec<u8>,
}

/// An event to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Identifies the event within its stream: appending it again changes nothing.
    pub id: Uuid,
    /// `<module>.<Event>.v<N>`.
    pub event_type: SharedText,
    /// The event's data: JSON text, personal values sealed; what it is if it came from outside
    /// stands in `foreign`.
    pub data: Vec<u8>,
    /// What travels with it.
    pub metadata: Metadata,
    /// What came with it from outside; `None` for the events of modules.
    pub foreign: Option<Arc<Foreign>>,
}

impl NewEvent {
    /// Bytes that count against the store's size limit.
    pub fn size(&self) -> usize {
        let foreign = self.foreign.as_ref().map_or(0, |foreign| foreign.metadata.len());
        self.data.len() + self.event_type.len() + foreign
    }

    /// The event as it stands in the log once it was written there.
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

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Place in the log.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// Place in the stream.
    pub revision: Revision,
    /// Its id, unique within the stream.
    pub id: Uuid,
    /// `<module>.<Event>.v<N>`.
    pub event_type: SharedText,
    /// JSON text, personal values sealed; what it is if it came from outside stands in `foreign`.
    pub data: Vec<u8>,
    /// What travels with it.
    pub metadata: Metadata,
    /// What came with it from outside; `None` for the events of modules.
    pub foreign: Option<Arc<Foreign>>,
    /// When the store took it.
    pub recorded_at: DateTime<Utc>,
}

impl RecordedEvent {
    /// Bytes that it takes, but for what every event has.
    pub fn size(&self) -> usize {
        let foreign = self.foreign.as_ref().map_or(0, |foreign| foreign.metadata.len());
        self.data.len() + self.event_type.len() + foreign
    }
}

/// The family of a versioned event type: `orders.OrderPlaced.v2` is of `orders.OrderPlaced`. `None`
/// for a type that has no version.
pub fn family(event_type: &str) -> Option<&str> {
    let unnumbered = event_type.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let family = unnumbered.strip_suffix(".v")?;
    (unnumbered.len() < event_type.len()).then_some(family)
}

/// Which events a reader wants: all, or those of some families.
///
/// Not of some *types*: a reader that knows version 1 of an event must meet version 2 and say that
/// it does not know it, never skip it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    families: Option<BTreeSet<Cow<'static, str>>>,
}

impl EventFilter {
    /// Every event of the log.
    pub fn all() -> Self {
        Self { families: None }
    }

    /// The events of the families that these types are of, whatever their version.
    pub fn families_of(types: impl IntoIterator<Item = &'static str>) -> Self {
        Self::families(types.into_iter().filter_map(family))
    }

    /// The events of these families, such as `orders.OrderPlaced`.
    pub fn families<F: Into<Cow<'static, str>>>(families: impl IntoIterator<Item = F>) -> Self {
        Self { families: Some(families.into_iter().map(Into::into).collect()) }
    }

    /// The wanted families, `None` for all.
    pub fn wanted_families(&self) -> Option<&BTreeSet<Cow<'static, str>>> {
        self.families.as_ref()
    }

    /// Whether an event of this type is wanted.
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
