//! The mirror: the latest masked image of every row, with its position in the source's log, and the
//! references between rows.
//!
//! Rows and links are read from the database when needed, cached for a while, and written together by
//! [`Mirror::flush`] in the caller's transaction.

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
/// A link and the key to which it refers.
pub(crate) type Named = (LinkId, String);
/// An aggregate and the key of its root row.
pub(crate) type Root = (AggregateId, String);

/// Bytes of rows cached between transactions.
const KEPT_ROWS: usize = 24 << 20;
/// Bytes of links cached between transactions.
const KEPT_LINKS: usize = 8 << 20;
/// Bytes of a link to one key, apart from the keys of the rows that refer to it, and bytes per such
/// row.
const LINK: (usize, usize) = (320, 64);

/// Numbers of changes, by result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChangeCounts {
    /// All records.
    pub read: u64,
    /// Rows of a snapshot.
    pub snapshot: u64,
    /// Rows inserted.
    pub created: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Tombstones: they repeat the deletion before them.
    pub tombstones: u64,
    /// Of the above, those of tables that are not mapped.
    pub unmapped: u64,
    /// Of these, those that are not changes of rows, such as heartbeats.
    pub no_change: u64,
    /// Of the above, those not newer than the mirror.
    pub not_newer: u64,
    /// Of these, snapshot rows that differ from the mirror though they were read later than its state:
    /// changes that explain the difference may follow.
    pub behind: u64,
    /// Of the above, those that were applied though their position is below that of the preceding
    /// snapshot row, because they were committed later.
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
    /// Per link and key: the rows that refer to it now, or no longer.
    changed_links: HashMap<Named, HashMap<String, bool>>,
    /// Whether a lower position means older, whatever the time.
    allow_older: bool,
}

/// The result of applying changes.
#[derive(Debug)]
pub(crate) enum Applied {
    /// They are in the mirror, and affect these aggregates.
    Touching(BTreeSet<Root>),
    /// This change has a lower position but a later time than the mirror's state: no change was
    /// applied.
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

    /// The same, with lower positions treated as older, whatever the time.
    pub(crate) fn allowing_older(self, allow_older: bool) -> Self {
        Self { allow_older, ..self }
    }

    /// Drops the cache; everything is read again when needed. Changes were written before.
    pub(crate) fn forget(&mut self) {
        self.rows.clear();
        self.links.clear();
    }

    /// Returns a row that was loaded before.
    pub(crate) fn row(&self, id: &RowId) -> Option<&Arc<Row>> {
        self.rows.get(id).and_then(Option::as_ref)
    }

    /// Returns the rows that refer to a key, loaded before.
    pub(crate) fn naming(&self, named: &Named) -> impl Iterator<Item = &String> {
        self.links.get(named).into_iter().flatten()
    }

    /// Applies changes of one source transaction. Returns the aggregates that they affect: those to
    /// which the rows belonged before it and those to which they belong after it.
    ///
    /// Intermediate states do not matter: an aggregate differs before and after the transaction only if
    /// a row changed that belongs to it before or after.
    ///
    /// Reads what is not cached, and writes nothing.
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

    /// Removes values from a row that was loaded before, without marking its aggregates as affected.
    pub(crate) fn blank(&mut self, id: &RowId, blank: impl FnOnce(&mut Row)) {
        let Some(row) = self.row(id) else { return };
        let mut row = Row::clone(row);
        blank(&mut row);
        self.rows.insert(id.clone(), Some(Arc::new(row)));
        self.changed_rows.insert(id.clone());
    }

    /// Merges changes with the known rows. Rows that only got a newer position are stored at once, the
    /// others are returned; or the change that belongs to another log, and nothing is stored.
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
            // A change of a key is a deletion and a row, which does not repeat unchanged values.
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

    /// Records the keys to which a row refers now and no longer refers.
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
