//! Wrapped keys in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::keys::KeyHolder;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use crate::keys::KeyTable;

pub(super) const FIND: &str =
    "SELECT id, wrapped FROM subject_key WHERE subject = $1 AND purpose = $2";
pub(super) const CREATE: &str = "INSERT INTO subject_key (id, subject, purpose, wrapped, created_at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (subject, purpose) DO NOTHING";
pub(super) const OPEN: &str = "SELECT wrapped FROM subject_key WHERE id = $1";

pub(super) struct PostgresKeys {
    /// Commits on the disk.
    pub(super) writers: PgPool,
    pub(super) readers: PgPool,
}

#[async_trait]
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
        sqlx::query(CREATE)
            .bind(id)
            .bind(holder.subject)
            .bind(&holder.purpose)
            .bind(wrapped)
            .bind(now)
            .execute(&self.writers)
            .await
            .map(drop)
    }

    async fn open(&self, id: Uuid) -> Result<Option<Vec<u8>>, sqlx::Error> {
        sqlx::query_scalar(OPEN).bind(id).fetch_optional(&self.readers).await
    }
}
