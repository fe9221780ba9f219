//! The keys of personal data, beside the events, wrapped by the master key.

use async_trait::async_trait;
use kernel::keys::{KeyError, KeyHolder, KeyVault, SecretKey, SubjectKey};
use kernel::seams::{SharedClock, new_id};
use sqlx::SqlitePool;
use uuid::Uuid;

pub(super) const FIND: &str =
    "SELECT id, wrapped FROM subject_key WHERE subject = $1 AND purpose = $2";
pub(super) const CREATE: &str = "INSERT INTO subject_key (id, subject, purpose, wrapped, created_at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (subject, purpose) DO NOTHING";
pub(super) const OPEN: &str = "SELECT wrapped FROM subject_key WHERE id = $1";

pub(super) struct SqliteKeyVault {
    writer: SqlitePool,
    readers: SqlitePool,
    master_key: SecretKey,
    clock: SharedClock,
}

impl SqliteKeyVault {
    pub(super) fn new(
        writer: SqlitePool,
        readers: SqlitePool,
        master_key: SecretKey,
        clock: SharedClock,
    ) -> Self {
        Self { writer, readers, master_key, clock }
    }

    async fn find(
        &self,
        pool: &SqlitePool,
        holder: &KeyHolder,
    ) -> Result<Option<SubjectKey>, KeyError> {
        let row: Option<(Uuid, Vec<u8>)> = sqlx::query_as(FIND)
            .bind(holder.subject)
            .bind(&holder.purpose)
            .fetch_optional(pool)
            .await
            .map_err(unavailable)?;
        row.map(|(id, wrapped)| {
            Ok(SubjectKey { id, key: self.master_key.unwrap(&wrapped, id.as_bytes())? })
        })
        .transpose()
    }
}

fn unavailable(error: sqlx::Error) -> KeyError {
    KeyError::Unavailable(Box::new(error))
}

#[async_trait]
impl KeyVault for SqliteKeyVault {
    async fn sealing_key(&self, holder: &KeyHolder) -> Result<SubjectKey, KeyError> {
        if let Some(found) = self.find(&self.readers, holder).await? {
            return Ok(found);
        }
        let id = new_id();
        let wrapped = self.master_key.wrap(&SecretKey::generate()?, id.as_bytes())?;
        sqlx::query(CREATE)
            .bind(id)
            .bind(holder.subject)
            .bind(&holder.purpose)
            .bind(wrapped)
            .bind(self.clock.now().timestamp_micros())
            .execute(&self.writer)
            .await
            .map_err(unavailable)?;
        // Read back: another writer may have been faster.
        self.find(&self.writer, holder)
            .await?
            .ok_or_else(|| KeyError::Unavailable("a key vanished as it was made".into()))
    }

    async fn opening_key(&self, key_id: Uuid) -> Result<Option<SecretKey>, KeyError> {
        let wrapped: Option<Vec<u8>> = sqlx::query_scalar(OPEN)
            .bind(key_id)
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        wrapped.map(|wrapped| self.master_key.unwrap(&wrapped, key_id.as_bytes())).transpose()
    }
}
