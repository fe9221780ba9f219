//! Appends to one stream, which may have been deleted before.

use std::sync::Arc;

use kernel::event::{ContentType, Foreign, Metadata, NewEvent, Revision, StreamName};
use kernel::seams::new_id;
use kernel::store::{AppendError, AppendRequest, Appended, ExpectedRevision, ReadError};

use crate::accounts::Caller;
use crate::endpoint::Endpoint;
use crate::lifecycle::{Lifecycle, METADATA, StreamMetadata};
use crate::ownership::{Owner, metadata_stream};
use crate::proposed::{Gathered, ORIGIN};
use crate::refusal::Refusal;

/// How many times an append is retried if others delete or revive the stream at the same time.
pub(crate) const ATTEMPTS: usize = 8;

/// The outcome of an append.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// The events were written.
    Appended(Appended),
    /// The append had no events. Holds the last revision of the stream.
    Nothing(Option<Revision>),
}

/// The state of a stream for its writers.
pub(crate) enum Standing {
    /// The stream is written as it is.
    Open(Lifecycle),
    /// The stream was deleted: the next events begin it again, after its last revision.
    Deleted(Lifecycle, Option<Revision>),
}

impl Endpoint {
    /// Appends a caller's events to one stream, all or nothing.
    pub(crate) async fn append(
        &self,
        caller: &Caller,
        stream: StreamName,
        expected: ExpectedRevision,
        gathered: Gathered,
    ) -> Result<Outcome, Refusal> {
        caller.needs_to_write(&stream, &self.ownership)?;
        let events = gathered.into_events(self, &stream, caller)?;
        if let Owner::Metadata(described) = self.ownership.of(&stream) {
            self.check_metadata(&described, &events).await?;
        }
        if events.is_empty() {
            return self.append_nothing(&stream, expected).await;
        }
        if expected == ExpectedRevision::NoStream
            && let Some(appended) = self.begin(&stream, &events).await?
        {
            return Ok(Outcome::Appended(appended));
        }
        for _ in 0..ATTEMPTS {
            let (lifecycle, last) = match self.standing(&stream).await? {
                Standing::Open(lifecycle) => {
                    let request = AppendRequest { stream: stream.clone(), expected, events };
                    let appended = self.store.append(request).await?;
                    self.written(&stream, &lifecycle);
                    return Ok(Outcome::Appended(appended));
                }
                Standing::Deleted(lifecycle, last) => (lifecycle, last),
            };
            deleted_meets(&stream, expected, last)?;
            match self.revive(caller, &stream, &events, &lifecycle, last).await {
                Ok(appended) => {
                    self.scavenger.changed(&stream);
                    return Ok(Outcome::Appended(appended));
                }
                // Another writer deleted or revived it at the same time.
                Err(AppendError::WrongExpectedRevision { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Overloaded)
    }

    /// Appends the first events that a stream ever has; returns `None` if it has some. A stream without
    /// events was neither deleted nor tombstoned, so its metadata need not be read.
    async fn begin(
        &self,
        stream: &StreamName,
        events: &[NewEvent],
    ) -> Result<Option<Appended>, Refusal> {
        let expected = ExpectedRevision::NoStream;
        let request = AppendRequest { stream: stream.clone(), expected, events: events.to_vec() };
        match self.store.append(request).await {
            Ok(appended) => {
                if let Owner::Metadata(described) = self.ownership.of(stream) {
                    self.scavenger.changed(&described);
                }
                Ok(Some(appended))
            }
            Err(AppendError::WrongExpectedRevision { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the state of a stream; refuses a tombstoned stream.
    pub(crate) async fn standing(&self, stream: &StreamName) -> Result<Standing, Refusal> {
        let lifecycle = Lifecycle::of(stream, &self.ownership, self.store.as_ref()).await?;
        lifecycle.must_be_alive(stream)?;
        if lifecycle.was_deleted() {
            let last = self.last_revision(stream).await?;
            if lifecycle.is_deleted(last) {
                return Ok(Standing::Deleted(lifecycle, last));
            }
        }
        Ok(Standing::Open(lifecycle))
    }

    pub(crate) async fn last_revision(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Revision>, ReadError> {
        Ok(self.store.read_last(stream).await?.map(|last| last.revision))
    }

    /// Answers an append without events, which tests whether the stream is at the expected revision.
    async fn append_nothing(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
    ) -> Result<Outcome, Refusal> {
        match self.standing(stream).await? {
            Standing::Deleted(_, last) => {
                deleted_meets(stream, expected, last)?;
                Ok(Outcome::Nothing(None))
            }
            Standing::Open(_) => {
                let actual = self.last_revision(stream).await?;
                if expected.is_met_by(actual) {
                    return Ok(Outcome::Nothing(actual));
                }
                Err(Refusal::WrongExpected { stream: stream.clone(), expected, actual })
            }
        }
    }

    /// Appends the first events of a deleted stream, together with metadata that says at which revision
    /// the stream begins now.
    async fn revive(
        &self,
        caller: &Caller,
        stream: &StreamName,
        events: &[NewEvent],
        lifecycle: &Lifecycle,
        last: Option<Revision>,
    ) -> Result<Appended, AppendError> {
        let first = last.map_or(0, |last| last + 1);
        let metadata = lifecycle.metadata.revived(first);
        let request = AppendRequest {
            stream: stream.clone(),
            expected: ExpectedRevision::exactly(last),
            events: events.to_vec(),
        };
        let about = self.describe(caller, stream, lifecycle, &metadata)?;
        let appended = self.store.append_many(vec![request, about]).await?;
        appended.into_iter().next().ok_or_else(|| AppendError::Invalid("no result".to_owned()))
    }

    /// Returns the append that replaces a stream's metadata.
    pub(crate) fn describe(
        &self,
        caller: &Caller,
        stream: &StreamName,
        before: &Lifecycle,
        metadata: &StreamMetadata,
    ) -> Result<AppendRequest, AppendError> {
        let data = serde_json::to_vec(metadata).map_err(|error| {
            AppendError::Invalid(format!("the stream's metadata cannot be encoded: {error}"))
        })?;
        let events = vec![self.system_event(caller, METADATA, data)];
        let expected = ExpectedRevision::exactly(before.revision);
        Ok(AppendRequest { stream: about(stream)?, expected, events })
    }

    /// Returns an event that the server writes on behalf of a caller.
    pub(crate) fn system_event(
        &self,
        caller: &Caller,
        event_type: &'static str,
        data: Vec<u8>,
    ) -> NewEvent {
        let id = new_id();
        let metadata = Metadata {
            correlation_id: id,
            causation_id: None,
            traceparent: None,
            actor: caller.name.clone(),
            origin_system: ORIGIN.into(),
            occurred_at: self.clock.now(),
        };
        let foreign = Foreign { content_type: ContentType::Json, metadata: Vec::new() };
        let foreign = Some(Arc::new(foreign));
        NewEvent { id, event_type: event_type.into(), data, metadata, foreign }
    }

    /// Checks an append to a stream of metadata: it may hold metadata only, and must not delete a
    /// stream without events. [`Self::begin`] relies on that.
    async fn check_metadata(
        &self,
        described: &StreamName,
        events: &[NewEvent],
    ) -> Result<(), Refusal> {
        for event in events {
            if event.event_type != METADATA {
                return Err(Refusal::Invalid(format!(
                    "a stream of metadata accepts only events of type {METADATA}"
                )));
            }
            let metadata = StreamMetadata::read(&event.data)?;
            if metadata.is_deleted() && self.last_revision(described).await?.is_none() {
                return Err(Refusal::Invalid(format!(
                    "stream {described} has no events: there is nothing to delete"
                )));
            }
        }
        Ok(())
    }

    /// Offers the stream for scavenging if the append hides events.
    fn written(&self, stream: &StreamName, lifecycle: &Lifecycle) {
        if let Owner::Metadata(described) = self.ownership.of(stream) {
            self.scavenger.changed(&described);
            self.scavenger.changed(stream);
        } else if lifecycle.hides() {
            self.scavenger.seen(stream);
        }
    }
}

/// Returns the name of the stream that holds a stream's metadata.
pub(crate) fn about(stream: &StreamName) -> Result<StreamName, AppendError> {
    metadata_stream(stream).ok_or_else(|| {
        let problem = format!("stream {stream} cannot have metadata: its name is too long");
        AppendError::Invalid(problem)
    })
}

/// Checks the expected revision for a deleted stream: the stream counts as absent, and also as being at
/// its last revision, after which it continues.
pub(crate) fn deleted_meets(
    stream: &StreamName,
    expected: ExpectedRevision,
    last: Option<Revision>,
) -> Result<(), Refusal> {
    let met = expected.is_met_by(None)
        || matches!(expected, ExpectedRevision::Revision(revision) if Some(revision) == last);
    if met {
        return Ok(());
    }
    Err(Refusal::WrongExpected { stream: stream.clone(), expected, actual: None })
}
