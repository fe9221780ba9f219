//! Encoding of the message of an event, field by field.
//!
//! The code generated from the protocol needs a map of six strings for every event that is read. The
//! enclosing message takes the event as bytes, which is the same on the wire.

use kernel::event::RecordedEvent;
use prost::bytes::BufMut as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use uuid::fmt::Hyphenated;

use crate::identifiers::{UuidForm, ticks};

/// Bytes for the names and numbers of a message, in addition to the event's own content.
const USUAL_FRAME: usize = 192;

/// The parts of the message that are not fields of the event itself.
pub(crate) struct EventParts<'a> {
    pub(crate) uuids: UuidForm,
    pub(crate) content_type: &'a str,
    pub(crate) metadata: &'a [u8],
    pub(crate) data: &'a [u8],
}

/// Encodes `event_store.client.streams.ReadResp.ReadEvent.RecordedEvent`.
pub(crate) fn recorded_event(event: &RecordedEvent, parts: &EventParts<'_>) -> Vec<u8> {
    let stream = event.stream.as_str();
    let texts = stream.len() + event.event_type.len();
    let mut message =
        Fields(Vec::with_capacity(USUAL_FRAME + texts + parts.metadata.len() + parts.data.len()));
    message.id(event.id, parts.uuids);
    message.nested(2, bytes_length(stream.len()));
    message.bytes(3, stream.as_bytes());
    message.number(3, event.revision);
    message.number(4, event.position);
    message.number(5, event.position);
    let created = ticks(event.recorded_at).to_string();
    let metadata =
        [("type", &*event.event_type), ("created", &created), ("content-type", parts.content_type)];
    for (name, value) in metadata {
        message.nested(6, bytes_length(name.len()) + bytes_length(value.len()));
        message.bytes(1, name.as_bytes());
        message.bytes(2, value.as_bytes());
    }
    message.bytes(7, parts.metadata);
    message.bytes(8, parts.data);
    message.0
}

/// The fields of a message. Every tag, with its wire type, fits into one byte.
struct Fields(Vec<u8>);

impl Fields {
    fn number(&mut self, tag: u32, number: u64) {
        encode_key(tag, WireType::Varint, &mut self.0);
        encode_varint(number, &mut self.0);
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        self.nested(tag, bytes.len());
        self.0.put_slice(bytes);
    }

    /// Begins a nested message of this length in bytes.
    fn nested(&mut self, tag: u32, length: usize) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(length as u64, &mut self.0);
    }

    fn id(&mut self, id: uuid::Uuid, form: UuidForm) {
        match form {
            UuidForm::Text => {
                let mut text = [0; Hyphenated::LENGTH];
                let text = id.hyphenated().encode_lower(&mut text);
                self.nested(1, bytes_length(text.len()));
                self.bytes(2, text.as_bytes());
            }
            UuidForm::Structured => {
                let (most, least) = id.as_u64_pair();
                let halves = number_length(most) + number_length(least);
                self.nested(1, bytes_length(halves));
                self.nested(1, halves);
                self.number(1, most);
                self.number(2, least);
            }
        }
    }
}

/// Returns the length of a field of bytes, including its tag.
fn bytes_length(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

/// Returns the length of a numeric field, including its tag.
fn number_length(number: u64) -> usize {
    1 + encoded_len_varint(number)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chrono::{DateTime, Utc};
    use kernel::event::{Metadata, StreamName};
    use prost::Message as _;
    use uuid::Uuid;

    use super::*;
    use crate::identifiers::{stream_identifier, uuid};
    use crate::protocol::streams::read_resp::read_event;

    /// The same message as the generated code encodes it.
    fn generated(event: &RecordedEvent, parts: &EventParts<'_>) -> read_event::RecordedEvent {
        let metadata = [
            ("type", event.event_type.to_string()),
            ("created", ticks(event.recorded_at).to_string()),
            ("content-type", parts.content_type.to_owned()),
        ];
        read_event::RecordedEvent {
            id: Some(uuid(event.id, parts.uuids)),
            stream_identifier: Some(stream_identifier(&event.stream)),
            stream_revision: event.revision,
            prepare_position: event.position,
            commit_position: event.position,
            metadata: HashMap::from(metadata.map(|(name, value)| (name.to_owned(), value))),
            custom_metadata: parts.metadata.to_vec().into(),
            data: parts.data.to_vec().into(),
        }
    }

    #[test]
    fn it_is_the_message_of_the_protocol() {
        let at = |time: &str| time.parse::<DateTime<Utc>>().unwrap();
        let ids = ["f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "00000000-0000-0000-0000-000000000000"];
        let numbers = [(1, 0), (127, 128), (u64::MAX, i64::MAX as u64)];
        for (position, revision) in numbers {
            for (id, uuids) in ids.into_iter().zip([UuidForm::Text, UuidForm::Structured]) {
                for size in [0, 1, 127, 128, 20_000] {
                    let event = RecordedEvent {
                        position,
                        revision,
                        stream: StreamName::new("größe-1").unwrap(),
                        id: id.parse::<Uuid>().unwrap(),
                        event_type: "x".repeat(size).as_str().into(),
                        data: Vec::new(),
                        metadata: Metadata {
                            correlation_id: Uuid::nil(),
                            causation_id: None,
                            traceparent: None,
                            actor: "somebody".into(),
                            origin_system: "wire".into(),
                            occurred_at: at("2026-01-02T03:04:05Z"),
                        },
                        foreign: None,
                        recorded_at: at("2026-01-02T03:04:05.678Z"),
                    };
                    let (data, metadata) = (vec![b'd'; size], vec![b'm'; size]);
                    let content_type = "application/json";
                    let parts =
                        EventParts { uuids, content_type, metadata: &metadata, data: &data };
                    let written = recorded_event(&event, &parts);
                    let read = read_event::RecordedEvent::decode(&*written).unwrap();
                    assert_eq!(read, generated(&event, &parts));
                }
            }
        }
    }
}
