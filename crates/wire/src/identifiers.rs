//! Ids, names and times in the forms of the protocol.

use chrono::{DateTime, Utc};
use kernel::event::StreamName;
use uuid::Uuid;

use crate::protocol::shared;
use crate::refusal::Refusal;

/// The form of ids in responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UuidForm {
    Structured,
    Text,
}

/// Returns an id in the given form.
pub(crate) fn uuid(id: Uuid, form: UuidForm) -> shared::Uuid {
    use shared::uuid::{Structured, Value};
    let value = match form {
        UuidForm::Text => Value::String(id.to_string()),
        UuidForm::Structured => {
            let (most, least) = id.as_u64_pair();
            Value::Structured(Structured {
                most_significant_bits: most.cast_signed(),
                least_significant_bits: least.cast_signed(),
            })
        }
    };
    shared::Uuid { value: Some(value) }
}

/// Reads an id in either form; `what` says in an error whose id it is.
pub(crate) fn read_uuid(id: Option<shared::Uuid>, what: &str) -> Result<Uuid, Refusal> {
    use shared::uuid::Value;
    match id.and_then(|id| id.value) {
        Some(Value::Structured(halves)) => Ok(Uuid::from_u64_pair(
            halves.most_significant_bits.cast_unsigned(),
            halves.least_significant_bits.cast_unsigned(),
        )),
        Some(Value::String(text)) => {
            text.parse().map_err(|_| Refusal::Invalid(format!("the id of {what} must be a UUID")))
        }
        None => Err(Refusal::Invalid(format!("the id of {what} is missing"))),
    }
}

/// Reads a stream name.
pub(crate) fn read_stream(stream: Option<shared::StreamIdentifier>) -> Result<StreamName, Refusal> {
    let name = stream.map(|stream| stream.stream_name).unwrap_or_default();
    let name = std::str::from_utf8(&name)
        .map_err(|_| Refusal::Invalid("the name of a stream must be UTF-8".to_owned()))?;
    Ok(StreamName::new(name)?)
}

/// Returns a stream name for a response.
pub(crate) fn stream_identifier(stream: &StreamName) -> shared::StreamIdentifier {
    shared::StreamIdentifier { stream_name: stream.as_str().as_bytes().to_vec() }
}

/// Returns a time in ticks of 100 nanoseconds since 1970, the unit in which clients read `created`.
pub(crate) fn ticks(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros().saturating_mul(10)
}

/// Returns a time as Protocol Buffers encode it.
pub(crate) fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_both_forms() {
        let id: Uuid = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".parse().unwrap();
        for form in [UuidForm::Structured, UuidForm::Text] {
            assert_eq!(read_uuid(Some(uuid(id, form)), "an event").unwrap(), id);
        }
        let shared::uuid::Value::Structured(halves) = uuid(id, UuidForm::Structured).value.unwrap()
        else {
            panic!("not structured")
        };
        // Both halves are signed, and the first bit of this id is a one.
        assert_eq!(halves.most_significant_bits, 0xf81d_4fae_7dec_41d0_u64 as i64);
        assert_eq!(halves.least_significant_bits, 0xa765_00a0_c91e_6bf6_u64 as i64);
        let malformed = shared::Uuid { value: Some(shared::uuid::Value::String("7".into())) };
        for refused in [Some(malformed), Some(shared::Uuid { value: None }), None] {
            assert!(matches!(read_uuid(refused, "an event"), Err(Refusal::Invalid(_))));
        }
    }

    #[test]
    fn a_stream_has_a_name_in_utf8() {
        let named = |name: &[u8]| {
            read_stream(Some(shared::StreamIdentifier { stream_name: name.to_vec() }))
        };
        assert_eq!(named("größe-1".as_bytes()).unwrap().as_str(), "größe-1");
        for refused in [&[0xff_u8][..], b"", b"a\nb", &[b'a'; 251]] {
            assert!(matches!(named(refused), Err(Refusal::Invalid(_))));
        }
        assert!(read_stream(None).is_err());
    }

    #[test]
    fn ticks_are_tenths_of_microseconds_since_1970() {
        let time = DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap();
        assert_eq!(ticks(time), 17_000_000_000_000_010);
    }
}
