//! Throwaway event stores.

use std::sync::Arc;

use kernel::keys::SecretKey;
use kernel::memory::MemoryStore;
use kernel::seams::SystemClock;
use kernel::store::EventStore;
use store_sqlx::{Opened, StoreOptions};
use tempfile::TempDir;

/// A store under test, and what must live as long as it does.
pub struct TestStore {
    /// The store.
    pub store: Arc<dyn EventStore>,
    reopening: Option<Reopening>,
}

struct Reopening {
    folder: TempDir,
    key: SecretKey,
    options: StoreOptions,
    opened: Opened,
}

impl TestStore {
    /// A store in memory.
    pub async fn memory() -> Self {
        Self { store: Arc::new(MemoryStore::new(Arc::new(SystemClock))), reopening: None }
    }

    /// A store in a SQLite file of its own.
    pub async fn sqlite() -> Self {
        Self::sqlite_with(StoreOptions::default()).await
    }

    /// A store in a SQLite file of its own, opened in a certain way.
    pub async fn sqlite_with(options: StoreOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::generate().unwrap();
        Self::open(folder, key, options).await
    }

    async fn open(folder: TempDir, key: SecretKey, options: StoreOptions) -> Self {
        let url = format!("sqlite:{}", folder.path().join("log.db").display());
        let opened =
            store_sqlx::open(&url, &key, Arc::new(SystemClock), options.clone()).await.unwrap();
        let store = Arc::clone(&opened.store);
        Self { store, reopening: Some(Reopening { folder, key, options, opened }) }
    }

    /// The URL of a durable store.
    pub fn url(&self) -> Option<String> {
        let folder = self.reopening.as_ref()?.folder.path().join("log.db");
        Some(format!("sqlite:{}", folder.display()))
    }

    /// Another connection to a durable store, as another process would have it.
    pub async fn beside(&self) -> Option<Opened> {
        let reopening = self.reopening.as_ref()?;
        let url = self.url()?;
        let options = reopening.options.clone();
        Some(store_sqlx::open(&url, &reopening.key, Arc::new(SystemClock), options).await.unwrap())
    }

    /// Closes and opens a durable store; one in memory stays as it is.
    pub async fn restarted(self) -> Self {
        let Some(Reopening { folder, key, options, opened }) = self.reopening else {
            return self;
        };
        drop(self.store);
        opened.close().await;
        Self::open(folder, key, options).await
    }
}
