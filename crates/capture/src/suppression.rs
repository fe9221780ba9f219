//! Suppression: the data of erased people that the mirror may still contain.
//!
//! These rows are identified by keyed digests of their tables and keys. A row that *is* about the
//! person (the root of its aggregate, and the rows that refer to it as their owner) keeps its key and
//! the columns that join it to other rows, so that documents can still be assembled. A row in which the
//! person only appears loses the `personal` columns of the mapping: a row to which such a row refers, a
//! row that is the root of an aggregate of its own, and the rows of aggregates that refer to the
//! person.

use std::collections::HashSet;

use database::{DatabaseError, Transaction};
use kernel::keys::SecretKey;
use serde_json::Value;

use crate::mapping::{AggregateId, Mapping, NodeId, Table, TableId};
use crate::mask::{Change, Image};
use crate::mirror::row::Row;
use crate::mirror::{Mirror, Named, RowId};

/// Purpose of the digests.
const PURPOSE: &str = "capture.suppressed";

/// The part of a row that is about an erased person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Extent {
    /// The whole row.
    Row,
    /// Its personal columns.
    Personal,
}

impl Extent {
    /// Returns the part of a row that is about the person, given that of its owner. A row that is the
    /// root of an aggregate remains as such: only its personal columns are emptied.
    pub(crate) fn of_owned(self, table: &Table) -> Self {
        if table.is_root() { Self::Personal } else { self }
    }
}

/// Returns the rows to which a row about an erased person refers, with the part that is about the
/// person. Roots of aggregates of their own are about themselves.
pub(crate) fn named_by(mapping: &Mapping, table: TableId, image: &Image) -> Vec<(RowId, Extent)> {
    let mut named = Vec::new();
    for &(aggregate, node) in &mapping.tables[table].uses {
        let nodes = &mapping.aggregates[aggregate].nodes;
        for place in nodes[node].children.iter().map(|&child| &nodes[child]) {
            let below = &mapping.tables[place.table];
            let says_something = !below.personal.is_empty() || !place.children.is_empty();
            let Some(edge) = place.edge.filter(|_| !place.is_owned()) else { continue };
            if below.is_root() || !says_something {
                continue;
            }
            if let Some(key) = mapping.links[edge.link].target(image) {
                named.push(((place.table, key), Extent::Personal));
            }
        }
    }
    named
}

/// A row that turned out to be about an erased person.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The row.
    pub(crate) id: RowId,
    /// The part of it.
    pub(crate) extent: Extent,
    /// Its digest.
    pub(crate) digest: Digest,
}

/// A digest that identifies a row.
pub(crate) type Digest = [u8; 32];

/// The rows of one source that are about erased people.
#[derive(Debug, Clone)]
pub(crate) struct Suppression {
    key: SecretKey,
    digests: HashSet<Digest>,
}

impl Suppression {
    pub(crate) fn new(key: SecretKey, digests: impl IntoIterator<Item = Digest>) -> Self {
        Self { key, digests: digests.into_iter().collect() }
    }

    /// Returns the digest of the root row of an aggregate, from its command and its key as modules know
    /// it: only the mapping defines its table, and an erasure may come before there is a mapping.
    pub(crate) fn of_root(&self, command: &str, reference: &str) -> Digest {
        self.key.digest(PURPOSE, &format!("root\n{command}\n{reference}"))
    }

    /// Returns the digest of another row.
    pub(crate) fn of_row(&self, extent: Extent, table: &str, key: &str) -> Digest {
        let extent = match extent {
            Extent::Row => "row",
            Extent::Personal => "personal",
        };
        self.key.digest(PURPOSE, &format!("{extent}\n{table}\n{key}"))
    }

    pub(crate) fn add(&mut self, digest: Digest) -> bool {
        self.digests.insert(digest)
    }

    /// Returns whether an aggregate is about an erased person.
    pub(crate) fn holds_root(&self, mapping: &Mapping, aggregate: AggregateId, key: &str) -> bool {
        let aggregate = &mapping.aggregates[aggregate];
        !self.digests.is_empty()
            && self.digests.contains(&self.of_root(&aggregate.command, &aggregate.reference(key)))
    }

    /// Returns whether the root row of an aggregate is also that of an erased person.
    fn holds_sharer(
        &self,
        mapping: &Mapping,
        aggregate: AggregateId,
        node: NodeId,
        key: &str,
    ) -> bool {
        let root = mapping.aggregates[aggregate].root;
        let mut others = mapping.rooted_in(root).filter(|other| *other != aggregate);
        node == 0 && others.any(|other| self.holds_root(mapping, other, key))
    }

    /// Removes the data of erased people from changes. Returns the rows that are affected because of
    /// another one, and were not known before: rows below them may have come earlier, see
    /// [`Self::blank_below`].
    pub(crate) fn blank(&mut self, mapping: &Mapping, changes: &mut [Change]) -> Vec<Found> {
        let mut found = Vec::new();
        if self.digests.is_empty() {
            return found;
        }
        // A row may come before its owner.
        let mut known = usize::MAX;
        while known != found.len() {
            known = found.len();
            for change in &mut *changes {
                let (Some((table, key)), Some(image)) = (&change.row, &mut change.image) else {
                    continue;
                };
                let Some(extent) = self.extent(mapping, *table, key, image) else { continue };
                blank(&mapping.tables[*table], extent, image);
                if extent == Extent::Row {
                    change.unavailable.clear();
                } else {
                    let personal = &mapping.tables[*table].personal;
                    change.unavailable.retain(|column| !personal.contains(column));
                }
                let id = (*table, key.clone());
                let named = named_by(mapping, *table, image);
                for (id, extent) in std::iter::once((id, extent)).chain(named) {
                    let digest = self.of_row(extent, &mapping.tables[id.0].name, &id.1);
                    if self.add(digest) {
                        found.push(Found { id, extent, digest });
                    }
                }
            }
        }
        found
    }

    /// Removes from the mirror the rows below rows that turned out to be about erased people: in a
    /// snapshot the lines of a sale may come before the sale. Adds the rows to the given ones.
    pub(crate) async fn blank_below(
        &mut self,
        mapping: &Mapping,
        mirror: &mut Mirror,
        reading: &mut Transaction,
        mut found: Vec<Found>,
    ) -> Result<Vec<Found>, DatabaseError> {
        let mut next = 0;
        while let Some(Found { id, extent, .. }) = found.get(next).cloned() {
            next += 1;
            mirror.load_rows(reading, [id.clone()]).await?;
            let (above, key) = &id;
            let table = &mapping.tables[*above];
            mirror.blank(&id, |row| blank_row(table, extent, row));
            let mut below: Vec<Named> = Vec::new();
            for &(aggregate, node) in &table.uses {
                let places = mapping.aggregates[aggregate].nodes.iter();
                for place in places.filter(|place| place.is_owned()) {
                    if let Some(edge) = place.edge.filter(|edge| edge.parent == node) {
                        below.push((edge.link, key.clone()));
                    }
                }
            }
            mirror.load_links(reading, below.clone()).await?;
            let mut rows: Vec<(RowId, Extent)> = Vec::new();
            for named in below {
                let table = mapping.links[named.0].table;
                let extent = extent.of_owned(&mapping.tables[table]);
                rows.extend(mirror.naming(&named).map(|row| ((table, row.clone()), extent)));
            }
            let image = mirror.row(&id).and_then(|row| row.image.as_ref());
            rows.extend(image.into_iter().flat_map(|image| named_by(mapping, id.0, image)));
            for (id, extent) in rows {
                let digest = self.of_row(extent, &mapping.tables[id.0].name, &id.1);
                if self.add(digest) {
                    found.push(Found { id, extent, digest });
                }
            }
        }
        Ok(found)
    }

    /// Returns the part of a row that is about an erased person, as far as the row itself shows.
    fn extent(&self, mapping: &Mapping, id: TableId, key: &str, image: &Image) -> Option<Extent> {
        let table = &mapping.tables[id];
        let holds = |extent| self.digests.contains(&self.of_row(extent, &table.name, key));
        let person = table
            .uses
            .iter()
            .any(|&(aggregate, node)| node == 0 && self.holds_root(mapping, aggregate, key));
        if person && extent_of_root(mapping, id) == Extent::Row {
            return Some(Extent::Row);
        }
        if holds(Extent::Row) {
            return Some(Extent::Row.of_owned(table));
        }
        let mut found = (person || holds(Extent::Personal)).then_some(Extent::Personal);
        for &(aggregate, node) in &table.uses {
            let nodes = &mapping.aggregates[aggregate].nodes;
            if node == 0 {
                // The person may appear in it: a column of the root row refers to them.
                let named_by_it = nodes.iter().filter(|place| place.is_named_by_root());
                for place in named_by_it {
                    let Some(edge) = place.edge else { continue };
                    let link = &mapping.links[edge.link];
                    let Some(named) = link.target(image) else { continue };
                    let mut people = mapping.rooted_in(place.table);
                    if people.any(|person| self.holds_root(mapping, person, &named)) {
                        found = Some(Extent::Personal);
                    }
                }
                continue;
            }
            let Some(edge) = nodes[node].edge.filter(|_| nodes[node].is_owned()) else { continue };
            let link = &mapping.links[edge.link];
            let Some(owner) = link.target(image) else { continue };
            let owners = &mapping.tables[nodes[edge.parent].table].name;
            let owned = |extent| self.digests.contains(&self.of_row(extent, owners, &owner));
            let of_person = edge.parent == 0 && self.holds_root(mapping, aggregate, &owner);
            if owned(Extent::Row) || of_person {
                if Extent::Row.of_owned(table) == Extent::Row {
                    return Some(Extent::Row);
                }
                found = Some(Extent::Personal);
            }
            if owned(Extent::Personal) || self.holds_sharer(mapping, aggregate, edge.parent, &owner)
            {
                found = Some(Extent::Personal);
            }
        }
        found
    }
}

/// Returns the part of the root row of a person to remove. If another aggregate is made from the row,
/// the row remains for it.
pub(crate) fn extent_of_root(mapping: &Mapping, table: TableId) -> Extent {
    if mapping.rooted_in(table).count() > 1 { Extent::Personal } else { Extent::Row }
}

/// The same for a row of the mirror.
pub(crate) fn blank_row(table: &Table, extent: Extent, row: &mut Row) {
    if let Some(image) = &mut row.image {
        blank(table, extent, image);
    }
    row.carried.retain(|column, _| extent == Extent::Personal && !table.personal.contains(column));
}

/// Removes the data about the person from a row. Columns that join it to other rows stay.
pub(crate) fn blank(table: &Table, extent: Extent, image: &mut Image) {
    for (column, value) in image.iter_mut() {
        let goes = match extent {
            Extent::Row => !table.key.contains(column) && !table.joins(column),
            Extent::Personal => table.personal.contains(column),
        };
        if goes {
            *value = Value::Null;
        }
    }
}
