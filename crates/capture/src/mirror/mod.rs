//! The mirror: the latest masked image of every row, with its place in the source's log, and
//! which rows name which.
//!
//! Rows and links are read from the database as they are needed, kept for a while, and written
//! together by [`Mirror::flush`] in the caller's transaction.

pub(crate) mod row;
pub(crate) mod tables;
mod walk;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use database::{DatabaseError, Transaction};
use serde::Serialize;

use crate::debezium::Operation;
use crate::mapping::{AggregateId, LinkId, Mapping, TableId};
use crate::mask::{Change, Image};
pub(crate) use row::UNPLACED;
use row::{Merged, Row, merge};

/// A row's table and key.
pub(crate) type RowId = (TableId, String);
/// A link and the key it names.
pub(crate) type Named = (LinkId, String);
/// An aggregate and the key of its root row.
pub(crate) type Root = (AggregateId, String);

/// How many bytes of rows stay in memory between transactions.
const KEPT_ROWS: usize = 24 << 20;
/// How many bytes of links do.
const KEPT_LINKS: usize = 8 << 20;
/// What a link to one key takes beside the keys of the rows that name it, and what each of those
/// takes.
const LINK: (usize, usize) = (320, 64);

/// What was done with changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChangeCounts {
    /// All records read.
    pub read: u64,
    /// Rows of a snapshot.
    pub snapshot: u64,
    /// Rows made.
    pub created: u64,
    /// Rows changed.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Tombstones: they say nothing that the deletion before did not say.
    pub tombstones: u64,
    /// Of the above, those of tables that the mapping does not name.
    pub unmapped: u64,
    /// Of these, those that are no change of a row, such as heartbeats.
    pub no_change: u64,
    /// Of the above, those not newer than what the mirror holds.
    pub not_newer: u64,
    /// Of these, rows of a snapshot that say something else than the mirror, though they were read
    /// later than what it holds: changes that make up for it may follow.
    pub behind: u64,
    /// Of the above, those that were taken though their position is below that of the snapshot's row
    /// that they follow, because they were committed later.
    pub below_snapshot: u64,
    /// Of the above, those that changed no stored column.
    pub equal: u64,
    /// Of the above, those that changed the mirror.
    pub applied: u64,
}

/// A row that a transaction changed.
#[derive(Debug)]
struct Touched {
    id: RowId,
    before: Option<Arc<Row>>,
    after: Arc<Row>,
}

fn image(row: &Arc<Row>) -> Option<&Image> {
    row.image.as_ref()
}

/// Rows and links of one source.
#[derive(Debug)]
pub(crate) struct Mirror {
    mapping: Arc<Mapping>,
    rows: HashMap<RowId, Option<Arc<Row>>>,
    links: HashMap<Named, BTreeSet<String>>,
    changed_rows: HashSet<RowId>,
    /// Per link and named key: rows that name it now, or no longer.
    changed_links: HashMap<Named, HashMap<String, bool>>,
    /// Whether what is older by its position is so, whenever it happened.
    allow_older: bool,
}

/// What came of changes.
#[derive(Debug)]
pub(crate) enum Applied {
    /// They are in the mirror, and touch these aggregates.
    Touching(BTreeSet<Root>),
    /// This one is older by its position, but happened later, than what the mirror holds: nothing
    /// is applied.
    WentBack(usize),
}

impl Mirror {
    pub(crate) fn new(mapping: Arc<Mapping>) -> Self {
        Self {
            mapping,
            allow_older: false,
            rows: HashMap::new(),
            links: HashMap::new(),
            changed_rows: HashSet::new(),
            changed_links: HashMap::new(),
        }
    }

    /// The same, taking what is older by its position for older whenever it happened.
    pub(crate) fn allowing_older(self, allow_older: bool) -> Self {
        Self { allow_older, ..self }
    }

    /// Has everything read again when it is needed. What changed was written before.
    pub(crate) fn forget(&mut self) {
        self.rows.clear();
        self.links.clear();
    }

    /// A row that was loaded before.
    pub(crate) fn row(&self, id: &RowId) -> Option<&Arc<Row>> {
        self.rows.get(id).and_then(Option::as_ref)
    }

    /// The rows that name a key, loaded before.
    pub(crate) fn naming(&self, named: &Named) -> impl Iterator<Item = &String> {
        self.links.get(named).into_iter().flatten()
    }

    /// Applies changes of one source transaction. Gives the aggregates they touch: those the rows
    /// belonged to before it and those they belong to after it.
    ///
    /// States in between do not matter: an aggregate differs before and after the transaction
    /// only if a row changed that belongs to it before or after.
    ///
    /// What is not in memory is read, nothing is written.
    pub(crate) async fn apply(
        &mut self,
        reading: &mut Transaction,
        changes: &[Change],
        counts: &mut ChangeCounts,
    ) -> Result<Applied, DatabaseError> {
        self.load_rows(reading, changes.iter().filter_map(|change| change.row.clone())).await?;
        let touched = match self.merge_all(changes, counts) {
            Ok(touched) => touched,
            Err(index) => return Ok(Applied::WentBack(index)),
        };
        let mut roots = BTreeSet::new();
        self.owners(reading, &touched, |touched| touched.before.as_ref(), &mut roots).await?;
        for touched in &touched {
            self.relink(touched);
            self.rows.insert(touched.id.clone(), Some(touched.after.clone()));
        }
        self.owners(reading, &touched, |touched| Some(&touched.after), &mut roots).await?;
        Ok(Applied::Touching(roots))
    }

    /// Takes values out of a row that was loaded before. Nobody is told that it changed.
    pub(crate) fn blank(&mut self, id: &RowId, blank: impl FnOnce(&mut Row)) {
        let Some(row) = self.row(id) else { return };
        let mut row = Row::clone(row);
        blank(&mut row);
        self.rows.insert(id.clone(), Some(Arc::new(row)));
        self.changed_rows.insert(id.clone());
    }

    /// Merges changes with what is known. Rows that only got a newer position are kept at once,
    /// the others are given back; or which change is of another log, and nothing is kept.
    fn merge_all(
        &mut self,
        changes: &[Change],
        total: &mut ChangeCounts,
    ) -> Result<Vec<Touched>, usize> {
        let mut order = Vec::new();
        let mut merged: HashMap<RowId, Row> = HashMap::new();
        let mut counts = total.clone();
        let mut gone: Option<(&Change, Row)> = None;
        for (index, change) in changes.iter().enumerate() {
            counts.read += 1;
            *match change.operation {
                Operation::Snapshot => &mut counts.snapshot,
                Operation::Create => &mut counts.created,
                Operation::Update => &mut counts.updated,
                Operation::Delete => &mut counts.deleted,
                Operation::Tombstone => &mut counts.tombstones,
                Operation::Other => &mut counts.no_change,
            } += 1;
            let Some(id) = &change.row else {
                counts.unmapped += 1;
                continue;
            };
            if change.operation == Operation::Tombstone {
                continue;
            }
            let known = merged.get(id).or_else(|| self.row(id).map(AsRef::as_ref));
            // An update of a key is a deletion and a row, which does not repeat what did not change.
            let moved = gone.take().filter(|(gone, _)| change.is_the_rest_of(gone));
            if let (Operation::Delete, Some(known)) = (change.operation, known) {
                gone = Some((change, known.clone()));
            }
            let known = moved.as_ref().map(|(_, row)| row).or(known);
            let (row, counter) = match merge(known, change) {
                Merged::Ignored => (None, &mut counts.not_newer),
                Merged::Equal(row) => (Some(row), &mut counts.equal),
                Merged::Changed(row) => (Some(row), &mut counts.applied),
                Merged::Open(row) => {
                    counts.below_snapshot += 1;
                    (Some(row), &mut counts.applied)
                }
                Merged::WentBack if !self.allow_older => return Err(index),
                Merged::WentBack => (None, &mut counts.not_newer),
                Merged::Behind => {
                    counts.behind += 1;
                    (None, &mut counts.not_newer)
                }
            };
            *counter += 1;
            if let Some(row) = row
                && merged.insert(id.clone(), row).is_none()
            {
                order.push(id.clone());
            }
        }
        *total = counts;
        let mut touched = Vec::new();
        for id in order {
            let Some(after) = merged.remove(&id).map(Arc::new) else {
                continue;
            };
            self.changed_rows.insert(id.clone());
            let before = self.row(&id).cloned();
            let same = |before: &Arc<Row>| {
                before.image == after.image && before.unknown() == after.unknown()
            };
            if before.as_ref().is_some_and(same) {
                self.rows.insert(id, Some(after));
            } else {
                touched.push(Touched { id, before, after });
            }
        }
        Ok(touched)
    }

    /// Notes which keys a row names now and no longer names.
    fn relink(&mut self, touched: &Touched) {
        let mapping = self.mapping.clone();
        let (table, key) = &touched.id;
        for &id in &mapping.tables[*table].links {
            let link = &mapping.links[id];
            let target = |image: Option<&Image>| link.target(image?);
            let before = target(touched.before.as_ref().and_then(image));
            let after = target(image(&touched.after));
            if before == after {
                continue;
            }
            for (value, names) in [(before, false), (after, true)] {
                let Some(value) = value else { continue };
                let named = (id, value);
                if let Some(known) = self.links.get_mut(&named) {
                    if names {
                        known.insert(key.clone());
                    } else {
                        known.remove(key);
                    }
                }
                self.changed_links.entry(named).or_default().insert(key.clone(), names);
            }
        }
    }
}
