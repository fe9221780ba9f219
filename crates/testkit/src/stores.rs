//! Temporary event stores.

use std::sync::Arc;

use async_trait::async_trait;
use kernel::keys::SecretKey;
use kernel::memory::MemoryStore;
use kernel::seams::SystemClock;
use kernel::snapshot::{MemorySnapshots, SnapshotStore};
use kernel::store::EventStore;
use store_sqlx::{Opened, StoreOptions};
use tempfile::TempDir;

use crate::postgres::TestDatabase;

/// A store under test, and the resources on which it depends.
pub struct TestStore {
    /// The store.
    pub store: Arc<dyn EventStore>,
    /// The snapshots of the store.
    pub snapshots: Arc<dyn SnapshotStore>,
    reopening: Option<Reopening>,
}

struct Reopening {
    place: Backing,
    key: SecretKey,
    options: StoreOptions,
    opened: Opened,
    /// The proxy between the test and the store.
    between: Option<Arc<dyn Between>>,
}

/// A proxy in front of a durable store: a server and its client.
#[async_trait]
pub trait Between: Send + Sync {
    /// Returns the store as seen through the proxy. Resources created for it end when it is dropped.
    async fn reach(&self, opened: &Opened) -> Arc<dyn EventStore>;
}

/// The file or database behind a durable store, removed when dropped.
enum Backing {
    File(TempDir),
    Database(TestDatabase),
}

impl Backing {
    fn url(&self) -> String {
        match self {
            Self::File(folder) => format!("sqlite:{}", folder.path().join("log.db").display()),
            Self::Database(database) => database.url().to_owned(),
        }
    }
}

impl TestStore {
    /// Creates a store in memory.
    pub async fn memory() -> Self {
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        Self { store, snapshots: Arc::new(MemorySnapshots::default()), reopening: None }
    }

    /// Creates a store in a SQLite file of its own.
    pub async fn sqlite() -> Self {
        Self::sqlite_with(StoreOptions::default()).await
    }

    /// Creates a store in a SQLite file of its own, with these options.
    pub async fn sqlite_with(options: StoreOptions) -> Self {
        let place = Backing::File(tempfile::tempdir().unwrap());
        Self::open(place, SecretKey::generate().unwrap(), options, None).await
    }

    /// Creates a store in a SQLite file of its own that is used through a proxy.
    pub async fn sqlite_behind(between: Arc<dyn Between>) -> Self {
        let place = Backing::File(tempfile::tempdir().unwrap());
        let key = SecretKey::generate().unwrap();
        Self::open(place, key, StoreOptions::default(), Some(between)).await
    }

    /// Creates a store in a PostgreSQL database of its own.
    pub async fn postgres() -> Self {
        Self::postgres_with(StoreOptions::default()).await
    }

    /// Creates a store in a PostgreSQL database of its own, with these options.
    pub async fn postgres_with(options: StoreOptions) -> Self {
        Self::in_database(TestDatabase::create().await, options).await
    }

    /// Creates a store in an existing PostgreSQL database.
    pub async fn in_database(database: TestDatabase, options: StoreOptions) -> Self {
        let key = SecretKey::generate().unwrap();
        Self::open(Backing::Database(database), key, options, None).await
    }

    async fn open(
        place: Backing,
        key: SecretKey,
        options: StoreOptions,
        between: Option<Arc<dyn Between>>,
    ) -> Self {
        let url = place.url();
        let opened = store_sqlx::open(&url, &key, Arc::new(SystemClock), options.clone());
        let opened = opened.await.unwrap();
        let snapshots = Arc::clone(&opened.snapshots);
        let store = match &between {
            Some(between) => between.reach(&opened).await,
            None => Arc::clone(&opened.store),
        };
        let reopening = Some(Reopening { place, key, options, opened, between });
        Self { store, snapshots, reopening }
    }

    /// Returns the URL of a durable store.
    pub fn url(&self) -> Option<String> {
        Some(self.reopening.as_ref()?.place.url())
    }

    /// Opens a durable store again, as another process would.
    pub async fn beside(&self) -> Option<Opened> {
        let Reopening { place, key, options, .. } = self.reopening.as_ref()?;
        let opened =
            store_sqlx::open(&place.url(), key, Arc::new(SystemClock), options.clone()).await;
        Some(opened.unwrap())
    }

    /// Closes and opens a durable store; a store in memory is unchanged.
    pub async fn restarted(self) -> Self {
        let Some(Reopening { place, key, options, opened, between }) = self.reopening else {
            return self;
        };
        drop((self.store, self.snapshots));
        opened.close().await;
        Self::open(place, key, options, between).await
    }
}
