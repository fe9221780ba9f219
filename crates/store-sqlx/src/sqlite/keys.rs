//! Wrapped keys in a SQLite file.

use chrono::{DateTime, Utc};
use database::Transactions;
use kernel::keys::KeyHolder;
use sqlx::sqlite::{Sqlite, SqlitePool};
use uuid::Uuid;

use crate::keys::KeyTable;

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    pub(super) const FIND: &str =
        "SELECT id, wrapped FROM subject_key WHERE subject = $1 AND purpose = $2";
    pub(super) const CREATE: &str = "INSERT INTO subject_key (id, subject, purpose, wrapped, created_at) \
         SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM erased_subject WHERE subject = $2 \
         AND $3 NOT IN (SELECT value FROM json_each(retained))) \
         ON CONFLICT (subject, purpose) DO NOTHING";
    pub(super) const OPEN: &str = "SELECT wrapped FROM subject_key WHERE id = $1";
    /// A purpose that was not retained before is not retained now.
    pub(super) const REMEMBER: &str = "INSERT INTO erased_subject (subject, retained) VALUES ($1, $2) \
         ON CONFLICT (subject) DO UPDATE SET retained = \
         (SELECT json_group_array(value) FROM json_each(erased_subject.retained) \
         WHERE value IN (SELECT value FROM json_each(excluded.retained)))";
    pub(super) const DESTROY: &str = "DELETE FROM subject_key WHERE subject = $1 AND purpose NOT IN \
         (SELECT value FROM erased_subject, json_each(retained) WHERE subject = $1)";
    pub(super) const IS_DESTROYED: &str = "SELECT EXISTS (SELECT 1 FROM erased_subject \
         WHERE subject = $1 AND $2 NOT IN (SELECT value FROM json_each(retained)))";
}
/// Even with `secure_delete` SQLite leaves old copies of rows between those of a page, from the time
/// when rows moved to another page. A page that is freed as a whole is overwritten as a whole: so the
/// table, which is small compared with the log, is emptied and filled again.
const REWRITE: [&str; 4] = [
    "CREATE TEMP TABLE kept_key AS SELECT * FROM subject_key",
    "DELETE FROM subject_key",
    "INSERT INTO subject_key SELECT * FROM kept_key",
    "DROP TABLE kept_key",
];
/// Copies the content of the write-ahead log into the file, and empties the log.
const EMPTY_WAL: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

pub(super) struct SqliteKeys {
    pub(super) writer: Transactions<Sqlite>,
    pub(super) readers: SqlitePool,
}

impl KeyTable for SqliteKeys {
    async fn find(&self, holder: &KeyHolder) -> Result<Option<(Uuid, Vec<u8>)>, sqlx::Error> {
        sqlx::query_as(FIND)
            .bind(holder.subject)
            .bind(&holder.purpose)
            .fetch_optional(&self.readers)
            .await
    }

    async fn create(
        &self,
        id: Uuid,
        holder: &KeyHolder,
        wrapped: Vec<u8>,
        now: DateTime<Utc>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(CREATE)
            .bind(id)
            .bind(holder.subject)
            .bind(&holder.purpose)
            .bind(wrapped)
            .bind(now.timestamp_micros())
            .execute(self.writer.statements())
            .await
            .map(drop)
    }

    async fn open(&self, id: Uuid) -> Result<Option<Vec<u8>>, sqlx::Error> {
        sqlx::query_scalar(OPEN).bind(id).fetch_optional(&self.readers).await
    }

    async fn is_destroyed(&self, holder: &KeyHolder) -> Result<bool, sqlx::Error> {
        let query = sqlx::query_scalar(IS_DESTROYED).bind(holder.subject).bind(&holder.purpose);
        query.fetch_one(&self.readers).await
    }

    async fn destroy(&self, subjects: &[Uuid], retained: &[&str]) -> Result<(), sqlx::Error> {
        let mut transaction = self.writer.begin("BEGIN IMMEDIATE").await?;
        let retained =
            serde_json::to_string(retained).map_err(|error| sqlx::Error::Encode(error.into()))?;
        for subject in subjects {
            let remember = sqlx::query(REMEMBER).bind(subject).bind(&retained);
            remember.execute(&mut *transaction).await?;
            sqlx::query(DESTROY).bind(subject).execute(&mut *transaction).await?;
        }
        for statement in REWRITE {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        let (busy, _, _): (bool, i64, i64) =
            sqlx::query_as(EMPTY_WAL).fetch_one(self.writer.statements()).await?;
        if busy {
            return Err(sqlx::Error::Protocol("the write-ahead log is in use; retry later".into()));
        }
        Ok(())
    }
}
