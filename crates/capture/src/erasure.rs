//! Takes an erased person out of what capture keeps: the mirrored rows, the commands that wait, and
//! whatever else is known of the aggregate. What comes of it later is suppressed as it is read.

use std::collections::BTreeMap;

use database::{Database, DatabaseError, Statement, Transaction};
use kernel::keys::SecretKey;
use kernel::sync::LegacyReference;
use uuid::Uuid;

use crate::mapping::{AggregateId, Mapping, TableId};
use crate::mask::Image;
use crate::suppression::{Digest, Extent, Suppression, blank, extent_of_root};

/// Stops the import that runs, if one does: what it has in memory may be about the person.
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
/// The commands that wait are made again of the rows as they are now.
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

/// Every statement of this file, for a test that prepares them all.
#[cfg(test)]
pub(crate) const STATEMENTS: [Statement; 11] = [
    INTERRUPT,
    LINKED,
    ROW,
    BLANK,
    POSTPONE,
    CLEAR_OUTBOX,
    CLEAR_DIRTY,
    CLEAR_DELIVERED,
    CLEAR_QUARANTINE,
    SUPPRESS,
    SUPPRESSED,
];

/// The tables that lose something.
pub(crate) const TABLES: &[&str] = &["mirror_row", "outbox", "dirty", "delivered", "quarantine"];

/// Erases the person who is the root of the aggregate with this command, imported from there. From
/// now on nothing about the person is taken from that legacy system. Doing it again changes
/// nothing.
///
/// An import that runs is interrupted and has to be run again.
pub async fn erase(
    database: &Database,
    key: &SecretKey,
    command: &str,
    person: &LegacyReference,
) -> Result<(), DatabaseError> {
    let mut transaction = database.begin().await?;
    let interrupt = transaction.query(&INTERRUPT).bind(&person.source).bind(Uuid::nil());
    let mapping: Option<String> = interrupt.scalar_optional().await?;
    let mut erasure = Erasure {
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

struct Erasure<'s> {
    source: &'s str,
    suppression: Suppression,
    digests: Vec<Digest>,
}

impl Erasure<'_> {
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
        self.blank_all(transaction, mapping, extent, person, key).await?;
        let name = &mapping.aggregates[person].name;
        for clear in [&CLEAR_OUTBOX, &CLEAR_DIRTY, &CLEAR_DELIVERED, &CLEAR_QUARANTINE] {
            transaction.query(clear).bind(self.source).bind(name).bind(key).execute().await?;
        }
        // The others that are made of the same row.
        for other in mapping.rooted_in(root).filter(|other| *other != person) {
            self.blank_all(transaction, mapping, Extent::Personal, other, key).await?;
            self.postpone(transaction, &mapping.aggregates[other].name, key).await?;
        }
        // The others in whose root row the person is named.
        for (id, aggregate) in mapping.aggregates.iter().enumerate() {
            for place in aggregate.nodes.iter().filter(|place| place.is_named_by_root()) {
                let Some(edge) = place.edge else { continue };
                if place.table != mapping.aggregates[person].root {
                    continue;
                }
                let name = mapping.link_name(edge.link);
                let linked = transaction.query(&LINKED).bind(self.source).bind(&name).bind(key);
                for root in linked.scalars::<String>().await? {
                    self.blank_all(transaction, mapping, Extent::Personal, id, &root).await?;
                    self.postpone(transaction, &aggregate.name, &root).await?;
                }
            }
        }
        Ok(())
    }

    /// What an aggregate was to be told may speak of the person: it is put together afresh.
    async fn postpone(
        &self,
        transaction: &mut Transaction,
        aggregate: &str,
        root: &str,
    ) -> Result<(), DatabaseError> {
        for statement in [&POSTPONE, &CLEAR_OUTBOX] {
            let query = transaction.query(statement).bind(self.source).bind(aggregate);
            query.bind(root).execute().await?;
        }
        Ok(())
    }

    /// Blanks the root row of an aggregate and the rows that name it as their owner.
    async fn blank_all(
        &mut self,
        transaction: &mut Transaction,
        mapping: &Mapping,
        extent: Extent,
        aggregate: AggregateId,
        root: &str,
    ) -> Result<(), DatabaseError> {
        let nodes = &mapping.aggregates[aggregate].nodes;
        // Per place, the keys of the rows there; parents come first.
        let mut rows: Vec<Vec<String>> = vec![Vec::new(); nodes.len()];
        rows[0].push(root.to_owned());
        for (node, place) in nodes.iter().enumerate() {
            if let Some(edge) = place.edge.filter(|_| place.is_owned()) {
                let name = mapping.link_name(edge.link);
                for owner in rows[edge.parent].clone() {
                    let linked = transaction.query(&LINKED).bind(self.source).bind(&name);
                    rows[node].extend(linked.bind(&owner).scalars::<String>().await?);
                }
            }
            for key in rows[node].clone() {
                self.blank(transaction, mapping, extent, place.table, &key).await?;
            }
        }
        Ok(())
    }

    async fn blank(
        &mut self,
        transaction: &mut Transaction,
        mapping: &Mapping,
        extent: Extent,
        table: TableId,
        key: &str,
    ) -> Result<(), DatabaseError> {
        let table = &mapping.tables[table];
        self.suppress(self.suppression.of_row(extent, &table.name, key));
        let row = transaction.query(&ROW).bind(self.source).bind(&table.name).bind(key);
        let Some(row) = row.fetch_optional().await? else { return Ok(()) };
        let Some(mut image) = row.json::<Option<Image>>("image")? else { return Ok(()) };
        let carried: Option<BTreeMap<String, Option<i64>>> = row.json("carried")?;
        blank(table, mapping, extent, &mut image);
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
        Ok(())
    }
}
