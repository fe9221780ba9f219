//! The mirror's rows and links in the database. Lists travel as one JSON parameter, so that a
//! statement is one round trip whatever their length.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;

use super::row::Row;
use super::{KEPT, Mirror, Named, RowId};
use crate::mapping::{LinkId, TableId};

const ROWS: &str = "SELECT key, position, image, carried FROM mirror_row \
     WHERE source = $1 AND tbl = $2 AND key IN (SELECT value FROM json_each($3))";
const LINKS: &str = "SELECT value, key FROM mirror_link \
     WHERE source = $1 AND link = $2 AND value IN (SELECT value FROM json_each($3))";
const WRITE_ROWS: &str = "INSERT INTO mirror_row (source, tbl, key, position, image, carried) \
     SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 \
     FROM json_each($2) WHERE true \
     ON CONFLICT (source, tbl, key) DO UPDATE SET \
     position = excluded.position, image = excluded.image, carried = excluded.carried";
const ADD_LINKS: &str = "INSERT INTO mirror_link (source, link, value, key) \
     SELECT $1, value ->> 0, value ->> 1, value ->> 2 FROM json_each($2) WHERE true \
     ON CONFLICT (source, link, value, key) DO NOTHING";
const REMOVE_LINKS: &str = "DELETE FROM mirror_link WHERE (source, link, value, key) IN \
     (SELECT $1, value ->> 0, value ->> 1, value ->> 2 FROM json_each($2))";

/// Entries per statement when writing.
const CHUNK: usize = 2_000;

type StoredRow = (String, i64, Option<String>, Option<String>);

fn damaged(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

impl Mirror {
    /// Makes sure that rows are in memory.
    pub(crate) async fn load_rows(
        &mut self,
        connection: &mut SqliteConnection,
        ids: impl IntoIterator<Item = RowId>,
    ) -> sqlx::Result<()> {
        let mut missing: BTreeMap<TableId, BTreeSet<String>> = BTreeMap::new();
        for id in ids {
            if !self.rows.contains_key(&id) {
                missing.entry(id.0).or_default().insert(id.1);
            }
        }
        for (table, keys) in missing {
            let stored: Vec<StoredRow> = sqlx::query_as(ROWS)
                .bind(&self.mapping.source)
                .bind(&self.mapping.tables[table].name)
                .bind(json!(keys).to_string())
                .fetch_all(&mut *connection)
                .await?;
            self.rows.extend(keys.into_iter().map(|key| ((table, key), None)));
            for (key, position, image, carried) in stored {
                let parse = |text: &str| serde_json::from_str(text).map_err(damaged);
                let image = image.as_deref().map(parse).transpose()?;
                let carried = carried
                    .map(|text| serde_json::from_str(&text).map_err(damaged))
                    .transpose()?
                    .unwrap_or_default();
                let row = Row { position, image, carried };
                self.rows.insert((table, key), Some(Arc::new(row)));
            }
        }
        Ok(())
    }

    /// Makes sure that it is in memory which rows name these keys.
    pub(crate) async fn load_links(
        &mut self,
        connection: &mut SqliteConnection,
        named: Vec<Named>,
    ) -> sqlx::Result<()> {
        let mut missing: BTreeMap<LinkId, BTreeSet<String>> = BTreeMap::new();
        for (link, value) in named {
            if !self.links.contains_key(&(link, value.clone())) {
                missing.entry(link).or_default().insert(value);
            }
        }
        for (link, values) in missing {
            let stored: Vec<(String, String)> = sqlx::query_as(LINKS)
                .bind(&self.mapping.source)
                .bind(self.mapping.link_name(link))
                .bind(json!(values).to_string())
                .fetch_all(&mut *connection)
                .await?;
            let mut found: HashMap<String, BTreeSet<String>> =
                values.into_iter().map(|value| (value, BTreeSet::new())).collect();
            for (value, key) in stored {
                found.entry(value).or_default().insert(key);
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

    /// Writes what changed. Memory is right only if the transaction is then committed.
    pub(crate) async fn flush(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let mapping = self.mapping.clone();
        let mut rows = Vec::with_capacity(self.changed_rows.len());
        for id in self.changed_rows.drain() {
            let Some(row) = self.rows.get(&id).and_then(Option::as_ref) else {
                continue;
            };
            let text = |value: &_| serde_json::to_string(value).map_err(damaged);
            let image = row.image.as_ref().map(text).transpose()?;
            let carried = (!row.carried.is_empty())
                .then(|| serde_json::to_string(&row.carried).map_err(damaged))
                .transpose()?;
            rows.push(json!([mapping.tables[id.0].name, id.1, row.position, image, carried]));
        }
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for ((link, value), keys) in self.changed_links.drain() {
            let name = mapping.link_name(link);
            for (key, names) in keys {
                let entry = json!([name, value, key]);
                if names { added.push(entry) } else { removed.push(entry) }
            }
        }
        for (statement, mut entries) in
            [(WRITE_ROWS, rows), (REMOVE_LINKS, removed), (ADD_LINKS, added)]
        {
            while !entries.is_empty() {
                let rest = entries.split_off(entries.len().min(CHUNK));
                sqlx::query(statement)
                    .bind(&mapping.source)
                    .bind(Value::Array(entries).to_string())
                    .execute(&mut *connection)
                    .await?;
                entries = rest;
            }
        }
        if self.rows.len() > KEPT {
            self.rows.clear();
        }
        if self.links.values().map(|keys| 1 + keys.len()).sum::<usize>() > KEPT {
            self.links.clear();
        }
        Ok(())
    }
}
