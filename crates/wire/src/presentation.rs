//! The form in which clients receive events.

use chrono::{DateTime, Utc};
use kernel::codec::{Codec, CodecError};
use kernel::event::{ContentType, Metadata, Position, RecordedEvent, Revision, StreamName};
use kernel::keys::KeyError;
use serde::Serialize;

use crate::accounts::Caller;
use crate::encoded::{EventParts, recorded_event};
use crate::identifiers::{UuidForm, stream_identifier, timestamp};
use crate::proposed::{BINARY, JSON};
use crate::protocol::shared::AllStreamPosition;
use crate::protocol::streams::ReadResp;
use crate::protocol::streams::read_resp::read_event::Position as PositionOption;
use crate::protocol::streams::read_resp::{
    CaughtUp, Checkpoint, Content, Position as WirePosition, ReadEvent, StreamNotFound,
    SubscriptionConfirmation,
};
use crate::refusal::Refusal;

/// How one reader receives events.
#[derive(Clone)]
pub(crate) struct Presentation {
    uuids: UuidForm,
    /// Decrypts personal data, if the reader may read it.
    opening: Option<Codec>,
}

/// The metadata of modules' events.
#[derive(Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    recorded_at: DateTime<Utc>,
}

impl Presentation {
    /// Returns the presentation for a caller.
    pub(crate) fn new(uuids: UuidForm, caller: &Caller, codec: &Codec) -> Self {
        Self { uuids, opening: caller.reads_open().then(|| codec.clone()) }
    }

    /// Returns the response with an event.
    pub(crate) async fn event(&self, event: &RecordedEvent) -> Result<ReadResp, Refusal> {
        let uuids = self.uuids;
        let message = match (&event.foreign, &self.opening) {
            (Some(foreign), _) => {
                let content_type = match foreign.content_type {
                    ContentType::Json => JSON,
                    ContentType::Binary => BINARY,
                };
                let (metadata, data) = (&foreign.metadata, &event.data);
                recorded_event(event, &EventParts { uuids, content_type, metadata, data })
            }
            (None, opening) => {
                let opened = match opening {
                    Some(codec) => opened(event, codec).await?,
                    None => None,
                };
                let data = opened.as_deref().map_or(&*event.data, str::as_bytes);
                let metadata = &described(event)?;
                recorded_event(event, &EventParts { uuids, content_type: JSON, metadata, data })
            }
        };
        Ok(response(Content::Event(ReadEvent {
            event: message.into(),
            link: None,
            position: Some(PositionOption::CommitPosition(event.position)),
        })))
    }
}

/// Returns the data of a module's event, with the personal data that can still be decrypted. Returns
/// `None` if the codec did not write the data: the event is then returned as it is stored, so that one
/// such event, which no client can remove, does not block its readers.
async fn opened(event: &RecordedEvent, codec: &Codec) -> Result<Option<String>, Refusal> {
    match codec.opened_data(event).await {
        Ok(data) => Ok(Some(data.to_string())),
        Err(CodecError::Key(error @ KeyError::Unavailable(_))) => Err(error.into()),
        Err(error) => {
            tracing::warn!(
                position = event.position,
                event_type = %event.event_type,
                error = &error as &dyn std::error::Error,
                "cannot decrypt an event; returning it as it is stored"
            );
            Ok(None)
        }
    }
}

fn described(event: &RecordedEvent) -> Result<Vec<u8>, Refusal> {
    let described = Described { metadata: &event.metadata, recorded_at: event.recorded_at };
    let damaged = |error: serde_json::Error| Refusal::Damaged {
        position: event.position,
        source: error.into(),
    };
    serde_json::to_vec(&described).map_err(damaged)
}

fn response(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}

/// Returns the response for an absent stream.
pub(crate) fn stream_not_found(stream: &StreamName) -> ReadResp {
    let stream_identifier = Some(stream_identifier(stream));
    response(Content::StreamNotFound(StreamNotFound { stream_identifier }))
}

/// Returns the response that begins a subscription.
pub(crate) fn confirmation(subscription_id: String) -> ReadResp {
    response(Content::Confirmation(SubscriptionConfirmation { subscription_id }))
}

/// Returns the first revision of a stream.
pub(crate) fn first_stream_position(revision: Revision) -> ReadResp {
    response(Content::FirstStreamPosition(revision))
}

/// Returns the last revision of a stream.
pub(crate) fn last_stream_position(revision: Revision) -> ReadResp {
    response(Content::LastStreamPosition(revision))
}

/// Returns the last position of the log.
pub(crate) fn last_all_stream_position(position: Position) -> ReadResp {
    response(Content::LastAllStreamPosition(AllStreamPosition {
        commit_position: position,
        prepare_position: position,
    }))
}

/// Returns a checkpoint: every event up to the position was examined.
pub(crate) fn checkpoint(position: Position, now: DateTime<Utc>) -> ReadResp {
    response(Content::Checkpoint(Checkpoint {
        commit_position: position,
        prepare_position: position,
        timestamp: Some(timestamp(now)),
    }))
}

/// The progress of a subscription.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reached {
    /// The revision in its stream; `None` if the stream has no events.
    Stream(Option<Revision>),
    /// The position in the log; 0 if the log has no events.
    Log(Position),
}

/// Returns the response that separates existing events from live ones.
pub(crate) fn caught_up(reached: Reached, now: DateTime<Utc>) -> ReadResp {
    let (stream_revision, position) = match reached {
        Reached::Stream(revision) => {
            (revision.and_then(|revision| i64::try_from(revision).ok()), None)
        }
        Reached::Log(0) => (None, None),
        Reached::Log(position) => {
            let at = WirePosition { commit_position: position, prepare_position: position };
            (None, Some(at))
        }
    };
    response(Content::CaughtUp(CaughtUp {
        timestamp: Some(timestamp(now)),
        stream_revision,
        position,
    }))
}
