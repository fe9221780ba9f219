//! Appends to one stream, whatever became of it before.

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

/// How often a stream that others delete or revive at the same time is looked at again.
pub(crate) const ATTEMPTS: usize = 8;

/// What became of an append.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// It was written.
    Appended(Appended),
    /// There was nothing to write. The last revision of the stream.
    Nothing(Option<Revision>),
}

/// How a stream stands for whoever writes it.
pub(crate) enum Standing {
    /// It is written as it is.
    Open(Lifecycle),
    /// It was deleted: what is written begins it anew, after its last revision.
    Deleted(Lifecycle, Option<Revision>),
}

impl Endpoint {
    /// Appends what a caller sent to one stream, all or nothing.
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
                // Somebody else deleted or revived it just now.
                Err(AppendError::WrongExpectedRevision { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Overloaded)
    }

    /// Appends the first events that a stream ever has; `None` when it has some. A stream without
    /// events was neither deleted nor ended, so that its metadata need not be looked at.
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

    /// How a stream stands; refused when it was ended for good.
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

    /// An append without events says whether the stream is as expected.
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

    /// Appends the first events of a deleted stream, together with metadata that says where it
    /// begins now.
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

    /// The append that gives a stream other metadata than it had.
    pub(crate) fn describe(
        &self,
        caller: &Caller,
        stream: &StreamName,
        before: &Lifecycle,
        metadata: &StreamMetadata,
    ) -> Result<AppendRequest, AppendError> {
        let data = serde_json::to_vec(metadata)
            .map_err(|error| AppendError::Invalid(format!("the metadata: {error}")))?;
        let events = vec![self.system_event(caller, METADATA, data)];
        let expected = ExpectedRevision::exactly(before.revision);
        Ok(AppendRequest { stream: about(stream)?, expected, events })
    }

    /// An event that the server writes because of what a caller asked for.
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

    /// Only metadata goes to a stream of metadata, and what has no events is not deleted by it:
    /// [`Self::begin`] relies on that.
    async fn check_metadata(
        &self,
        described: &StreamName,
        events: &[NewEvent],
    ) -> Result<(), Refusal> {
        for event in events {
            if event.event_type != METADATA {
                return Err(Refusal::Invalid(format!(
                    "a stream of metadata takes events of type {METADATA} only"
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

    /// Lets be removed what is hidden by what was written.
    fn written(&self, stream: &StreamName, lifecycle: &Lifecycle) {
        if let Owner::Metadata(described) = self.ownership.of(stream) {
            self.scavenger.changed(&described);
            self.scavenger.changed(stream);
        } else if lifecycle.hides() {
            self.scavenger.seen(stream);
        }
    }
}

/// The stream of a stream's metadata.
pub(crate) fn about(stream: &StreamName) -> Result<StreamName, AppendError> {
    metadata_stream(stream).ok_or_else(|| {
        let problem = format!("the name of stream {stream} is too long for it to have metadata");
        AppendError::Invalid(problem)
    })
}

/// Refuses a writer who believes something else of a deleted stream: it is as good as not there,
/// and goes on after its last revision.
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
