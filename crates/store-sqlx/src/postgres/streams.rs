//! The assumed heads of streams, so that most appends need no query. An assumption may be wrong at any
//! time, because other processes write too: the database checks it with every append.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;
use kernel::event::{Revision, StreamName};

/// Maximum number of remembered streams: about 20 MB.
const MOST: usize = 100_000;

/// The head of a stream in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamHead {
    pub(super) id: i64,
    /// The revision of its last event.
    pub(super) revision: Revision,
}

/// The heads of recently used streams, in one incarnation of the log. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    beliefs: Arc<Mutex<Beliefs>>,
    incarnation: u64,
}

#[derive(Debug)]
struct Beliefs {
    heads: LruCache<StreamName, StreamHead>,
    incarnation: u64,
}

impl Streams {
    pub(super) fn new() -> Self {
        let beliefs = Beliefs { heads: LruCache::new(MOST), incarnation: 0 };
        Self { beliefs: Arc::new(Mutex::new(beliefs)), incarnation: 0 }
    }

    /// Returns a handle for reads and writes of one incarnation. After a later one begins, it returns
    /// and stores nothing: the id of a lost stream is soon reused.
    pub(super) fn of(&self, incarnation: u64) -> Self {
        Self { beliefs: Arc::clone(&self.beliefs), incarnation }
    }

    /// Forgets all of them: a new incarnation begins.
    pub(super) fn begin(&self, incarnation: u64) {
        let mut beliefs = self.lock();
        beliefs.heads.clear();
        beliefs.incarnation = incarnation;
    }

    fn lock(&self) -> MutexGuard<'_, Beliefs> {
        self.beliefs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a function with the heads, if they belong to this incarnation.
    fn with<T>(&self, act: impl FnOnce(&mut LruCache<StreamName, StreamHead>) -> T) -> Option<T> {
        let mut beliefs = self.lock();
        (beliefs.incarnation == self.incarnation).then(|| act(&mut beliefs.heads))
    }

    pub(super) fn get(&self, stream: &StreamName) -> Option<StreamHead> {
        self.with(|heads| heads.get(stream).copied()).flatten()
    }

    /// Records heads that were just written or looked up.
    pub(super) fn put(&self, written: impl IntoIterator<Item = (StreamName, StreamHead)>) {
        self.with(|heads| {
            for (stream, head) in written {
                heads.insert(stream, head);
            }
        });
    }

    /// Records the head of a stream that was read, unless a later one is known.
    pub(super) fn seen(&self, stream: &StreamName, head: StreamHead) {
        self.with(|heads| {
            let is_news = heads.get(stream).is_none_or(|known| known.revision < head.revision);
            if is_news {
                heads.insert(stream.clone(), head);
            }
        });
    }

    /// Records that a stream has reached this revision, if the stream is known.
    pub(super) fn grown(&self, stream: &StreamName, revision: Revision) {
        self.with(|heads| {
            if let Some(head) = heads.get_mut(stream)
                && head.revision < revision
            {
                head.revision = revision;
            }
        });
    }

    pub(super) fn forget(&self, stream: &StreamName) {
        self.with(|heads| heads.remove(stream));
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
    fn what_was_read_before_the_log_went_back_is_not_believed_after() {
        let before = Streams::new();
        let head = StreamHead { id: 7, revision: 5 };
        before.put([(stream(1), head)]);
        before.begin(1);
        let after = before.of(1);
        assert_eq!(after.get(&stream(1)), None);
        // A read that was in progress meanwhile.
        before.seen(&stream(1), head);
        before.put([(stream(2), head)]);
        assert_eq!((after.get(&stream(1)), after.get(&stream(2))), (None, None));
        after.put([(stream(1), StreamHead { id: 3, revision: 0 })]);
        assert_eq!(before.get(&stream(1)), None);
        assert_eq!(after.get(&stream(1)).unwrap().id, 3);
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
