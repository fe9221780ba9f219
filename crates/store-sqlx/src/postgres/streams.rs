//! What this process believes of streams, so that most appends need no look-up. A belief may be
//! wrong at any time, because others write too: the database checks it with every append.

use kernel::event::{Revision, StreamName};
use moka::sync::Cache;

/// Streams that are remembered: about 20 MB.
const MOST: u64 = 100_000;

/// A stream as it stands in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamHead {
    pub(super) id: i64,
    /// Of the last event.
    pub(super) revision: Revision,
}

/// The heads of the streams that were touched lately.
#[derive(Debug, Clone)]
pub(super) struct Streams(Cache<StreamName, StreamHead>);

impl Streams {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST))
    }

    pub(super) fn get(&self, stream: &StreamName) -> Option<StreamHead> {
        self.0.get(stream)
    }

    pub(super) fn put(&self, stream: StreamName, head: StreamHead) {
        self.0.insert(stream, head);
    }

    /// A stream was read; what is known may be newer.
    pub(super) fn seen(&self, stream: &StreamName, head: StreamHead) {
        if self.0.get(stream).is_none_or(|known| known.revision < head.revision) {
            self.0.insert(stream.clone(), head);
        }
    }

    /// A stream has grown to this revision; of no interest unless it is known.
    pub(super) fn grown(&self, stream: &StreamName, revision: Revision) {
        if let Some(head) = self.0.get(stream)
            && head.revision < revision
        {
            self.0.insert(stream.clone(), StreamHead { revision, ..head });
        }
    }

    pub(super) fn forget(&self, stream: &StreamName) {
        self.0.invalidate(stream);
    }
}
