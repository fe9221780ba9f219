//! Events as clients are given them.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kernel::codec::Codec;
use kernel::event::{ContentType, Metadata, Position, RecordedEvent, Revision, StreamName};
use serde::Serialize;

use crate::accounts::Caller;
use crate::identifiers::{UuidForm, stream_identifier, ticks, timestamp, uuid};
use crate::proposed::{BINARY, JSON};
use crate::protocol::shared::AllStreamPosition;
use crate::protocol::streams::ReadResp;
use crate::protocol::streams::read_resp::read_event::{
    Position as PositionOption, RecordedEvent as ToldEvent,
};
use crate::protocol::streams::read_resp::{
    CaughtUp, Checkpoint, Content, Position as ToldPosition, ReadEvent, StreamNotFound,
    SubscriptionConfirmation,
};
use crate::refusal::Refusal;

/// How one reader is given events.
#[derive(Clone)]
pub(crate) struct Presentation {
    uuids: UuidForm,
    /// Opens personal data, for a reader who may see it.
    opening: Option<Codec>,
}

/// What the events of modules carry as their metadata.
#[derive(Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    recorded_at: DateTime<Utc>,
}

impl Presentation {
    /// For a caller.
    pub(crate) fn new(uuids: UuidForm, caller: &Caller, codec: &Codec) -> Self {
        Self { uuids, opening: caller.reads_open().then(|| codec.clone()) }
    }

    /// An event.
    pub(crate) async fn event(&self, event: &RecordedEvent) -> Result<ReadResp, Refusal> {
        let (content_type, custom_metadata, data) = match &event.foreign {
            Some(foreign) => {
                let content_type = match foreign.content_type {
                    ContentType::Json => JSON,
                    ContentType::Binary => BINARY,
                };
                (content_type, Bytes::from(foreign.metadata.clone()), event.data.clone())
            }
            None => (JSON, described(event)?, self.data_of_module(event).await?),
        };
        let metadata = HashMap::from([
            ("type".to_owned(), event.event_type.to_string()),
            ("created".to_owned(), ticks(event.recorded_at).to_string()),
            ("content-type".to_owned(), content_type.to_owned()),
        ]);
        let told = ToldEvent {
            id: Some(uuid(event.id, self.uuids)),
            stream_identifier: Some(stream_identifier(&event.stream)),
            stream_revision: event.revision,
            prepare_position: event.position,
            commit_position: event.position,
            metadata,
            custom_metadata,
            data: data.into(),
        };
        Ok(response(Content::Event(ReadEvent {
            event: Some(told),
            link: None,
            position: Some(PositionOption::CommitPosition(event.position)),
        })))
    }

    async fn data_of_module(&self, event: &RecordedEvent) -> Result<Vec<u8>, Refusal> {
        let Some(codec) = &self.opening else { return Ok(event.data.clone()) };
        let unreadable = |error| Refusal::unreadable(event.position, error);
        let data = codec.opened_data(event).await.map_err(unreadable)?;
        Ok(data.to_string().into_bytes())
    }
}

fn described(event: &RecordedEvent) -> Result<Bytes, Refusal> {
    let described = Described { metadata: &event.metadata, recorded_at: event.recorded_at };
    let damaged = |error: serde_json::Error| Refusal::Damaged {
        position: event.position,
        source: error.into(),
    };
    serde_json::to_vec(&described).map(Bytes::from).map_err(damaged)
}

fn response(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}

/// There is no such stream.
pub(crate) fn stream_not_found(stream: &StreamName) -> ReadResp {
    let stream_identifier = Some(stream_identifier(stream));
    response(Content::StreamNotFound(StreamNotFound { stream_identifier }))
}

/// A subscription has begun.
pub(crate) fn confirmation(subscription_id: String) -> ReadResp {
    response(Content::Confirmation(SubscriptionConfirmation { subscription_id }))
}

/// The oldest event of a stream is there.
pub(crate) fn first_stream_position(revision: Revision) -> ReadResp {
    response(Content::FirstStreamPosition(revision))
}

/// The stream ended there.
pub(crate) fn last_stream_position(revision: Revision) -> ReadResp {
    response(Content::LastStreamPosition(revision))
}

/// The log ended there.
pub(crate) fn last_all_stream_position(position: Position) -> ReadResp {
    response(Content::LastAllStreamPosition(AllStreamPosition {
        commit_position: position,
        prepare_position: position,
    }))
}

/// Everything up to here was looked at.
pub(crate) fn checkpoint(position: Position, now: DateTime<Utc>) -> ReadResp {
    response(Content::Checkpoint(Checkpoint {
        commit_position: position,
        prepare_position: position,
        timestamp: Some(timestamp(now)),
    }))
}

/// How far a subscription is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reached {
    /// In its stream, if that has events.
    Stream(Option<Revision>),
    /// In the log, 0 if that has no events.
    Log(Position),
}

/// What follows is live.
pub(crate) fn caught_up(reached: Reached, now: DateTime<Utc>) -> ReadResp {
    let (stream_revision, position) = match reached {
        Reached::Stream(revision) => {
            (revision.and_then(|revision| i64::try_from(revision).ok()), None)
        }
        Reached::Log(0) => (None, None),
        Reached::Log(position) => {
            let told = ToldPosition { commit_position: position, prepare_position: position };
            (None, Some(told))
        }
    };
    response(Content::CaughtUp(CaughtUp {
        timestamp: Some(timestamp(now)),
        stream_revision,
        position,
    }))
}
