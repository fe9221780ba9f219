//! Events as clients send them.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::codec;
use kernel::event::{ContentType, Foreign, Metadata, NewEvent, StreamName};
use kernel::planning::MAX_EVENT_BYTES;
use kernel::shared_text::SharedText;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::accounts::Caller;
use crate::endpoint::{Endpoint, MOST_APPENDED_BYTES, MOST_APPENDED_EVENTS};
use crate::identifiers::read_uuid;
use crate::lifecycle::{METADATA, TOMBSTONE};
use crate::ownership::Owner;
use crate::protocol::shared;
use crate::protocol::streams::{append_req, batch_append_req};
use crate::refusal::Refusal;

/// The origin recorded with events from outside.
pub(crate) const ORIGIN: &str = "wire";
pub(crate) const JSON: &str = "application/json";
pub(crate) const BINARY: &str = "application/octet-stream";

/// An event as a client sent it. It shares no memory with the message in which it came, so that the
/// counted bytes are the bytes that stay in memory.
#[derive(Debug)]
pub(crate) struct Proposed {
    id: Uuid,
    event_type: SharedText,
    content_type: ContentType,
    metadata: Vec<u8>,
    data: Vec<u8>,
}

impl TryFrom<append_req::ProposedMessage> for Proposed {
    type Error = Refusal;

    fn try_from(message: append_req::ProposedMessage) -> Result<Self, Refusal> {
        let append_req::ProposedMessage { id, metadata, custom_metadata, data } = message;
        Self::new(id, &metadata, &custom_metadata, &data)
    }
}

impl TryFrom<batch_append_req::ProposedMessage> for Proposed {
    type Error = Refusal;

    fn try_from(message: batch_append_req::ProposedMessage) -> Result<Self, Refusal> {
        let batch_append_req::ProposedMessage { id, metadata, custom_metadata, data } = message;
        Self::new(id, &metadata, &custom_metadata, &data)
    }
}

impl Proposed {
    /// Keeps only the two known members of `system`.
    fn new(
        id: Option<shared::Uuid>,
        system: &HashMap<String, String>,
        metadata: &[u8],
        data: &[u8],
    ) -> Result<Self, Refusal> {
        let id = read_uuid(id, "an event")?;
        let event_type = system
            .get("type")
            .filter(|name| !name.is_empty())
            .ok_or_else(|| Refusal::Invalid(format!("event {id} has no type")))?;
        must_be_plain(id, event_type)?;
        let content_type = match system.get("content-type").map(String::as_str) {
            Some(JSON) => ContentType::Json,
            _ => ContentType::Binary,
        };
        let event_type = event_type.as_str().into();
        Ok(Self { id, event_type, content_type, metadata: metadata.to_vec(), data: data.to_vec() })
    }

    fn size(&self) -> usize {
        self.event_type.len() + self.metadata.len() + self.data.len()
    }
}

/// The events of one append, collected until all have arrived.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    events: Vec<Proposed>,
    bytes: usize,
}

impl Gathered {
    /// Adds an event; refuses more than one append may have.
    pub(crate) fn add(&mut self, event: Proposed) -> Result<(), Refusal> {
        let size = event.size();
        if size > MAX_EVENT_BYTES {
            let what = format!("event {} has {size} bytes", event.id);
            return Err(Refusal::TooLarge { what, limit: MAX_EVENT_BYTES });
        }
        self.bytes += size;
        if self.bytes > MOST_APPENDED_BYTES {
            let what = "the append is too large".to_owned();
            return Err(Refusal::TooLarge { what, limit: MOST_APPENDED_BYTES });
        }
        if self.events.len() == MOST_APPENDED_EVENTS {
            return Err(Refusal::Invalid(format!(
                "an append has at most {MOST_APPENDED_EVENTS} events: send the others in a later append"
            )));
        }
        self.events.push(event);
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the events as a caller writes them to a stream.
    pub(crate) fn into_events(
        self,
        endpoint: &Endpoint,
        stream: &StreamName,
        caller: &Caller,
    ) -> Result<Vec<NewEvent>, Refusal> {
        let (module, is_metadata) = match endpoint.ownership.of(stream) {
            Owner::Module(module) => (Some(module), false),
            Owner::Metadata(_) => (None, true),
            Owner::System | Owner::Free => (None, false),
        };
        let now = endpoint.clock.now();
        let writer = Writer { endpoint, module, is_metadata, caller, now };
        self.events.into_iter().map(|event| writer.event(event)).collect()
    }
}

/// The writer of a stream, with the time.
struct Writer<'a> {
    endpoint: &'a Endpoint,
    /// The module that owns the stream.
    module: Option<&'a str>,
    /// Whether the stream holds the metadata of another one.
    is_metadata: bool,
    caller: &'a Caller,
    now: DateTime<Utc>,
}

impl Writer<'_> {
    fn event(&self, proposed: Proposed) -> Result<NewEvent, Refusal> {
        let Proposed { id, event_type, content_type, metadata, data } = proposed;
        let module_of_event = self.endpoint.ownership.module_of_event(&event_type);
        if let Some(module) = module_of_event.filter(|module| self.module != Some(*module)) {
            // Modules trust the events of other modules by their type.
            return Err(Refusal::Forbidden(format!(
                "{event_type} is an event of the module {module}: only that module may write it, to its own streams"
            )));
        }
        if !self.is_metadata && [METADATA, TOMBSTONE].contains(&&*event_type) {
            return Err(Refusal::Invalid(format!(
                "{event_type} is reserved: write metadata to $$<stream>, and use the call Tombstone to end a stream"
            )));
        }
        let known = KnownMetadata::of(&metadata);
        if self.module.is_some() {
            if content_type != ContentType::Json || module_of_event.is_none() {
                return Err(Refusal::Invalid(format!(
                    "event {id} cannot be written to a module's stream: only JSON events of that module can"
                )));
            }
            must_be_readable(id, &event_type, &data)?;
            let metadata = self.metadata_of_module(id, &known);
            must_be_plain_metadata(id, &metadata)?;
            return Ok(NewEvent { id, event_type, data, metadata, foreign: None });
        }
        let described = Metadata {
            correlation_id: uuid(known.correlation_id).unwrap_or(id),
            causation_id: uuid(known.causation_id),
            traceparent: None,
            actor: self.caller.name.clone(),
            origin_system: ORIGIN.into(),
            occurred_at: self.now,
        };
        let foreign = Some(Arc::new(Foreign { content_type, metadata }));
        Ok(NewEvent { id, event_type, data, metadata: described, foreign })
    }

    /// Takes the metadata that a remote module sends; other fields are those of any other writer.
    fn metadata_of_module(&self, id: Uuid, known: &KnownMetadata<'_>) -> Metadata {
        let occurred_at = text(known.occurred_at).and_then(|time| time.parse().ok());
        Metadata {
            correlation_id: uuid(known.correlation_id).unwrap_or(id),
            causation_id: uuid(known.causation_id),
            traceparent: text(known.traceparent),
            actor: text(known.actor).map_or_else(|| self.caller.name.clone(), SharedText::from),
            origin_system: text(known.origin_system)
                .map_or_else(|| ORIGIN.into(), SharedText::from),
            occurred_at: occurred_at.unwrap_or(self.now),
        }
    }
}

/// Refuses a name that not every database can store, or that a terminal should not print.
pub(crate) fn must_be_plain(event_id: Uuid, text: &str) -> Result<(), Refusal> {
    if text.chars().any(char::is_control) {
        let problem = format!("the names in event {event_id} must not contain control characters");
        return Err(Refusal::Invalid(problem));
    }
    Ok(())
}

/// Refuses a module's event that its readers could not read.
pub(crate) fn must_be_readable(id: Uuid, event_type: &str, data: &[u8]) -> Result<(), Refusal> {
    codec::must_be_readable(event_type, data).map_err(|_| {
        Refusal::Invalid(format!(
            "the data of event {id} must be a JSON object, nested less than 128 levels deep, with its sealed values unchanged"
        ))
    })
}

/// [`must_be_plain`] for the names in the metadata of a module's event.
pub(crate) fn must_be_plain_metadata(event_id: Uuid, metadata: &Metadata) -> Result<(), Refusal> {
    let traceparent = metadata.traceparent.as_deref().unwrap_or_default();
    [&*metadata.actor, &*metadata.origin_system, traceparent]
        .iter()
        .try_for_each(|text| must_be_plain(event_id, text))
}

fn text(value: Member<'_>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

fn uuid(value: Member<'_>) -> Option<Uuid> {
    serde_json::from_str(value?.get()).ok()
}

/// A raw member: it is read only if it is a string, and then only of one form.
type Member<'a> = Option<&'a RawValue>;

/// The metadata of an event that this server understands, by EventStoreDB's names and ours.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KnownMetadata<'a> {
    #[serde(rename = "$correlationId", borrow)]
    correlation_id: Member<'a>,
    #[serde(rename = "$causationId", borrow)]
    causation_id: Member<'a>,
    #[serde(borrow)]
    traceparent: Member<'a>,
    #[serde(borrow)]
    actor: Member<'a>,
    #[serde(borrow)]
    origin_system: Member<'a>,
    #[serde(borrow)]
    occurred_at: Member<'a>,
}

impl<'a> KnownMetadata<'a> {
    /// Reads metadata, which may be any bytes; other data than a JSON object yields no members.
    fn of(metadata: &'a [u8]) -> Self {
        serde_json::from_slice(metadata).unwrap_or_default()
    }
}
