//! The changes of several files, read and masked on a thread of their own, cut into the source's
//! transactions.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::debezium::SnapshotMark;
use crate::files::{Lines, Place, ReadError};
use crate::mask::{Change, Masker};

/// Changes handed over at once.
const CHUNK: usize = 256;
/// Chunks read ahead.
const AHEAD: usize = 8;

/// A change and where reading goes on after it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) change: Change,
    pub(super) file: usize,
    pub(super) place: Place,
}

/// Part of a source transaction, or all of it.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) changes: Vec<Change>,
    /// Whether the transaction ended with it.
    pub(super) ended: bool,
    /// How far each file is read with it.
    pub(super) read_to: Vec<(usize, Place)>,
    pub(super) timestamp_ms: i64,
}

/// Which transaction is being read. It outlives a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) transaction: Option<i64>,
    pub(super) in_snapshot: bool,
}

impl Cursor {
    /// Whether a change begins another transaction than the one being read.
    ///
    /// A snapshot is one transaction, whatever its records say, and goes on until its last record
    /// or until streaming begins.
    fn ends_before(&self, change: &Change) -> bool {
        let Some(transaction) = change.transaction.or(self.transaction) else {
            return false;
        };
        let snapshot = change.snapshot != SnapshotMark::No;
        if change.transaction.is_none() && !snapshot {
            return false; // a tombstone follows its deletion
        }
        if self.in_snapshot || snapshot {
            return self.in_snapshot != snapshot
                && (self.in_snapshot || self.transaction.is_some());
        }
        self.transaction.is_some_and(|open| open != transaction)
    }

    /// Takes a change in; whether the transaction ends right after it.
    fn take(&mut self, change: &Change) -> bool {
        match change.snapshot {
            SnapshotMark::Last => {
                *self = Self::default();
                return true;
            }
            SnapshotMark::Within => self.in_snapshot = true,
            SnapshotMark::No if change.transaction.is_some() => self.in_snapshot = false,
            SnapshotMark::No => return false,
        }
        self.transaction = change.transaction.or(self.transaction);
        false
    }
}

/// Files being read.
pub(super) struct Feed {
    receiver: mpsc::Receiver<Result<Vec<Item>, ReadError>>,
    waiting: VecDeque<Item>,
    /// Bytes read from the disk so far.
    pub(super) bytes: Arc<AtomicU64>,
    ended: bool,
    failure: Option<ReadError>,
}

impl Feed {
    /// Begins to read files, each from its place.
    pub(super) fn start(files: Vec<(PathBuf, Option<Place>)>, masker: Masker) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let bytes = Arc::new(AtomicU64::new(0));
        let count = bytes.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read_all(&files, &masker, &count, &sender) {
                // Nobody listens any more when the import was given up.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Self { receiver, waiting: VecDeque::new(), bytes, ended: false, failure: None }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    async fn peek(&mut self) -> Option<&Item> {
        while self.waiting.is_empty() && !self.ended {
            match self.receiver.recv().await {
                Some(Ok(items)) => self.waiting.extend(items),
                Some(Err(error)) => {
                    self.failure = Some(error);
                    self.ended = true;
                }
                None => self.ended = true,
            }
        }
        self.waiting.front()
    }

    /// Why reading stopped before the end, once everything before that was handed out.
    pub(super) fn failure(&mut self) -> Option<ReadError> {
        self.failure.take()
    }

    /// The next segments, of about `least` changes, ending with a transaction; a single one is
    /// cut at `most`. Empty at the end.
    pub(super) async fn next(
        &mut self,
        cursor: &mut Cursor,
        least: usize,
        most: usize,
    ) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut segment = Segment::default();
        let mut total = 0;
        loop {
            let Some(item) = self.peek().await else {
                // At the end of the input the transaction has ended; a snapshot that lacks its
                // last record has not, and after a broken line we cannot know.
                let open = cursor.in_snapshot || self.failure.is_some();
                if !open && (cursor.transaction.take().is_some() || !segment.changes.is_empty()) {
                    segment.ended = true;
                }
                break;
            };
            if cursor.ends_before(&item.change) {
                segment.ended = true;
                segments.push(std::mem::take(&mut segment));
                *cursor = Cursor::default();
                if total >= least {
                    return segments;
                }
            }
            if segment.changes.len() >= most {
                break;
            }
            let Some(item) = self.waiting.pop_front() else {
                break;
            };
            total += 1;
            if item.change.transaction.is_some() {
                segment.timestamp_ms = item.change.timestamp_ms;
            }
            match segment.read_to.last_mut() {
                Some(last) if last.0 == item.file => last.1 = item.place,
                _ => segment.read_to.push((item.file, item.place)),
            }
            let last = cursor.take(&item.change);
            segment.changes.push(item.change);
            if last {
                segment.ended = true;
                segments.push(std::mem::take(&mut segment));
                return segments;
            }
        }
        if segment.ended || !segment.changes.is_empty() {
            segments.push(segment);
        }
        segments
    }
}

fn read_all(
    files: &[(PathBuf, Option<Place>)],
    masker: &Masker,
    count: &Arc<AtomicU64>,
    sender: &mpsc::Sender<Result<Vec<Item>, ReadError>>,
) -> Result<(), ReadError> {
    for (file, (path, from)) in files.iter().enumerate() {
        let mut lines = Lines::open(path, *from, count)?;
        let mut chunk = Vec::with_capacity(CHUNK);
        let end = loop {
            let change = match lines.next() {
                Ok(None) => break Ok(()),
                Ok(Some(("", _))) => continue,
                Ok(Some((line, terminated))) => masker.read(line, terminated),
                Err(error) => break Err(error),
            };
            match change {
                Ok(change) => chunk.push(Item { change, file, place: lines.place() }),
                Err(problem) => break Err(lines.broken(problem)),
            }
            if chunk.len() == CHUNK {
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
                if sender.blocking_send(Ok(full)).is_err() {
                    return Ok(());
                }
            }
        };
        if sender.blocking_send(Ok(chunk)).is_err() {
            return Ok(());
        }
        end?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debezium::Operation;

    fn change(transaction: Option<i64>, snapshot: SnapshotMark) -> Change {
        Change {
            row: None,
            operation: Operation::Update,
            image: None,
            unavailable: Vec::new(),
            position: 0,
            transaction,
            snapshot,
            timestamp_ms: 0,
        }
    }

    async fn cut(changes: Vec<Change>, least: usize, most: usize) -> Vec<(usize, bool)> {
        let (sender, receiver) = mpsc::channel(1);
        let items = changes.into_iter();
        let items = items.map(|change| Item { change, file: 0, place: Place::default() }).collect();
        sender.try_send(Ok(items)).unwrap();
        drop(sender);
        let mut feed = Feed {
            receiver,
            waiting: VecDeque::new(),
            bytes: Arc::default(),
            ended: false,
            failure: None,
        };
        let mut cursor = Cursor::default();
        let mut cuts = Vec::new();
        loop {
            let segments = feed.next(&mut cursor, least, most).await;
            if segments.is_empty() {
                return cuts;
            }
            cuts.extend(segments.iter().map(|segment| (segment.changes.len(), segment.ended)));
        }
    }

    #[tokio::test]
    async fn a_transaction_ends_when_the_id_changes_and_at_the_end() {
        use SnapshotMark::No;
        let ids = [Some(1), Some(1), None, Some(2), Some(3), Some(3)];
        let changes: Vec<_> = ids.map(|id| change(id, No)).into();
        let expected = vec![(3, true), (1, true), (2, true)];
        assert_eq!(cut(changes.clone(), 100, 100).await, expected);
        assert_eq!(cut(changes, 1, 100).await, expected);
    }

    #[tokio::test]
    async fn a_long_transaction_is_cut_without_ending() {
        let changes = (0..5).map(|_| change(Some(1), SnapshotMark::No)).collect();
        assert_eq!(cut(changes, 1, 2).await, vec![(2, false), (2, false), (1, true)]);
    }

    #[tokio::test]
    async fn a_snapshot_ends_with_its_last_record_or_when_streaming_begins() {
        use SnapshotMark::{Last, No, Within};
        let of = |marks: &[(i64, SnapshotMark)]| {
            marks.iter().map(|(id, mark)| change(Some(*id), *mark)).collect::<Vec<_>>()
        };
        let whole = of(&[(1, Within), (2, Within), (1, Last), (3, No)]);
        assert_eq!(cut(whole, 1, 100).await, vec![(3, true), (1, true)]);
        let no_last = of(&[(1, Within), (1, Within), (3, No)]);
        assert_eq!(cut(no_last, 1, 100).await, vec![(2, true), (1, true)]);
        let cut_off = of(&[(1, Within), (1, Within)]);
        assert_eq!(cut(cut_off, 1, 100).await, vec![(2, false)]);
        let again = of(&[(1, No), (1, Within), (1, Last)]);
        assert_eq!(cut(again, 1, 100).await, vec![(1, true), (2, true)]);
    }
}
