//! The keys of personal data, stored next to the events, encrypted with the master key.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::keys::{KeyError, KeyHolder, KeyVault, SecretKey, SubjectKey};
use kernel::seams::{SharedClock, new_id};
use uuid::Uuid;

/// The table in which an engine stores wrapped keys.
pub(crate) trait KeyTable: Send + Sync + 'static {
    /// Returns the id and the wrapped key of a holder, including the latest writes.
    fn find(
        &self,
        holder: &KeyHolder,
    ) -> impl Future<Output = Result<Option<(Uuid, Vec<u8>)>, sqlx::Error>> + Send;

    /// Stores a new key, unless the holder has one or had one destroyed. Durable when it returns.
    fn create(
        &self,
        id: Uuid,
        holder: &KeyHolder,
        wrapped: Vec<u8>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Returns the wrapped key with this id.
    fn open(&self, id: Uuid) -> impl Future<Output = Result<Option<Vec<u8>>, sqlx::Error>> + Send;

    /// Deletes the keys of subjects except those of the purposes to retain, and makes sure that no new
    /// ones are created and that nothing of them remains in the tables. Durable when it returns.
    fn destroy(
        &self,
        subjects: &[Uuid],
        retained: &[&str],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Returns whether the keys of this holder were destroyed, so that it can have none.
    fn is_destroyed(
        &self,
        holder: &KeyHolder,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;
}

/// A key vault in a table.
pub(crate) struct SqlKeyVault<T> {
    pub(crate) table: T,
    pub(crate) master_key: SecretKey,
    pub(crate) clock: SharedClock,
}

fn unavailable(error: sqlx::Error) -> KeyError {
    KeyError::Unavailable(Box::new(error))
}

impl<T: KeyTable> SqlKeyVault<T> {
    async fn find(&self, holder: &KeyHolder) -> Result<Option<SubjectKey>, KeyError> {
        let row = self.table.find(holder).await.map_err(unavailable)?;
        row.map(|(id, wrapped)| {
            Ok(SubjectKey { id, key: self.master_key.unwrap(&wrapped, id.as_bytes())? })
        })
        .transpose()
    }
}

#[async_trait]
impl<T: KeyTable> KeyVault for SqlKeyVault<T> {
    async fn sealing_key(&self, holder: &KeyHolder) -> Result<Option<SubjectKey>, KeyError> {
        if let Some(found) = self.find(holder).await? {
            return Ok(Some(found));
        }
        let id = new_id();
        let wrapped = self.master_key.wrap(&SecretKey::generate()?, id.as_bytes())?;
        let now = self.clock.now();
        self.table.create(id, holder, wrapped, now).await.map_err(unavailable)?;
        // Read back: another writer may have been first, or the key may have been destroyed.
        self.find(holder).await
    }

    async fn opening_key(&self, key_id: Uuid) -> Result<Option<SecretKey>, KeyError> {
        let wrapped = self.table.open(key_id).await.map_err(unavailable)?;
        wrapped.map(|wrapped| self.master_key.unwrap(&wrapped, key_id.as_bytes())).transpose()
    }

    async fn destroy(&self, subjects: &[Uuid], retained: &[&str]) -> Result<(), KeyError> {
        self.table.destroy(subjects, retained).await.map_err(unavailable)
    }

    async fn is_destroyed(&self, holder: &KeyHolder) -> Result<bool, KeyError> {
        self.table.is_destroyed(holder).await.map_err(unavailable)
    }

    async fn lookup_key(&self) -> Result<SecretKey, KeyError> {
        Ok(self.master_key.lookup_key())
    }
}
