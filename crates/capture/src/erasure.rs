//! Removes an erased person from the data of capture: mirrored rows, queued commands, and everything
//! else about the aggregate. Later records about the person are suppressed as they are read.

use std::collections::{BTreeMap, HashSet};

use database::{Database, DatabaseError, Statement, Transaction};
use kernel::keys::SecretKey;
use kernel::sync::LegacyReference;
use uuid::Uuid;

use crate::mapping::{AggregateId, Mapping, TableId};
use crate::mask::Image;
use crate::mirror::Root;
use crate::suppression::{Digest, Extent, Suppression, blank, extent_of_root};

database::statements! {
    /// Every statement of this file.
    #[cfg(test)]
    pub(crate) const STATEMENTS: [Statement];

    /// Stops a running import: it may have data about the person in memory.
    const INTERRUPT: Statement =
        Statement::Same("UPDATE capture_source SET run = $2 WHERE source = $1 RETURNING mapping");
    const LINKED: Statement =
        Statement::Same("SELECT key FROM mirror_link WHERE source = $1 AND link = $2 AND value = $3");
    const ROW: Statement = Statement::Same(
        "SELECT image, carried FROM mirror_row WHERE source = $1 AND tbl = $2 AND key = $3",
    );
    const BLANK: Statement = Statement::Same(
        "UPDATE mirror_row SET image = $4, carried = $5 WHERE source = $1 AND tbl = $2 AND key = $3",
    );
    /// The queued commands are made again from the current rows.
    const POSTPONE: Statement = Statement::Same(
        "INSERT INTO dirty (source, aggregate, key, mark, occurred_ms) \
         SELECT outbox.source, aggregate, key, last_mark, max(occurred_ms) FROM outbox \
         JOIN capture_source ON capture_source.source = outbox.source \
         WHERE outbox.source = $1 AND aggregate = $2 AND key = $3 \
         GROUP BY outbox.source, aggregate, key, last_mark \
         ON CONFLICT (source, aggregate, key) DO UPDATE SET mark = excluded.mark",
    );
    const CLEAR_OUTBOX: Statement =
        Statement::Same("DELETE FROM outbox WHERE source = $1 AND aggregate = $2 AND key = $3");
    const CLEAR_DIRTY: Statement =
        Statement::Same("DELETE FROM dirty WHERE source = $1 AND aggregate = $2 AND key = $3");
    const CLEAR_DELIVERED: Statement =
        Statement::Same("DELETE FROM delivered WHERE source = $1 AND aggregate = $2 AND key = $3");
    const CLEAR_QUARANTINE: Statement =
        Statement::Same("DELETE FROM quarantine WHERE source = $1 AND aggregate = $2 AND key = $3");
    pub(crate) const SUPPRESS: Statement = Statement::Same(
        "INSERT INTO suppressed_row (source, digest) SELECT $1, atom FROM json_each($2) WHERE TRUE \
         ON CONFLICT (source, digest) DO NOTHING",
    );
    pub(crate) const SUPPRESSED: Statement =
        Statement::Same("SELECT digest FROM suppressed_row WHERE source = $1");
}

/// The tables from which data is removed.
pub(crate) const TABLES: &[&str] = &["mirror_row", "outbox", "dirty", "delivered", "quarantine"];

/// Erases the person who is the root of the aggregate with this command and origin. From now on no
/// data about the person is imported from that legacy system. A repeated call changes nothing.
///
/// A running import is interrupted and must be run again.
pub async fn erase(
    database: &Database,
    key: &SecretKey,
    command: &str,
    person: &LegacyReference,
) -> Result<(), DatabaseError> {
    let mut transaction = database.begin().await?;
    let interrupt = transaction.query(&INTERRUPT).bind(&person.source).bind(Uuid::nil());
    let mapping: Option<String> = interrupt.scalar_optional().await?;
    let mut erasure = MirrorErasure {
        source: &person.source,
        suppression: Suppression::new(key.clone(), []),
        digests: Vec::new(),
    };
    erasure.suppress(erasure.suppression.of_root(command, &person.id));
    if let Some(mapping) = mapping {
        let mapping = Mapping::stored(&mapping).map_err(|error| DatabaseError::Damaged {
            column: "mapping".to_owned(),
            reason: error.to_string(),
        })?;
        if let Some((aggregate, key)) = mapping.referenced(command, &person.id) {
            erasure.erase(&mut transaction, &mapping, aggregate, key).await?;
        }
    }
    let digests: Vec<String> = erasure.digests.iter().map(hex::encode).collect();
    transaction.query(&SUPPRESS).bind(&person.source).bind_json(&digests).execute().await?;
    transaction.commit().await?;
    database.scrub(TABLES).await
}

struct MirrorErasure<'s> {
    source: &'s str,
    suppression: Suppression,
    digests: Vec<Digest>,
}

impl MirrorErasure<'_> {
    fn suppress(&mut self, digest: Digest) {
        if self.suppression.add(digest) {
            self.digests.push(digest);
        }
    }

    async fn erase(
        &mut self,
        transaction: &mut Transaction,
        mapping: &Mapping,
        person: AggregateId,
        key: &str,
    ) -> Result<(), DatabaseError> {
        let root = mapping.aggregates[person].root;
        let extent = extent_of_root(mapping, root);
        self.blank_all(transaction, mapping, extent, (person, key.to_owned())).await?;
        let name = &mapping.aggregates[person].name;
        for clear in [&CLEAR_OUTBOX, &CLEAR_DIRTY, &CLEAR_DELIVERED, &CLEAR_QUARANTINE] {
            transaction.query(clear).bind(self.source).bind(name).bind(key).execute().await?;
        }
        // The other aggregates made from the same row.
        for other in mapping.rooted_in(root).filter(|other| *other != person) {
            let other = (other, key.to_owned());
            self.blank_all(transaction, mapping, Extent::Personal, other).await?;
        }
        // The other aggregates whose root row names the person.
        for (id, aggregate) in mapping.aggregates.iter().enumerate() {
            for place in aggregate.nodes.iter().filter(|place| place.is_named_by_root()) {
                let Some(edge) = place.edge else { continue };
                if place.table != mapping.aggregates[person].root {
                    continue;
                }
                let name = mapping.link_name(edge.link);
                let linked = transaction.query(&LINKED).bind(self.source).bind(&name).bind(key);
                for root in linked.scalars::<String>().await? {
                    self.blank_all(transaction, mapping, Extent::Personal, (id, root)).await?;
                }
            }
        }
        Ok(())
    }

    /// Blanks the rows of an aggregate that belong to the person, and of the aggregates that are listed
    /// in it, and has the queued commands of aggregates other than the person made again.
    async fn blank_all(
        &mut self,
        transaction: &mut Transaction,
        mapping: &Mapping,
        extent: Extent,
        root: Root,
    ) -> Result<(), DatabaseError> {
        let mut left = vec![(root, extent)];
        let mut done: HashSet<Root> = HashSet::new();
        while let Some((root, extent)) = left.pop() {
            if !done.insert(root.clone()) {
                continue;
            }
            let (aggregate, key) = &root;
            let found = self.blank_one(transaction, mapping, extent, (*aggregate, key)).await?;
            if extent == Extent::Personal {
                let name = &mapping.aggregates[*aggregate].name;
                for statement in [&POSTPONE, &CLEAR_OUTBOX] {
                    let query = transaction.query(statement).bind(self.source);
                    query.bind(name).bind(key).execute().await?;
                }
            }
            left.extend(found.into_iter().map(|root| (root, Extent::Personal)));
        }
        Ok(())
    }

    /// Blanks the root row of an aggregate, the rows that name it as their owner, and the rows that
    /// those name. Returns the roots of other aggregates that are listed among them.
    async fn blank_one(
        &mut self,
        transaction: &mut Transaction,
        mapping: &Mapping,
        extent: Extent,
        (aggregate, root): (AggregateId, &str),
    ) -> Result<Vec<Root>, DatabaseError> {
        let nodes = &mapping.aggregates[aggregate].nodes;
        let mut listed = Vec::new();
        // Per place, the original rows; parents come first.
        let mut rows: Vec<Vec<(String, Extent, Option<Image>)>> = vec![Vec::new(); nodes.len()];
        for (node, place) in nodes.iter().enumerate() {
            let table = &mapping.tables[place.table];
            let mut here: Vec<(String, Extent)> = Vec::new();
            match place.edge {
                None => here.push((root.to_owned(), extent)),
                Some(edge) if place.is_owned() => {
                    let name = mapping.link_name(edge.link);
                    for (owner, extent, _) in &rows[edge.parent] {
                        let linked = transaction.query(&LINKED).bind(self.source).bind(&name);
                        let linked = linked.bind(owner).scalars::<String>().await?;
                        let extent = extent.of_owned(table);
                        here.extend(linked.into_iter().map(|key| (key, extent)));
                    }
                }
                // Rows with an owner of their own.
                Some(_) if table.is_root() => {}
                Some(edge) => {
                    let images =
                        rows[edge.parent].iter().filter_map(|(_, _, image)| image.as_ref());
                    let named = images.filter_map(|image| mapping.links[edge.link].target(image));
                    here.extend(named.map(|key| (key, Extent::Personal)));
                }
            }
            for (key, extent) in here {
                let before = self.blank(transaction, mapping, extent, place.table, &key).await?;
                if node > 0 && table.is_root() {
                    let roots = table.uses.iter().filter(|(_, node)| *node == 0);
                    listed.extend(roots.map(|(aggregate, _)| (*aggregate, key.clone())));
                }
                rows[node].push((key, extent, before));
            }
        }
        Ok(listed)
    }

    /// Blanks a row. Returns its former content.
    async fn blank(
        &mut self,
        transaction: &mut Transaction,
        mapping: &Mapping,
        extent: Extent,
        table: TableId,
        key: &str,
    ) -> Result<Option<Image>, DatabaseError> {
        let table = &mapping.tables[table];
        self.suppress(self.suppression.of_row(extent, &table.name, key));
        let row = transaction.query(&ROW).bind(self.source).bind(&table.name).bind(key);
        let Some(row) = row.fetch_optional().await? else { return Ok(None) };
        let Some(before) = row.json::<Option<Image>>("image")? else { return Ok(None) };
        let mut image = before.clone();
        let carried: Option<BTreeMap<String, Option<i64>>> = row.json("carried")?;
        blank(table, extent, &mut image);
        let still_there = |(column, _): &(String, Option<i64>)| {
            extent == Extent::Personal && !table.personal.contains(column)
        };
        let carried: BTreeMap<_, _> =
            carried.unwrap_or_default().into_iter().filter(still_there).collect();
        transaction
            .query(&BLANK)
            .bind(self.source)
            .bind(&table.name)
            .bind(key)
            .bind_json(&image)
            .bind_json(&(!carried.is_empty()).then_some(carried))
            .execute()
            .await?;
        Ok(Some(before))
    }
}
