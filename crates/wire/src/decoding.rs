//! Decoding of messages: refuses malformed messages as client errors, and messages that would take many
//! times more memory than they have bytes before they are decoded.

use std::marker::PhantomData;

use prost::bytes::Buf as _;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost::{Message, Name};
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic::{Code, Status};
use tonic_prost::ProstEncoder;

/// Maximum number of fields of a message, including those of nested messages that may be numerous: more
/// than ten thousand events have.
const MOST_FIELDS: usize = 150_000;

/// The codec of a call: sends `T`, receives `U`.
#[derive(Debug, Clone)]
pub(crate) struct Messages<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Messages<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Messages<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Careful<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        Careful(PhantomData)
    }
}

/// Decodes one type of message.
#[derive(Debug)]
pub(crate) struct Careful<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for Careful<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The message lies in one contiguous buffer; if it did not, the count would refuse it.
        let mut fields = 0;
        count(buffer.chunk(), nested(U::NAME), &mut fields).map_err(refused)?;
        U::decode(buffer).map(Some).map_err(refused)
    }
}

/// INTERNAL, the usual code for this, would make clients look for another node.
fn refused(error: impl std::fmt::Display) -> Status {
    Status::new(Code::InvalidArgument, format!("the message cannot be decoded: {error}"))
}

/// The fields of a message that are themselves messages and may be numerous.
#[derive(Debug)]
struct Nested(&'static [(u32, Nested)]);

const LEAF: Nested = Nested(&[]);

/// Returns those of the large messages; the size of the others is bounded by their bytes.
fn nested(message: &str) -> &'static Nested {
    match message {
        "AppendReq" => &Nested(&[(2, LEAF)]),
        "BatchAppendReq" => &Nested(&[(3, LEAF)]),
        "AppendManyRequest" => &Nested(&[(1, Nested(&[(3, LEAF)]))]),
        _ => &LEAF,
    }
}

/// Why a message is not decoded.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("more than {MOST_FIELDS} fields")]
    TooMany,
    #[error("the message ends within a field")]
    CutOff,
    #[error(transparent)]
    Malformed(#[from] prost::DecodeError),
}

fn count(mut message: &[u8], nested: &Nested, fields: &mut usize) -> Result<(), Unreadable> {
    while !message.is_empty() {
        *fields += 1;
        if *fields > MOST_FIELDS {
            return Err(Unreadable::TooMany);
        }
        let (tag, wire_type) = decode_key(&mut message)?;
        let length = match wire_type {
            WireType::Varint => {
                decode_varint(&mut message)?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => {
                usize::try_from(decode_varint(&mut message)?).unwrap_or(usize::MAX)
            }
            // Groups are obsolete; the fields in one are counted as if they stood beside it.
            WireType::StartGroup | WireType::EndGroup => 0,
        };
        let (field, rest) = message.split_at_checked(length).ok_or(Unreadable::CutOff)?;
        if let Some((_, within)) = nested.0.iter().find(|(known, _)| *known == tag) {
            count(field, within, fields)?;
        }
        message = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::store::append_many_request::StreamAppend;
    use crate::protocol::store::{AppendManyRequest, NewEvent};
    use crate::protocol::streams::batch_append_req::ProposedMessage;
    use crate::protocol::streams::{BatchAppendReq, ReadReq};

    fn counted<M: Message + Name>(message: &M) -> Result<usize, Unreadable> {
        let mut fields = 0;
        count(&message.encode_to_vec(), nested(M::NAME), &mut fields).map(|()| fields)
    }

    #[test]
    fn as_many_events_as_an_append_may_have_are_read() {
        let metadata = ["type", "content-type"].map(|name| (name.to_owned(), "x".to_owned()));
        let event = ProposedMessage {
            id: Some(crate::identifiers::uuid(
                kernel::seams::new_id(),
                crate::identifiers::UuidForm::Structured,
            )),
            metadata: metadata.into(),
            custom_metadata: b"{}".to_vec().into(),
            data: b"{}".to_vec().into(),
        };
        let proposed_messages = vec![event; crate::endpoint::MOST_APPENDED_EVENTS];
        let message = BatchAppendReq { proposed_messages, ..Default::default() };
        assert_eq!(counted(&message).unwrap(), 60_000);
    }

    #[test]
    fn what_would_take_much_more_memory_than_it_has_bytes_is_refused() {
        let many = MOST_FIELDS + 1;
        let proposed_messages = vec![ProposedMessage::default(); many];
        let message = BatchAppendReq { proposed_messages, ..Default::default() };
        assert!(matches!(counted(&message), Err(Unreadable::TooMany)));
        // Entries of the map, in one event.
        let metadata = (0..many).map(|number| (number.to_string(), String::new())).collect();
        let event = ProposedMessage { metadata, ..Default::default() };
        let message = BatchAppendReq { proposed_messages: vec![event], ..Default::default() };
        assert!(matches!(counted(&message), Err(Unreadable::TooMany)));
        let events = vec![NewEvent::default(); many];
        let appends = vec![StreamAppend { events, ..Default::default() }];
        assert!(matches!(
            counted(&AppendManyRequest { appends, remembered: None }),
            Err(Unreadable::TooMany)
        ));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for malformed in [&[0xff][..], &[0x0a, 0x05, 0x00], &[0x08], &[0x0d, 0x00]] {
            let mut fields = 0;
            assert!(count(malformed, nested(ReadReq::NAME), &mut fields).is_err(), "{malformed:?}");
        }
    }
}
