//! Wrapped keys in PostgreSQL.

use chrono::{DateTime, Utc};
use database::Transactions;
use kernel::keys::KeyHolder;
use sqlx::Connection as _;
use sqlx::postgres::{PgPool, Postgres};
use uuid::Uuid;

use crate::keys::KeyTable;

database::statements! {
    /// Every statement of this file.
    pub(crate) const STATEMENTS: [&str];

    pub(super) const FIND: &str =
        "SELECT id, wrapped FROM subject_key WHERE subject = $1 AND purpose = $2";
    /// Serialises creating and destroying the keys of one subject. In a fixed order, so that two
    /// transactions never deadlock.
    pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended(subject::text, 0)) \
         FROM (SELECT unnest($1::uuid[]) AS subject ORDER BY 1) AS sorted";
    pub(super) const CREATE: &str = "INSERT INTO subject_key (id, subject, purpose, wrapped, created_at) \
         SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM erased_subject \
         WHERE subject = $2 AND $3 <> ALL (retained)) ON CONFLICT (subject, purpose) DO NOTHING";
    pub(super) const OPEN: &str = "SELECT wrapped FROM subject_key WHERE id = $1";
    /// A purpose that was not retained before is not retained now.
    pub(super) const REMEMBER: &str = "INSERT INTO erased_subject (subject, retained) \
         SELECT DISTINCT subject, $2::text[] FROM unnest($1::uuid[]) AS subject ON CONFLICT (subject) DO UPDATE SET retained = \
         ARRAY(SELECT unnest(erased_subject.retained) INTERSECT SELECT unnest(excluded.retained))";
    pub(super) const DESTROY: &str = "DELETE FROM subject_key USING erased_subject \
         WHERE erased_subject.subject = ANY ($1) AND subject_key.subject = erased_subject.subject \
         AND purpose <> ALL (retained)";
    pub(super) const IS_DESTROYED: &str = "SELECT EXISTS (SELECT 1 FROM erased_subject \
         WHERE subject = $1 AND $2 <> ALL (retained))";
}

pub(super) struct PostgresKeys {
    /// Connections with durable commits.
    pub(super) writers: Transactions<Postgres>,
    pub(super) readers: PgPool,
}

impl KeyTable for PostgresKeys {
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
        let mut transaction = self.writers.begin("BEGIN").await?;
        // In a statement of its own: the next one sees what the previous holder of the lock did.
        sqlx::query(LOCK).bind([holder.subject]).execute(&mut *transaction).await?;
        sqlx::query(CREATE)
            .bind(id)
            .bind(holder.subject)
            .bind(&holder.purpose)
            .bind(wrapped)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    async fn open(&self, id: Uuid) -> Result<Option<Vec<u8>>, sqlx::Error> {
        sqlx::query_scalar(OPEN).bind(id).fetch_optional(&self.readers).await
    }

    async fn is_destroyed(&self, holder: &KeyHolder) -> Result<bool, sqlx::Error> {
        let query = sqlx::query_scalar(IS_DESTROYED).bind(holder.subject).bind(&holder.purpose);
        query.fetch_one(&self.readers).await
    }

    async fn destroy(&self, subjects: &[Uuid], retained: &[&str]) -> Result<(), sqlx::Error> {
        let mut transaction = self.writers.begin("BEGIN").await?;
        sqlx::query(LOCK).bind(subjects).execute(&mut *transaction).await?;
        sqlx::query(REMEMBER).bind(subjects).bind(retained).execute(&mut *transaction).await?;
        sqlx::query(DESTROY).bind(subjects).execute(&mut *transaction).await?;
        transaction.commit().await?;
        // The deleted rows stay in the table until it is vacuumed, however long that takes.
        let mut connection = self.writers.detach().await?;
        sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
        sqlx::query("VACUUM subject_key").execute(&mut connection).await?;
        connection.close().await
    }
}
