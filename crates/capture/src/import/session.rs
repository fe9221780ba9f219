//! One run of an import.
//!
//! A *turn* is one transaction of the mirror's database. While it is prepared, the commands of the
//! previous turn are in flight; their answers are recorded in it. Preparing only reads, and the
//! transaction begins when all its writes are known: nothing is locked while programs run or modules
//! answer. The transaction first checks that the source still belongs to this run.
//!
//! A turn writes changes to the mirror together with the commands that result from them, which wait in
//! the *outbox* until they are answered. The next run sends what it finds there before anything else.
//! So the modules receive the same states in the same order wherever an import was interrupted,
//! including outdated states (a customer who was created and deleted), which cannot be derived from the
//! latest rows of the mirror. Only aggregates without a command are *dirty*: those of a transaction too
//! large for the memory, and those that wait for a row.

mod answers;
mod decide;
mod draining;

pub(crate) use decide::state_of;
pub(super) use decide::{DELETED, digest};

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Instant;

use database::Transaction;
use kernel::seams::new_id;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::deliver::{Answered, Command, NotDelivered};
use super::feed::{Cursor, Feed, Segment};
use super::ledger::{Ledger, Mark, State};
use super::summary::{Progress, Snapshot, Summary};
use super::{Import, ImportError, Options, QuarantineId};
use crate::assembly::{Assembled, assemble_within};
use crate::erasure;
use crate::files::{Beginning, FilePosition};
use crate::mapping::AggregateId;
use crate::mask::Masker;
use crate::mirror::{Applied, ChangeCounts, Mirror, Root};
use crate::suppression::{Digest, Suppression};

/// An aggregate to send, with its state at one time.
struct Work {
    root: Root,
    mark: i64,
    occurred_ms: i64,
    assembled: Assembled,
}

/// The content of one transaction of the mirror's database.
#[derive(Default)]
struct Turn {
    work: Vec<Work>,
    /// Marks to write.
    dirty: HashMap<Root, Mark>,
    /// Aggregates that were decided, with the latest mark: older marks are deleted.
    done: HashMap<Root, i64>,
    /// The mark since which an aggregate is in quarantine, and the reason.
    quarantined: HashMap<Root, (i64, String)>,
    released: Vec<(Root, i64)>,
    commands: Vec<Command>,
    read_to: Vec<(usize, FilePosition)>,
    /// The digests of rows that turned out to belong to an erased person.
    suppressed: Vec<Digest>,
    /// Whether commands with the same mark come from one source transaction and share a correlation.
    one_cause: bool,
    /// Whether missing rows can no longer arrive.
    last: bool,
}

impl Turn {
    /// Marks an aggregate dirty, unless it has a newer mark.
    fn wait(&mut self, root: Root, mark: i64, occurred_ms: i64) {
        if self.dirty.get(&root).is_none_or(|known| known.mark < mark) {
            let mark = Mark { key: root.1.clone(), mark, occurred_ms };
            self.dirty.insert(root, mark);
        }
    }

    /// Records that an aggregate was decided at a mark: only newer marks stay.
    fn decided(&mut self, root: &Root, mark: i64) {
        if self.dirty.get(root).is_some_and(|known| known.mark <= mark) {
            self.dirty.remove(root);
        }
        let done = self.done.entry(root.clone()).or_insert(mark);
        *done = mark.max(*done);
    }
}

/// A round of commands in flight.
struct Flight(AbortOnDropHandle<Result<Vec<Answered>, NotDelivered>>);

/// The results of the last committed turn.
#[derive(Debug, Clone)]
struct Committed {
    state: State,
    changes: ChangeCounts,
    transactions: u64,
}

pub(super) struct Session<'i> {
    import: &'i Import,
    progress: &'i dyn Progress,
    cancel: &'i CancellationToken,
    ledger: Ledger,
    suppression: Suppression,
    /// Whether rows were blanked after they had been written.
    blanked_late: bool,
    mirror: Mirror,
    pub(super) state: State,
    committed: Committed,
    flight: Option<Flight>,
    /// Commands to send after those in flight are answered.
    rounds: VecDeque<Vec<Command>>,
    /// Digests of the last state of each aggregate that is in flight or queued in a round.
    pending: HashMap<Root, String>,
    /// The next free sequence number of the outbox.
    next_seq: i64,
    /// The files' ids in the ledger, and their identities.
    files: Vec<(i64, Beginning)>,
    paths: Vec<PathBuf>,
    /// Whether commands are sent only at the end of the files.
    only_latest: bool,
    /// Whether rows of a whole snapshot were read.
    has_snapshot: bool,
    /// Why the run stops.
    stopped: Option<ImportError>,
    summary: Summary,
    snapshot: Snapshot,
    began: Instant,
}

impl<'i> Session<'i> {
    /// Takes the source over.
    pub(super) async fn begin(
        import: &'i Import,
        progress: &'i dyn Progress,
        cancel: &'i CancellationToken,
    ) -> Result<Self, ImportError> {
        let mapping = &import.mapping;
        let ledger = Ledger { source: mapping.source.clone(), run: new_id() };
        let mut transaction = import.database.begin().await?;
        let (mut state, is_same) = ledger.begin(&mut transaction, mapping).await?;
        if !is_same {
            return Err(ImportError::MirrorOutdated { source_name: mapping.source.clone() });
        }
        state.last_mark += 1;
        for aggregate in &mapping.aggregates {
            // Another program may return another state for every aggregate.
            if ledger.is_new(&mut transaction, &aggregate.name, &aggregate.fingerprint).await? {
                let table = &mapping.tables[aggregate.root].name;
                let now = import.clock.now().timestamp_millis();
                let mark = state.last_mark;
                ledger.mark_all(&mut transaction, &aggregate.name, table, mark, now).await?;
            }
        }
        let names: Vec<&str> = mapping.aggregates().map(|(name, _)| name).collect();
        ledger.keep_only(&mut transaction, &names).await?;
        ledger.advance(&mut transaction, &state).await?;
        let suppressed = ledger.suppressed(&mut transaction).await?;
        let suppression = Suppression::new(import.key.clone(), suppressed);
        let next_seq = ledger.last_seq(&mut transaction).await? + 1;
        transaction.commit().await?;
        let committed =
            Committed { state: state.clone(), changes: ChangeCounts::default(), transactions: 0 };
        let summary = Summary { source: mapping.source.clone(), ..Summary::default() };
        Ok(Self {
            import,
            progress,
            cancel,
            ledger,
            suppression,
            blanked_late: false,
            mirror: Mirror::new(mapping.clone()),
            state,
            committed,
            flight: None,
            rounds: VecDeque::new(),
            pending: HashMap::new(),
            next_seq,
            files: Vec::new(),
            paths: Vec::new(),
            only_latest: false,
            has_snapshot: false,
            stopped: None,
            summary,
            snapshot: Snapshot::default(),
            began: Instant::now(),
        })
    }

    pub(super) async fn run(
        mut self,
        files: &[PathBuf],
        options: Options,
    ) -> Result<Summary, ImportError> {
        self.mirror = self.mirror.allowing_older(options.allow_older);
        // An interrupted restart continues in the mode in which it began.
        self.only_latest = options.only_latest
            || self.state.spilled && self.ledger.has_unsent(&self.import.database).await?;
        self.paths = files.to_vec();
        let was_empty = !self.ledger.has_rows(&self.import.database).await?;
        let places = self.recognise(files, options).await?;
        self.redeliver().await?;
        if !self.state.spilled {
            // Left by a run that was killed, or marked because the mapping changed.
            self.drain(false).await?;
        }
        let masker = Masker::new(self.import.mapping.clone(), self.import.key.clone());
        let mut feed = Feed::start(places, masker);
        // The cursor of reading; `state` describes the mirror.
        let mut cursor = self.state.cursor;
        let sizes = self.import.sizes;
        while !self.cancel.is_cancelled() && self.stopped.is_none() {
            let segments = feed.next(&mut cursor, sizes).await;
            if segments.is_empty() {
                break;
            }
            let mut segments = VecDeque::from(segments);
            while !segments.is_empty() && !self.cancel.is_cancelled() && self.stopped.is_none() {
                self.fold(&mut segments, cursor).await?;
            }
            self.snapshot.bytes_read = feed.bytes_read();
            self.report();
        }
        self.settle().await?;
        let changes = &self.summary.changes;
        self.summary.no_snapshot = was_empty && changes.applied > 0 && !self.has_snapshot;
        if let Some(error) = self.stopped.take() {
            return Err(error);
        }
        if let Some(error) = feed.failure() {
            return Err(error.into());
        }
        if options.snapshot_complete && self.state.cursor.lacks_rows() {
            self.state.cursor = self.state.cursor.ended();
            self.state.spilled = false;
        }
        let complete = !self.cancel.is_cancelled() && !self.state.cursor.in_snapshot;
        if complete {
            self.state.spilled &= !self.only_latest;
            self.drain(true).await?;
            if self.only_latest && self.has_snapshot {
                self.look_for_missing(options.delete_missing).await?;
            }
            let mut transaction = self.open(&self.state).await?;
            if self.only_latest {
                self.ledger.keep_missing(&mut transaction).await?;
            }
            transaction.commit().await?;
        }
        self.finish().await
    }

    pub(super) async fn replay(
        mut self,
        one: Option<&QuarantineId>,
    ) -> Result<Summary, ImportError> {
        self.redeliver().await?;
        self.state.last_mark += 1;
        let mut transaction = self.open(&self.state).await?;
        let now = self.import.clock.now().timestamp_millis();
        self.ledger.replay(&mut transaction, one, self.state.last_mark, now).await?;
        transaction.commit().await?;
        self.committed.state = self.state.clone();
        if !self.state.spilled {
            self.drain(true).await?;
        }
        self.finish().await
    }

    /// Finds out which files were read before, and how far.
    async fn recognise(
        &mut self,
        files: &[PathBuf],
        options: Options,
    ) -> Result<Vec<(PathBuf, Option<FilePosition>)>, ImportError> {
        let mut transaction = self.open(&self.committed.state).await?;
        let mut known = self.ledger.files(&mut transaction).await?;
        let mut places = Vec::with_capacity(files.len());
        for path in files {
            let beginning = Beginning::read(path)?;
            let found = known.iter().position(|file| beginning.was(&file.head));
            let found = found.map(|found| known.remove(found));
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            let id = match &found {
                Some(file) => file.id,
                None => self.ledger.new_file(&mut transaction, &name).await?,
            };
            self.files.push((id, beginning));
            let place = found.map(|file| file.place).filter(|_| !options.from_start);
            places.push((path.clone(), place));
            self.snapshot.bytes_total += size(path);
        }
        transaction.commit().await?;
        Ok(places)
    }

    /// Writes segments to the mirror in one turn, up to the end of a transaction too large to be
    /// processed in memory.
    async fn fold(
        &mut self,
        segments: &mut VecDeque<Segment>,
        cursor: Cursor,
    ) -> Result<(), ImportError> {
        let mapping = self.import.mapping.clone();
        let mut reading = self.import.database.snapshot().await?;
        let mut turn = Turn { one_cause: true, ..Turn::default() };
        let (mut drain, mut bytes) = (false, 0);
        let most = self.import.sizes.of_documents();
        while let Some(mut segment) = segments.pop_front() {
            let found = self.suppression.blank(&mapping, &mut segment.changes);
            let counts = &mut self.summary.changes;
            let roots = match self.mirror.apply(&mut reading, &segment.changes, counts).await? {
                Applied::Touching(roots) => roots,
                Applied::WentBack(at) => {
                    self.stopped = Some(self.went_back(&segment, at));
                    segments.clear();
                    break;
                }
            };
            let (suppression, mirror) = (&mut self.suppression, &mut self.mirror);
            let known = found.len();
            let found = suppression.blank_below(&mapping, mirror, &mut reading, found).await?;
            self.blanked_late |= found.len() > known;
            turn.suppressed.extend(found.iter().map(|found| found.digest));
            self.count(&segment);
            self.state.last_mark += 1;
            let (mark, occurred_ms) = (self.state.last_mark, segment.timestamp_ms);
            turn.read_to.extend(segment.read_to);
            self.state.spilled |=
                self.only_latest || !segment.ended || roots.len() > self.import.sizes.page;
            if self.state.spilled {
                for root in &roots {
                    turn.wait(root.clone(), mark, occurred_ms);
                }
            }
            self.state.cursor = if segment.ended { cursor.ended() } else { cursor };
            if !segment.ended {
                continue;
            }
            self.summary.transactions += 1;
            if self.only_latest {
                continue;
            }
            if self.state.spilled {
                self.state.spilled = false;
                drain = true;
                break;
            }
            for (id, keys) in by_aggregate(roots) {
                let (mirror, of) = (&mut self.mirror, (id, &*keys));
                let room = (&mut bytes, most);
                let assembled = assemble_within(mirror, &mut reading, &mapping, of, room).await?;
                let later = keys[assembled.len()..].to_vec();
                turn.work.extend(keys.into_iter().zip(assembled).map(|(key, assembled)| Work {
                    root: (id, key),
                    mark,
                    occurred_ms,
                    assembled,
                }));
                // Before anything newer is applied.
                drain |= !later.is_empty();
                for key in later {
                    turn.wait((id, key), mark, occurred_ms);
                }
            }
            if drain || bytes >= most {
                break;
            }
        }
        self.close(reading, turn).await?;
        if drain { self.drain(false).await } else { Ok(()) }
    }

    fn went_back(&self, segment: &Segment, at: usize) -> ImportError {
        let change = &segment.changes[at];
        let table = change.row.as_ref().map(|(table, _)| &self.import.mapping.tables[*table].name);
        ImportError::WentBack {
            file: self.paths.get(change.file).cloned().unwrap_or_default(),
            line: change.line,
            table: table.cloned().unwrap_or_default(),
        }
    }

    /// Runs the programs of a turn, commits it together with the answers to the previous commands, and
    /// sends its own. If cancelled meanwhile, the turn has no effect.
    async fn close(&mut self, mut reading: Transaction, mut turn: Turn) -> Result<(), ImportError> {
        let delivered = self.delivered(&mut reading, &turn.work).await?;
        reading.rollback().await?;
        if !self.decide(&delivered, &mut turn).await? {
            let Committed { state, changes, transactions } = self.committed.clone();
            self.state = state;
            (self.summary.changes, self.summary.transactions) = (changes, transactions);
            return Ok(());
        }
        let answers = self.answers().await?;
        let mut transaction = self.open(&self.state).await?;
        // First, because the content of the turn is newer.
        self.record(&mut transaction, &answers).await?;
        self.mirror.flush(&mut transaction).await?;
        self.ledger.suppress(&mut transaction, &turn.suppressed).await?;
        let name = |root: &Root| self.import.mapping.aggregates[root.0].name.as_str();
        let done = turn.done.iter().map(|(root, mark)| (name(root), root.1.as_str(), *mark));
        self.ledger.unmark(&mut transaction, done).await?;
        let marks = turn.dirty.iter().map(|(root, mark)| (name(root), mark));
        self.ledger.mark(&mut transaction, marks).await?;
        let entries = turn.quarantined.iter();
        let entries =
            entries.map(|(root, (mark, why))| (name(root), root.1.as_str(), *mark, why.as_str()));
        let now = self.import.clock.now();
        self.ledger.quarantine(&mut transaction, entries, now).await?;
        let released = turn.released.iter();
        let released = released.map(|(root, mark)| (name(root), root.1.as_str(), *mark));
        self.ledger.release(&mut transaction, released).await?;
        let commands = turn.commands.iter().map(|command| (name(&command.root), command));
        self.ledger.post(&mut transaction, commands).await?;
        let read_to: HashMap<usize, FilePosition> = turn.read_to.into_iter().collect();
        for (file, place) in read_to {
            let (id, beginning) = &self.files[file];
            let head = beginning.head(place.offset);
            self.ledger.read_to(&mut transaction, *id, place, &head).await?;
        }
        transaction.commit().await?;
        self.committed = Committed {
            state: self.state.clone(),
            changes: self.summary.changes.clone(),
            transactions: self.summary.transactions,
        };
        self.next_seq += turn.commands.len() as i64;
        self.dispatch(turn.commands)
    }

    /// Begins to write, with the new progress. This locks the source's row, so that another run can
    /// take the source over before or after this transaction, but not within.
    pub(super) async fn open(&self, state: &State) -> Result<Transaction, ImportError> {
        let mut transaction = self.import.database.begin().await?;
        if self.ledger.advance(&mut transaction, state).await? {
            return Ok(transaction);
        }
        Err(ImportError::Superseded { source_name: self.ledger.source.clone() })
    }

    async fn finish(mut self) -> Result<Summary, ImportError> {
        self.settle().await?;
        let (ledger, database) = (&self.ledger, &self.import.database);
        if self.blanked_late {
            database.scrub(erasure::TABLES).await?;
        }
        self.summary.ignored = ledger.ignored(database).await?;
        self.summary.quarantined = ledger.quarantined(database).await?;
        self.summary.dirty = ledger.dirty_count(database).await?;
        self.summary.waiting = ledger.waiting(database).await?;
        let changes = &self.summary.changes;
        // Heartbeats and tombstones do not show which tables exist.
        if changes.read > changes.no_change + changes.tombstones
            && changes.read == changes.unmapped
            && !self.cancel.is_cancelled()
            && !ledger.has_rows(database).await?
        {
            let mapping = &self.import.mapping;
            let names: Vec<&str> = mapping.tables.iter().map(|table| &*table.name).collect();
            return Err(ImportError::NothingMapped {
                read: changes.read,
                tables_from: mapping.tables_from.clone(),
                tables: names.join(", "),
            });
        }
        self.summary.unfinished_snapshot = self.state.cursor.in_snapshot;
        self.summary.cancelled = self.cancel.is_cancelled();
        metrics::gauge!("import_quarantined", "source" => ledger.source.clone())
            .set(self.summary.quarantined as f64);
        self.report();
        let seconds = self.began.elapsed().as_secs_f64();
        self.summary.elapsed_seconds = seconds;
        self.summary.changes_per_second = self.summary.changes.read as f64 / seconds.max(1e-9);
        Ok(self.summary)
    }

    fn count(&mut self, segment: &Segment) {
        self.has_snapshot |= segment.changes.iter().any(|change| change.snapshot.is_whole());
        let changes = segment.changes.len() as u64;
        self.snapshot.changes += changes;
        metrics::counter!("import_changes_total", "source" => self.ledger.source.clone())
            .increment(changes);
    }

    fn report(&mut self) {
        self.snapshot.elapsed_seconds = self.began.elapsed().as_secs_f64();
        self.progress.update(&self.snapshot);
    }
}

fn by_aggregate(roots: BTreeSet<Root>) -> Vec<(AggregateId, Vec<String>)> {
    let mut grouped: Vec<(AggregateId, Vec<String>)> = Vec::new();
    for (id, key) in roots {
        match grouped.last_mut() {
            Some((last, keys)) if *last == id => keys.push(key),
            _ => grouped.push((id, vec![key])),
        }
    }
    grouped
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |data| data.len())
}
