//! The mirror's rows and links in the database. Lists are passed as one JSON parameter, so that a
//! statement is one round trip whatever their length.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use database::{DatabaseError, Statement, Transaction};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use super::row::{Row, weight};
use super::{KEPT_LINKS, KEPT_ROWS, LINK, Mirror, Named, RowId, row};
use crate::mapping::{LinkId, TableId};
use crate::mask::Image;

// Lists are looked up entry by entry on PostgreSQL: `OFFSET 0` keeps the planner from turning the
// look-up into a join. It would plan that once, while the table is small, and then read all rows of the
// source each time until statistics are gathered again.

database::statements! {
    /// Every statement of this file.
    #[cfg(test)]
    pub(crate) const STATEMENTS: [Statement];

    const ROWS: Statement = Statement::PerEngine {
        sqlite: "SELECT key, position, image, carried, stamp FROM mirror_row \
                 WHERE source = $1 AND tbl = $2 AND key IN (SELECT atom FROM json_each($3))",
        postgres: "SELECT found.key, found.position, found.image, found.carried, found.stamp \
                   FROM json_each($3) AS wanted CROSS JOIN LATERAL \
                   (SELECT key, position, image, carried, stamp FROM mirror_row \
                   WHERE source = $1 AND tbl = $2 AND key = wanted.atom OFFSET 0) AS found",
    };
    const LINKS: Statement = Statement::PerEngine {
        sqlite: "SELECT value, key FROM mirror_link \
                 WHERE source = $1 AND link = $2 AND value IN (SELECT atom FROM json_each($3))",
        postgres: "SELECT found.value, found.key FROM json_each($3) AS wanted CROSS JOIN LATERAL \
                   (SELECT value, key FROM mirror_link \
                   WHERE source = $1 AND link = $2 AND value = wanted.atom OFFSET 0) AS found",
    };
    const WRITE_ROWS: Statement = Statement::Same(
        "INSERT INTO mirror_row (source, tbl, key, position, image, carried, stamp) \
         SELECT $1, value ->> 0, value ->> 1, CAST(value ->> 2 AS bigint), value ->> 3, value ->> 4, value ->> 5 \
         FROM json_each($2) WHERE TRUE ON CONFLICT (source, tbl, key) DO UPDATE SET \
         position = excluded.position, image = excluded.image, carried = excluded.carried, \
         stamp = excluded.stamp",
    );
    const ADD_LINKS: Statement = Statement::Same(
        "INSERT INTO mirror_link (source, link, value, key) \
         SELECT $1, value ->> 0, value ->> 1, value ->> 2 FROM json_each($2) WHERE TRUE \
         ON CONFLICT (source, link, value, key) DO NOTHING",
    );
    const REMOVE_LINKS: Statement = Statement::Same(
        "DELETE FROM mirror_link WHERE (source, link, value, key) IN \
         (SELECT $1, value ->> 0, value ->> 1, value ->> 2 FROM json_each($2))",
    );
}

/// Entries per statement when writing.
const CHUNK: usize = 2_000;

impl Mirror {
    /// Loads rows into the cache.
    pub(crate) async fn load_rows(
        &mut self,
        reading: &mut Transaction,
        ids: impl IntoIterator<Item = RowId>,
    ) -> Result<(), DatabaseError> {
        let mut missing: BTreeMap<TableId, BTreeSet<String>> = BTreeMap::new();
        for id in ids {
            if !self.rows.contains_key(&id) {
                missing.entry(id.0).or_default().insert(id.1);
            }
        }
        for (table, keys) in missing {
            let stored = reading
                .query(&ROWS)
                .bind(&self.mapping.source)
                .bind(&self.mapping.tables[table].name)
                .bind_json(&keys)
                .fetch_all()
                .await?;
            self.rows.extend(keys.into_iter().map(|key| ((table, key), None)));
            for stored in stored {
                let image: Option<Image> = stored.json("image")?;
                let stamp: Option<String> = stored.get("stamp")?;
                let stamp = stamp.map(|text| {
                    text.parse().map_err(|reason| DatabaseError::Damaged {
                        column: "stamp".to_owned(),
                        reason,
                    })
                });
                let row = Row {
                    position: stored.get("position")?,
                    size: image.as_ref().map_or(0, weight),
                    image,
                    stamp: stamp.transpose()?,
                    carried: stored.json::<Option<_>>("carried")?.unwrap_or_default(),
                };
                self.rows.insert((table, stored.get("key")?), Some(Arc::new(row)));
            }
        }
        Ok(())
    }

    /// Loads the rows that refer to these keys into the cache.
    pub(crate) async fn load_links(
        &mut self,
        reading: &mut Transaction,
        named: Vec<Named>,
    ) -> Result<(), DatabaseError> {
        let mut missing: BTreeMap<LinkId, BTreeSet<String>> = BTreeMap::new();
        for (link, value) in named {
            if !self.links.contains_key(&(link, value.clone())) {
                missing.entry(link).or_default().insert(value);
            }
        }
        for (link, values) in missing {
            let stored = reading
                .query(&LINKS)
                .bind(&self.mapping.source)
                .bind(self.mapping.link_name(link))
                .bind_json(&values)
                .fetch_all()
                .await?;
            let mut found: HashMap<String, BTreeSet<String>> =
                values.into_iter().map(|value| (value, BTreeSet::new())).collect();
            for stored in stored {
                found.entry(stored.get("value")?).or_default().insert(stored.get("key")?);
            }
            for (value, mut keys) in found {
                let named = (link, value);
                for (key, names) in self.changed_links.get(&named).into_iter().flatten() {
                    if *names {
                        keys.insert(key.clone());
                    } else {
                        keys.remove(key);
                    }
                }
                self.links.insert(named, keys);
            }
        }
        Ok(())
    }

    /// Writes the changes. The cache is valid only if the transaction is then committed.
    pub(crate) async fn flush(
        &mut self,
        transaction: &mut Transaction,
    ) -> Result<(), DatabaseError> {
        let mapping = self.mapping.clone();
        let mut rows = Vec::with_capacity(self.changed_rows.len());
        for (table, key) in self.changed_rows.drain() {
            let id = (table, key);
            let Some(row) = self.rows.get(&id).and_then(Option::as_ref) else {
                continue;
            };
            let image = row.image.as_ref().map(Document);
            let carried = (!row.carried.is_empty()).then_some(Document(&row.carried));
            let stamp = row.stamp.as_ref().map(ToString::to_string);
            rows.push((&mapping.tables[table].name, id.1, row.position, image, carried, stamp));
        }
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for ((link, value), keys) in self.changed_links.drain() {
            let name = mapping.link_name(link);
            for (key, names) in keys {
                let entry = (name.clone(), value.clone(), key);
                if names { added.push(entry) } else { removed.push(entry) }
            }
        }
        write(transaction, &mapping.source, &WRITE_ROWS, &rows).await?;
        write(transaction, &mapping.source, &REMOVE_LINKS, &removed).await?;
        write(transaction, &mapping.source, &ADD_LINKS, &added).await?;
        let rows =
            self.rows.values().map(|row| row.as_ref().map_or(row::BARE, |row| row.in_memory()));
        if rows.sum::<usize>() > KEPT_ROWS {
            self.rows.clear();
        }
        let links = self.links.values().map(|keys| LINK.0 + keys.len() * LINK.1);
        if links.sum::<usize>() > KEPT_LINKS {
            self.links.clear();
        }
        Ok(())
    }
}

async fn write<T: Serialize>(
    transaction: &mut Transaction,
    source: &str,
    statement: &Statement,
    entries: &[T],
) -> Result<(), DatabaseError> {
    for chunk in entries.chunks(CHUNK) {
        transaction.query(statement).bind(source).bind_json(chunk).execute().await?;
    }
    Ok(())
}

/// A part of an entry that becomes a JSON column: it is text within the list.
struct Document<'v, T>(&'v T);

impl<T: Serialize> Serialize for Document<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(self.0).map_err(S::Error::custom)?)
    }
}
