//! The end of a stream: until it is written again, or for good.

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
    /// Deletes the events that a stream has. It begins anew when it is next written. Where the
    /// deletion stands in the log, `None` when there was nothing to delete.
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
            // What is appended from now on is after this deletion and stays.
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

    /// Ends a stream for good. Where the end stands in the log.
    ///
    /// The last event of the stream says so, which the store writes only if the stream is as
    /// expected; and the last of its metadata, which is looked at before anything else is done with
    /// the stream. What is appended between the look and the end can be read by nobody.
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
                // Its metadata changed just now, or it was revived.
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
                "stream {stream} is of the module {module}: it is never deleted"
            ))),
            Owner::Metadata(_) => Err(Refusal::Forbidden(
                "metadata is not deleted: write other metadata instead".to_owned(),
            )),
        }
    }
}
