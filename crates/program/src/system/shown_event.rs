//! Events as operators see them, with personal data hidden.

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kernel::event::RecordedEvent;
use serde_json::{Value, json};

/// Returns an event as JSON without personal data.
pub fn without_personal_data(event: &RecordedEvent) -> anyhow::Result<Value> {
    Ok(described(event, hidden_data(event)?))
}

/// Returns the data of an event with personal data replaced by `"…"`.
pub fn hidden_data(event: &RecordedEvent) -> anyhow::Result<Value> {
    if event.foreign.is_some() {
        return Ok(text_or_base64(&event.data));
    }
    Ok(hidden(serde_json::from_slice(&event.data).context("an event's data is damaged")?))
}

/// Returns the data of an external client: JSON unchanged, other bytes in base64.
fn text_or_base64(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| json!({ "$base64": BASE64_STANDARD.encode(bytes) }))
}

/// Returns an event with this data as JSON.
pub fn described(event: &RecordedEvent, data: Value) -> Value {
    let mut described = json!({
        "position": event.position,
        "stream": event.stream.as_str(),
        "revision": event.revision,
        "id": event.id,
        "type": event.event_type,
        "recorded_at": event.recorded_at,
        "metadata": event.metadata,
        "data": data,
    });
    if let Some(foreign) = &event.foreign {
        described["foreign_metadata"] = text_or_base64(&foreign.metadata);
    }
    described
}

/// Returns the data with personal data replaced by `"…"`.
fn hidden(data: Value) -> Value {
    match data {
        Value::Object(object) if object.contains_key(event_contract::SEALED_MEMBER) => {
            Value::from("…")
        }
        Value::Object(object) => {
            object.into_iter().map(|(name, value)| (name, hidden(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(hidden).collect(),
        other => other,
    }
}
