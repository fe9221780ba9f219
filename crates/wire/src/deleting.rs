//! Deletion of a stream: until it is written again, or for good.

use kernel::event::{Position, StreamName};
use kernel::store::{AppendError, AppendRequest, ExpectedRevision};

use crate::accounts::Caller;
use crate::appending::{ATTEMPTS, Standing, about, deleted_meets};
use crate::endpoint::Endpoint;
use crate::lifecycle::TOMBSTONE;
use crate::ownership::Owner;
use crate::refusal::Refusal;
use crate::rights::Right;

impl Endpoint {
    /// Deletes the events of a stream. The stream begins again with its next append. Returns the
    /// position of the deletion, `None` if there was nothing to delete.
    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        stream: StreamName,
        expected: ExpectedRevision,
    ) -> Result<Option<Position>, Refusal> {
        self.needs_to_delete(caller, &stream)?;
        for _ in 0..ATTEMPTS {
            let lifecycle = match self.standing(&stream).await? {
                Standing::Open(lifecycle) => lifecycle,
                Standing::Deleted(_, last) => {
                    deleted_meets(&stream, expected, last)?;
                    return Ok(None);
                }
            };
            let actual = self.last_revision(&stream).await?;
            if !expected.is_met_by(actual) {
                return Err(Refusal::WrongExpected { stream, expected, actual });
            }
            let Some(last) = actual else { return Ok(None) };
            // Events appended after this point are after the deletion and stay.
            let metadata = lifecycle.metadata.deleted(last);
            let request = self.describe(caller, &stream, &lifecycle, &metadata)?;
            match self.store.append(request).await {
                Ok(appended) => {
                    self.scavenger.changed(&stream);
                    return Ok(Some(appended.position));
                }
                Err(AppendError::WrongExpectedRevision { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Overloaded)
    }

    /// Ends a stream for good. Returns the position of the tombstone.
    ///
    /// The tombstone is the last event of the stream, which the store writes only if the stream is at
    /// the expected revision, and the last of its metadata, which is read before any other operation on
    /// the stream. Events appended between the read and the tombstone are never readable.
    pub(crate) async fn tombstone(
        &self,
        caller: &Caller,
        stream: StreamName,
        expected: ExpectedRevision,
    ) -> Result<Position, Refusal> {
        self.needs_to_delete(caller, &stream)?;
        let about = about(&stream)?;
        for _ in 0..ATTEMPTS {
            let (lifecycle, met_by) = match self.standing(&stream).await? {
                Standing::Open(lifecycle) => (lifecycle, expected),
                Standing::Deleted(lifecycle, last) => {
                    deleted_meets(&stream, expected, last)?;
                    (lifecycle, ExpectedRevision::exactly(last))
                }
            };
            let end = |stream: &StreamName, expected| AppendRequest {
                stream: stream.clone(),
                expected,
                events: vec![self.system_event(caller, TOMBSTONE, b"{}".to_vec())],
            };
            let described = ExpectedRevision::exactly(lifecycle.revision);
            let requests = vec![end(&stream, met_by), end(&about, described)];
            match self.store.append_many(requests).await {
                Ok(appended) => {
                    self.scavenger.changed(&stream);
                    self.scavenger.changed(&about);
                    return Ok(appended.first().map_or(0, |appended| appended.position));
                }
                Err(AppendError::WrongExpectedRevision { stream: other, actual, .. })
                    if other == stream && met_by == expected =>
                {
                    return Err(Refusal::WrongExpected { stream, expected, actual });
                }
                // Its metadata changed at the same time, or it was revived.
                Err(AppendError::WrongExpectedRevision { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Overloaded)
    }

    fn needs_to_delete(&self, caller: &Caller, stream: &StreamName) -> Result<(), Refusal> {
        match self.ownership.of(stream) {
            Owner::Free => caller.needs(&Right::Append),
            Owner::System => caller.needs(&Right::System),
            Owner::Module(module) => Err(Refusal::Forbidden(format!(
                "stream {stream} belongs to the module {module}: it cannot be deleted"
            ))),
            Owner::Metadata(_) => Err(Refusal::Forbidden(
                "a stream of metadata cannot be deleted: write other metadata instead".to_owned(),
            )),
        }
    }
}
