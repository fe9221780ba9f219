//! Retention and deletion of a stream, as its metadata defines them.
//!
//! The metadata of `<stream>` is the last event of `$$<stream>`. Deleting a stream records there up to
//! which revision it was deleted, so that events that another writer appended meanwhile begin the
//! stream again and are not lost. A tombstone ends a stream for good.

use chrono::{DateTime, TimeDelta, Utc};
use kernel::event::{RecordedEvent, Revision, StreamName};
use kernel::store::{EventStore, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ownership::{Owner, Ownership, metadata_stream};
use crate::refusal::Refusal;

/// The type of events that hold metadata.
pub(crate) const METADATA: &str = "$metadata";
/// The type of events that end a stream for good.
pub(crate) const TOMBSTONE: &str = "$streamDeleted";
/// Deletes everything before this revision: the whole stream.
const EVERYTHING: u64 = i64::MAX as u64;
/// Only the last event of a stream of metadata is kept.
const METADATA_KEPT: u64 = 1;

/// The members of a stream's metadata that this server acts upon; other members are kept unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StreamMetadata {
    /// Maximum number of events kept, counted from the end.
    #[serde(rename = "$maxCount", skip_serializing_if = "Option::is_none")]
    max_count: Option<u64>,
    /// How long events are kept, in seconds.
    #[serde(rename = "$maxAge", skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    /// Events before this revision are deleted.
    #[serde(rename = "$tb", skip_serializing_if = "Option::is_none")]
    truncate_before: Option<u64>,
    /// The last revision at the time the stream was deleted. Later events are visible.
    #[serde(rename = "$deletedThrough", skip_serializing_if = "Option::is_none")]
    deleted_through: Option<Revision>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl StreamMetadata {
    /// Reads metadata that a client writes.
    pub(crate) fn read(data: &[u8]) -> Result<Self, Refusal> {
        let metadata: Self = serde_json::from_slice(data).map_err(|error| {
            Refusal::Invalid(format!("the data of {METADATA} must be a JSON object whose $maxCount, $maxAge and $tb are whole numbers: {error}"))
        })?;
        for (name, value) in [("$maxCount", metadata.max_count), ("$maxAge", metadata.max_age)] {
            if value == Some(0) {
                return Err(Refusal::Invalid(format!("{name} must be at least 1")));
            }
        }
        Ok(metadata)
    }

    /// Returns whether it marks the whole stream as deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.truncate_before == Some(EVERYTHING)
    }

    /// Returns it with the stream marked as deleted up to a revision.
    pub(crate) fn deleted(&self, through: Revision) -> Self {
        let truncate_before = Some(EVERYTHING);
        Self { truncate_before, deleted_through: Some(through), ..self.clone() }
    }

    /// Returns it with the stream beginning again at a revision.
    pub(crate) fn revived(&self, first: Revision) -> Self {
        Self { truncate_before: Some(first), deleted_through: None, ..self.clone() }
    }
}

/// The state of a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lifecycle {
    pub(crate) metadata: StreamMetadata,
    /// The last revision of the stream that holds the metadata.
    pub(crate) revision: Option<Revision>,
    pub(crate) is_tombstoned: bool,
}

impl Lifecycle {
    /// Reads the state of a stream. Streams of modules have no metadata.
    pub(crate) async fn of(
        stream: &StreamName,
        ownership: &Ownership,
        store: &dyn EventStore,
    ) -> Result<Self, ReadError> {
        match ownership.of(stream) {
            Owner::Module(_) => Ok(Self::default()),
            // A stream of metadata ends with the stream that it describes.
            Owner::Metadata(_) => {
                let is_tombstoned = match store.read_last(stream).await? {
                    Some(last) => last.event_type == TOMBSTONE,
                    None => false,
                };
                let metadata =
                    StreamMetadata { max_count: Some(METADATA_KEPT), ..Default::default() };
                Ok(Self { metadata, revision: None, is_tombstoned })
            }
            Owner::System | Owner::Free => match metadata_stream(stream) {
                Some(about) => Ok(store
                    .read_last(&about)
                    .await?
                    .map_or_else(Self::default, |last| Self::described_by(&last))),
                None => Ok(Self::default()),
            },
        }
    }

    fn described_by(last: &RecordedEvent) -> Self {
        let revision = Some(last.revision);
        if last.event_type == TOMBSTONE {
            let metadata = StreamMetadata::default();
            return Self { metadata, revision, is_tombstoned: true };
        }
        let metadata = serde_json::from_slice(&last.data).unwrap_or_else(|error: serde_json::Error| {
            // Metadata is checked when it is written. Unreadable metadata hides and removes nothing.
            tracing::warn!(position = last.position, %error, "cannot read the metadata of a stream; no event of the stream is hidden");
            StreamMetadata::default()
        });
        Self { metadata, revision, is_tombstoned: false }
    }

    /// Refuses a tombstoned stream.
    pub(crate) fn must_be_alive(&self, stream: &StreamName) -> Result<(), Refusal> {
        if self.is_tombstoned {
            return Err(Refusal::StreamDeleted(stream.clone()));
        }
        Ok(())
    }

    /// Returns whether it was deleted and not marked as begun again since.
    pub(crate) fn was_deleted(&self) -> bool {
        self.metadata.is_deleted()
    }

    /// Returns whether any event may be hidden, now or later.
    pub(crate) fn hides(&self) -> bool {
        let StreamMetadata { max_count, max_age, truncate_before, .. } = self.metadata;
        max_count.is_some() || max_age.is_some() || truncate_before.is_some()
    }

    /// Returns whether a stream with this last revision is deleted, which counts as absent.
    pub(crate) fn is_deleted(&self, last: Option<Revision>) -> bool {
        self.metadata.is_deleted()
            && last.is_none_or(|last| {
                self.metadata.deleted_through.is_none_or(|through| last <= through)
            })
    }

    /// Returns the readable part of a stream with this last revision, at a time; `None` if deleted.
    pub(crate) fn visible(&self, last: Revision, now: DateTime<Utc>) -> Option<Visible> {
        if self.is_deleted(Some(last)) {
            return None;
        }
        let metadata = &self.metadata;
        let truncated = match metadata.deleted_through {
            Some(through) if metadata.is_deleted() => through + 1,
            _ => metadata.truncate_before.unwrap_or(0),
        };
        let counted = metadata.max_count.map_or(0, |count| (last + 1).saturating_sub(count));
        let not_before = metadata.max_age.and_then(|seconds| {
            // An age that goes back beyond the earliest time hides nothing.
            now.checked_sub_signed(TimeDelta::try_seconds(i64::try_from(seconds).ok()?)?)
        });
        Some(Visible { first: truncated.max(counted), last, not_before })
    }
}

/// The readable part of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visible {
    /// The first revision; beyond the last one if no event is readable.
    pub(crate) first: Revision,
    pub(crate) last: Revision,
    /// Events recorded earlier are too old.
    not_before: Option<DateTime<Utc>>,
}

impl Visible {
    /// Returns whether an event at or after the first revision is readable.
    pub(crate) fn shows(&self, event: &RecordedEvent) -> bool {
        self.not_before.is_none_or(|time| event.recorded_at >= time)
    }

    /// Returns whether events become hidden by age.
    pub(crate) fn ages(&self) -> bool {
        self.not_before.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifecycle(metadata: &str) -> Lifecycle {
        let metadata = StreamMetadata::read(metadata.as_bytes()).unwrap();
        Lifecycle { metadata, revision: Some(0), is_tombstoned: false }
    }

    fn first_visible(metadata: &str, last: Revision) -> Option<Revision> {
        let visible = lifecycle(metadata).visible(last, DateTime::UNIX_EPOCH)?;
        assert_eq!(visible.last, last);
        Some(visible.first)
    }

    #[test]
    fn the_stricter_limit_says_what_is_visible() {
        assert_eq!(first_visible("{}", 9), Some(0));
        assert_eq!(first_visible(r#"{"$maxCount":3}"#, 9), Some(7));
        assert_eq!(first_visible(r#"{"$maxCount":3}"#, 1), Some(0));
        assert_eq!(first_visible(r#"{"$tb":4}"#, 9), Some(4));
        assert_eq!(first_visible(r#"{"$tb":4,"$maxCount":3}"#, 9), Some(7));
        assert_eq!(first_visible(r#"{"$tb":8,"$maxCount":3}"#, 9), Some(8));
        // No event is readable, but the stream exists.
        assert_eq!(first_visible(r#"{"$tb":40}"#, 9), Some(40));
    }

    #[test]
    fn what_was_appended_after_a_deletion_is_visible() {
        let deleted = StreamMetadata::default().deleted(4);
        let deleted = Lifecycle { metadata: deleted, revision: Some(0), is_tombstoned: false };
        assert!(deleted.is_deleted(Some(4)));
        assert_eq!(deleted.visible(4, DateTime::UNIX_EPOCH), None);
        assert!(!deleted.is_deleted(Some(5)));
        let visible = deleted.visible(6, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!((visible.first, visible.last), (5, 6));
    }

    #[test]
    fn a_client_deletes_by_metadata_too() {
        let deleted = lifecycle(r#"{"$tb":9223372036854775807}"#);
        assert!(deleted.is_deleted(Some(4)));
        assert!(deleted.is_deleted(None));
        let revived = Lifecycle { metadata: deleted.metadata.revived(5), ..deleted };
        assert_eq!(revived.visible(5, DateTime::UNIX_EPOCH).unwrap().first, 5);
    }

    #[test]
    fn other_members_of_metadata_are_kept() {
        let read = StreamMetadata::read(br#"{"$acl":{"$r":"a"},"colour":"red","$maxAge":60}"#);
        let kept = serde_json::to_value(read.unwrap().deleted(2)).unwrap();
        assert_eq!(kept["$acl"]["$r"], "a");
        assert_eq!(kept["colour"], "red");
        assert_eq!(kept["$maxAge"], 60);
        assert_eq!(kept["$tb"], i64::MAX);
    }

    #[test]
    fn metadata_that_says_nothing_is_refused() {
        for refused in ["", "[]", "7", r#"{"$maxCount":0}"#, r#"{"$maxAge":-1}"#, r#"{"$tb":"x"}"#]
        {
            assert!(StreamMetadata::read(refused.as_bytes()).is_err(), "{refused}");
        }
    }
}
