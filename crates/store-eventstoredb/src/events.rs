//! Conversion of events between the network and the kernel.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::event::{ContentType, Foreign, Metadata, NewEvent, RecordedEvent, StreamName};
use kernel::store::BoxError;
use serde_json::Value;
use uuid::Uuid;

use crate::service;

/// Returns an event to append in the service's form.
pub(crate) fn sent(event: NewEvent) -> service::NewEvent {
    let Metadata { correlation_id, causation_id, traceparent, actor, origin_system, occurred_at } =
        event.metadata;
    service::NewEvent {
        id: bytes(event.id),
        event_type: event.event_type.to_string(),
        data: event.data,
        metadata: Some(service::Metadata {
            correlation_id: bytes(correlation_id),
            causation_id: causation_id.map(bytes),
            traceparent,
            actor: actor.to_string(),
            origin_system: origin_system.to_string(),
            occurred_at: occurred_at.timestamp_micros(),
        }),
    }
}

/// Reads an event that the service returned.
pub(crate) fn found(recorded: service::RecordedEvent) -> Result<RecordedEvent, BoxError> {
    let event = recorded.event.ok_or("the response contains an event without its content")?;
    let metadata = event.metadata.ok_or("the response contains an event without metadata")?;
    Ok(RecordedEvent {
        position: recorded.position,
        stream: StreamName::new(&recorded.stream)?,
        revision: recorded.revision,
        id: Uuid::from_slice(&event.id)?,
        event_type: event.event_type.into(),
        data: event.data,
        metadata: Metadata {
            correlation_id: Uuid::from_slice(&metadata.correlation_id)?,
            causation_id: metadata.causation_id.as_deref().map(Uuid::from_slice).transpose()?,
            traceparent: metadata.traceparent,
            actor: metadata.actor.into(),
            origin_system: metadata.origin_system.into(),
            occurred_at: moment(metadata.occurred_at)?,
        },
        foreign: None,
        recorded_at: moment(recorded.recorded_at)?,
    })
}

fn moment(microseconds: i64) -> Result<DateTime<Utc>, BoxError> {
    DateTime::from_timestamp_micros(microseconds).ok_or_else(|| "a time out of range".into())
}

/// The member that stands next to the kernel's metadata in those of a module's event.
const RECORDED_AT: &str = "recorded_at";

/// Reads an event that EventStoreDB's client returned. If its metadata are in the kernel's form it is a
/// module's event; any other came from outside.
pub(crate) fn read(event: &eventstore::RecordedEvent) -> Result<RecordedEvent, BoxError> {
    let (metadata, foreign, recorded_at) = match of_a_module(event) {
        Some((metadata, recorded_at)) => (metadata, None, recorded_at),
        None => {
            let content_type = if event.is_json { ContentType::Json } else { ContentType::Binary };
            let foreign = Foreign { content_type, metadata: event.custom_metadata.to_vec() };
            (from_outside(event), Some(Arc::new(foreign)), event.created)
        }
    };
    Ok(RecordedEvent {
        position: event.position.commit,
        stream: StreamName::new(&event.stream_id)?,
        revision: event.revision,
        id: event.id,
        event_type: event.event_type.as_str().into(),
        data: event.data.to_vec(),
        metadata,
        foreign,
        recorded_at,
    })
}

fn of_a_module(event: &eventstore::RecordedEvent) -> Option<(Metadata, DateTime<Utc>)> {
    let mut value: Value = serde_json::from_slice(&event.custom_metadata).ok()?;
    let recorded_at = value.as_object_mut()?.remove(RECORDED_AT)?;
    let recorded_at = serde_json::from_value(recorded_at).ok()?;
    Some((serde_json::from_value(value).ok()?, recorded_at))
}

/// Returns the metadata that the remote side assigned to an event from outside, as far as they are
/// sent.
fn from_outside(event: &eventstore::RecordedEvent) -> Metadata {
    let members: Option<Value> = serde_json::from_slice(&event.custom_metadata).ok();
    let id = |name: &str| -> Option<Uuid> { members.as_ref()?.get(name)?.as_str()?.parse().ok() };
    Metadata {
        correlation_id: id("$correlationId").unwrap_or(event.id),
        causation_id: id("$causationId"),
        traceparent: None,
        actor: "outside".into(),
        origin_system: "wire".into(),
        occurred_at: event.created,
    }
}

pub(crate) fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}
