//! Events as clients send them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kernel::event::{ContentType, Foreign, Metadata, NewEvent, StreamName};
use kernel::shared_text::SharedText;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::accounts::Caller;
use crate::endpoint::{Endpoint, MOST_APPENDED_BYTES, MOST_APPENDED_EVENTS};
use crate::identifiers::read_uuid;
use crate::ownership::Owner;
use crate::protocol::shared;
use crate::protocol::streams::{append_req, batch_append_req};
use crate::refusal::Refusal;

/// Where events from outside say they come from.
pub(crate) const ORIGIN: &str = "wire";
pub(crate) const JSON: &str = "application/json";
pub(crate) const BINARY: &str = "application/octet-stream";

/// An event as a client sent it.
#[derive(Debug)]
pub(crate) struct Proposed {
    id: Option<shared::Uuid>,
    /// `type` and `content-type`.
    system: HashMap<String, String>,
    metadata: Bytes,
    data: Bytes,
}

impl From<append_req::ProposedMessage> for Proposed {
    fn from(message: append_req::ProposedMessage) -> Self {
        let append_req::ProposedMessage { id, metadata, custom_metadata, data } = message;
        Self { id, system: metadata, metadata: custom_metadata, data }
    }
}

impl From<batch_append_req::ProposedMessage> for Proposed {
    fn from(message: batch_append_req::ProposedMessage) -> Self {
        let batch_append_req::ProposedMessage { id, metadata, custom_metadata, data } = message;
        Self { id, system: metadata, metadata: custom_metadata, data }
    }
}

impl Proposed {
    fn size(&self) -> usize {
        self.data.len() + self.metadata.len()
    }
}

/// The events of one append, gathered until they are all there.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    events: Vec<Proposed>,
    bytes: usize,
}

impl Gathered {
    /// Takes one more event; refuses what is more than one append may have.
    pub(crate) fn add(&mut self, event: Proposed) -> Result<(), Refusal> {
        self.bytes += event.size();
        if self.bytes > MOST_APPENDED_BYTES {
            let what = "the append has more bytes than one may have".to_owned();
            return Err(Refusal::TooLarge { what, limit: MOST_APPENDED_BYTES });
        }
        if self.events.len() == MOST_APPENDED_EVENTS {
            return Err(Refusal::Invalid(format!(
                "an append has at most {MOST_APPENDED_EVENTS} events: append the others after it"
            )));
        }
        self.events.push(event);
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events as a caller writes them to a stream.
    pub(crate) fn into_events(
        self,
        endpoint: &Endpoint,
        stream: &StreamName,
        caller: &Caller,
    ) -> Result<Vec<NewEvent>, Refusal> {
        let module = match endpoint.ownership.of(stream) {
            Owner::Module(module) => Some(module),
            _ => None,
        };
        let now = endpoint.clock.now();
        let writer = Writer { endpoint, module, caller, now };
        self.events.into_iter().map(|event| writer.event(event)).collect()
    }
}

/// Who writes which stream when.
struct Writer<'a> {
    endpoint: &'a Endpoint,
    /// The module whose stream it is.
    module: Option<&'a str>,
    caller: &'a Caller,
    now: DateTime<Utc>,
}

impl Writer<'_> {
    fn event(&self, proposed: Proposed) -> Result<NewEvent, Refusal> {
        let id = read_uuid(proposed.id, "an event")?;
        let event_type = proposed
            .system
            .get("type")
            .filter(|name| !name.is_empty())
            .ok_or_else(|| Refusal::Invalid(format!("event {id} needs a type")))?;
        must_be_plain(id, event_type)?;
        let content_type = match proposed.system.get("content-type").map(String::as_str) {
            Some(JSON) => ContentType::Json,
            _ => ContentType::Binary,
        };
        let module_of_event = self.endpoint.ownership.module_of_event(event_type);
        if let Some(module) = module_of_event.filter(|module| self.module != Some(*module)) {
            // Modules trust the events of others by their type.
            return Err(Refusal::Forbidden(format!(
                "{event_type} is an event of the module {module}, which writes it to streams of its own only"
            )));
        }
        let event_type = SharedText::from(event_type.as_str());
        let data = proposed.data.to_vec();
        let told = Told::of(&proposed.metadata);
        if self.module.is_some() {
            if content_type != ContentType::Json || module_of_event.is_none() {
                return Err(Refusal::Invalid(format!(
                    "event {id} of a module's stream must be an event of that module, in JSON"
                )));
            }
            let metadata = self.metadata_of_module(id, told);
            must_be_plain_metadata(id, &metadata)?;
            return Ok(NewEvent { id, event_type, data, metadata, foreign: None });
        }
        let metadata = Metadata {
            correlation_id: told.correlation_id.and_then(uuid).unwrap_or(id),
            causation_id: told.causation_id.and_then(uuid),
            traceparent: None,
            actor: self.caller.name.clone(),
            origin_system: ORIGIN.into(),
            occurred_at: self.now,
        };
        let foreign = Foreign { content_type, metadata: proposed.metadata.to_vec() };
        Ok(NewEvent { id, event_type, data, metadata, foreign: Some(Arc::new(foreign)) })
    }

    /// A module elsewhere tells what it knows; the rest is as it is for others.
    fn metadata_of_module(&self, id: Uuid, told: Told) -> Metadata {
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let occurred_at = text(told.occurred_at).and_then(|time| time.parse().ok());
        Metadata {
            correlation_id: told.correlation_id.and_then(uuid).unwrap_or(id),
            causation_id: told.causation_id.and_then(uuid),
            traceparent: text(told.traceparent),
            actor: text(told.actor).map_or_else(|| self.caller.name.clone(), SharedText::from),
            origin_system: text(told.origin_system).map_or_else(|| ORIGIN.into(), SharedText::from),
            occurred_at: occurred_at.unwrap_or(self.now),
        }
    }
}

/// Refuses a name that not every database can hold, or no terminal should show.
pub(crate) fn must_be_plain(event_id: Uuid, text: &str) -> Result<(), Refusal> {
    if text.chars().any(char::is_control) {
        let problem = format!("the names in event {event_id} must have no control characters");
        return Err(Refusal::Invalid(problem));
    }
    Ok(())
}

/// [`must_be_plain`] for the names in what travels with an event of a module.
pub(crate) fn must_be_plain_metadata(event_id: Uuid, metadata: &Metadata) -> Result<(), Refusal> {
    let traceparent = metadata.traceparent.as_deref().unwrap_or_default();
    [&*metadata.actor, &*metadata.origin_system, traceparent]
        .iter()
        .try_for_each(|text| must_be_plain(event_id, text))
}

fn uuid(value: Value) -> Option<Uuid> {
    value.as_str()?.parse().ok()
}

/// What the metadata of an event may tell, by EventStoreDB's names and ours.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    #[serde(rename = "$correlationId")]
    correlation_id: Option<Value>,
    #[serde(rename = "$causationId")]
    causation_id: Option<Value>,
    traceparent: Option<Value>,
    actor: Option<Value>,
    origin_system: Option<Value>,
    occurred_at: Option<Value>,
}

impl Told {
    /// Metadata may be any bytes: what is no JSON object tells nothing.
    fn of(metadata: &[u8]) -> Self {
        serde_json::from_slice(metadata).unwrap_or_default()
    }
}
