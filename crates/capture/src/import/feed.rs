//! The changes of several files, read and masked on a thread of their own, split into the source's
//! transactions.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::Sizes;
use crate::debezium::SnapshotMark;
use crate::files::{FilePosition, Lines, ReadError};
use crate::mask::{Change, Masker};
use crate::mirror::UNPLACED;

/// Maximum number of changes per chunk.
const CHUNK: usize = 256;
/// Bytes of records after which a chunk is sent, even with few changes.
const CHUNK_BYTES: usize = 1 << 20;
/// Number of chunks read ahead.
const AHEAD: usize = 8;

/// A change, and the place in its file after it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) change: Change,
    pub(super) file: usize,
    pub(super) place: FilePosition,
}

/// A source transaction, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) changes: Vec<Change>,
    /// Whether the transaction ends with it.
    pub(super) ended: bool,
    /// How far each file is read with it.
    pub(super) read_to: Vec<(usize, FilePosition)>,
    pub(super) timestamp_ms: i64,
    /// Bytes of its records.
    pub(super) bytes: usize,
}

/// The transaction that is being read. It outlives a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) transaction: Option<i64>,
    pub(super) in_snapshot: bool,
    /// The position of the last record of the last snapshot, once seen: rows of that snapshot may
    /// follow, for example from a file per topic.
    pub(super) snapshot_end: Option<i64>,
}

impl Cursor {
    /// Returns the cursor after the open transaction and snapshot have ended.
    pub(super) fn ended(self) -> Self {
        Self { snapshot_end: self.snapshot_end, ..Self::default() }
    }

    /// Returns whether rows of a snapshot are missing.
    pub(super) fn lacks_rows(self) -> bool {
        self.in_snapshot && self.snapshot_end.is_none()
    }

    /// Returns whether a change begins another transaction than the one being read.
    ///
    /// A snapshot is one transaction, whatever its records say, and lasts until streaming begins, or
    /// until the end of the input if its last record was seen.
    fn ends_before(&self, change: &Change) -> bool {
        // A tombstone follows its deletion; a record that is not a change, or has no position in the
        // log, belongs to the record before it.
        if !change.is_placed() {
            return false;
        }
        let snapshot = change.snapshot.is_whole();
        if self.in_snapshot || snapshot {
            return self.in_snapshot != snapshot
                && (self.in_snapshot || self.transaction.is_some());
        }
        self.transaction.is_some_and(|open| Some(open) != change.transaction)
    }

    /// Updates the cursor with a change.
    fn take(&mut self, change: &Change) {
        if !change.is_placed() {
            return;
        }
        match change.snapshot {
            SnapshotMark::Last => self.snapshot_end = Some(change.position),
            // Part of a snapshot whose last record was seen before, or of a new one.
            SnapshotMark::First if self.snapshot_end.is_some_and(|end| end < change.position) => {
                self.snapshot_end = None;
            }
            _ => {}
        }
        self.in_snapshot = change.snapshot.is_whole();
        self.transaction = change.transaction.or(self.transaction);
    }
}

/// The files being read.
pub(super) struct Feed {
    receiver: mpsc::Receiver<Result<Vec<Item>, ReadError>>,
    waiting: VecDeque<Item>,
    /// Bytes read from the disk so far.
    pub(super) bytes: Arc<AtomicU64>,
    ended: bool,
    failure: Option<ReadError>,
}

impl Feed {
    /// Starts to read files, each from its place.
    pub(super) fn start(files: Vec<(PathBuf, Option<FilePosition>)>, masker: Masker) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let bytes = Arc::new(AtomicU64::new(0));
        let count = bytes.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read_all(&files, &masker, &count, &sender) {
                // The receiver is dropped when the import was aborted.
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

    /// Returns why reading stopped before the end, once everything before that was returned.
    pub(super) fn failure(&mut self) -> Option<ReadError> {
        self.failure.take()
    }

    /// Returns the next segments, of about the minimum number of changes or bytes, ending with a
    /// transaction; a single one is split at the maximum. Empty at the end.
    pub(super) async fn next(&mut self, cursor: &mut Cursor, sizes: Sizes) -> Vec<Segment> {
        let Sizes { least, most, bytes: most_bytes, .. } = sizes;
        let mut segments = Vec::new();
        let mut segment = Segment::default();
        let (mut total, mut bytes) = (0, 0);
        loop {
            let Some(item) = self.peek().await else {
                // At the end of the input the transaction has ended; a snapshot without its last record
                // has not, and after a broken line it is unknown.
                let begun = cursor.in_snapshot || cursor.transaction.is_some();
                let open = cursor.lacks_rows() || self.failure.is_some();
                if !open && (begun || !segment.changes.is_empty()) {
                    segment.ended = true;
                    *cursor = cursor.ended();
                }
                break;
            };
            if cursor.ends_before(&item.change) {
                segment.ended = true;
                segments.push(std::mem::take(&mut segment));
                *cursor = cursor.ended();
                if total >= least || bytes >= most_bytes {
                    return segments;
                }
            }
            if segment.changes.len() >= most || segment.bytes >= most_bytes {
                break;
            }
            let Some(item) = self.waiting.pop_front() else {
                break;
            };
            total += 1;
            bytes += item.change.size;
            segment.bytes += item.change.size;
            if item.change.is_placed() {
                segment.timestamp_ms = item.change.timestamp_ms;
            }
            match segment.read_to.last_mut() {
                Some(last) if last.0 == item.file => last.1 = item.place,
                _ => segment.read_to.push((item.file, item.place)),
            }
            cursor.take(&item.change);
            segment.changes.push(item.change);
        }
        if segment.ended || !segment.changes.is_empty() {
            segments.push(segment);
        }
        segments
    }
}

fn read_all(
    files: &[(PathBuf, Option<FilePosition>)],
    masker: &Masker,
    count: &Arc<AtomicU64>,
    sender: &mpsc::Sender<Result<Vec<Item>, ReadError>>,
) -> Result<(), ReadError> {
    for (file, (path, from)) in files.iter().enumerate() {
        let mut lines = Lines::open(path, *from, count)?;
        let (mut chunk, mut bytes) = (Vec::with_capacity(CHUNK), 0);
        let mut furthest = from.map_or(0, |from| from.position);
        let end = loop {
            let change = match lines.next() {
                Ok(None) => break Ok(()),
                Ok(Some(("", _))) => continue,
                Ok(Some((line, terminated))) => masker.read(line, terminated),
                Err(error) => break Err(error),
            };
            match change {
                Ok(mut change) => {
                    if change.snapshot == SnapshotMark::Incremental {
                        let nearest = furthest.max(change.position);
                        change.position = if nearest == 0 { UNPLACED } else { nearest };
                    } else {
                        furthest = furthest.max(change.position);
                    }
                    let place = FilePosition { position: furthest, ..lines.place() };
                    (change.file, change.line) = (file, place.line);
                    bytes += change.size;
                    chunk.push(Item { change, file, place });
                }
                Err(problem) => break Err(lines.broken(problem)),
            }
            if chunk.len() == CHUNK || bytes >= CHUNK_BYTES {
                bytes = 0;
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
            size: 1,
            file: 0,
            line: 0,
        }
    }

    async fn cut(changes: Vec<Change>, least: usize, most: usize) -> Vec<(usize, bool)> {
        let (sender, receiver) = mpsc::channel(1);
        let items = changes.into_iter();
        let items =
            items.map(|change| Item { change, file: 0, place: FilePosition::default() }).collect();
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
            let sizes = Sizes { least, most, ..Sizes::default() };
            let segments = feed.next(&mut cursor, sizes).await;
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
    async fn large_records_are_few_at_once() {
        let large = |id| Change { size: 10 << 20, ..change(Some(id), SnapshotMark::No) };
        let own = (0..3).map(large).collect();
        assert_eq!(cut(own, 100, 100).await, vec![(1, true); 3]);
        let together = (0..3).map(|_| large(1)).collect();
        assert_eq!(cut(together, 100, 100).await, vec![(1, false), (1, false), (1, true)]);
    }

    #[tokio::test]
    async fn a_snapshot_ends_with_its_last_record_or_when_streaming_begins() {
        use SnapshotMark::{First, Last, No, Within};
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
        // One file per topic, in any order.
        let after_the_last = of(&[(1, First), (1, Last), (1, Within), (1, Within)]);
        assert_eq!(cut(after_the_last, 1, 100).await, vec![(4, true)]);
        let first_after_the_last = of(&[(1, Within), (1, Last), (1, First), (2, No)]);
        assert_eq!(cut(first_after_the_last, 1, 100).await, vec![(3, true), (1, true)]);
        let streamed_between = of(&[(1, Last), (3, No), (1, First), (1, Within)]);
        assert_eq!(cut(streamed_between, 1, 100).await, vec![(1, true), (1, true), (2, true)]);
        // A later snapshot, without its last record.
        let mut another = of(&[(1, Last), (3, No), (1, First), (1, Within)]);
        another[2].position = 7;
        assert_eq!(cut(another, 1, 100).await, vec![(1, true), (1, true), (2, false)]);
    }
}
