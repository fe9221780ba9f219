//! What this process believes of streams, so that most appends need no look-up. A belief may be
//! wrong at any time, because others write too: the database checks it with every append.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;
use kernel::event::{Revision, StreamName};

/// Streams that are remembered: about 20 MB.
const MOST: usize = 100_000;

/// A stream as it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamHead {
    pub(super) id: i64,
    /// Of the last event.
    pub(super) revision: Revision,
}

/// The heads of the streams that were touched lately. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Streams(Arc<Mutex<LruCache<StreamName, StreamHead>>>);

impl Streams {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(MOST))))
    }

    fn heads(&self) -> MutexGuard<'_, LruCache<StreamName, StreamHead>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, stream: &StreamName) -> Option<StreamHead> {
        self.heads().get(stream).copied()
    }

    /// What was just written or looked up.
    pub(super) fn put(&self, written: impl IntoIterator<Item = (StreamName, StreamHead)>) {
        let mut heads = self.heads();
        for (stream, head) in written {
            heads.insert(stream, head);
        }
    }

    /// A stream was read; what is known may be newer.
    pub(super) fn seen(&self, stream: &StreamName, head: StreamHead) {
        let mut heads = self.heads();
        if heads.get(stream).is_none_or(|known| known.revision < head.revision) {
            heads.insert(stream.clone(), head);
        }
    }

    /// A stream has grown to this revision; of no interest unless it is known.
    pub(super) fn grown(&self, stream: &StreamName, revision: Revision) {
        if let Some(head) = self.heads().get_mut(stream)
            && head.revision < revision
        {
            head.revision = revision;
        }
    }

    pub(super) fn forget(&self, stream: &StreamName) {
        self.heads().remove(stream);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn stream(number: usize) -> StreamName {
        StreamName::new(format!("a-{number}")).unwrap()
    }

    #[test]
    fn an_older_reading_changes_nothing() {
        let streams = Streams::new();
        streams.put([(stream(1), StreamHead { id: 7, revision: 5 })]);
        streams.seen(&stream(1), StreamHead { id: 7, revision: 4 });
        streams.grown(&stream(1), 3);
        assert_eq!(streams.get(&stream(1)).unwrap().revision, 5);
        streams.grown(&stream(1), 6);
        assert_eq!(streams.get(&stream(1)).unwrap().revision, 6);
        streams.grown(&stream(2), 6);
        assert_eq!(streams.get(&stream(2)), None);
    }
}
