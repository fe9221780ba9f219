//! A module's database in memory: rows are texts, checkpoints move with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kernel::checkpoint::{Checkpoint, CheckpointError, ParkedEvent, SubscriptionStore};
use kernel::event::Position;
use kernel::store::BoxError;
use tokio::sync::watch;

/// How this database says that it cannot be used now.
pub const DISK_FULL: &str = "the disk is full";

#[derive(Debug, Clone, Default)]
pub struct Content {
    pub rows: Vec<String>,
    pub checkpoints: BTreeMap<String, Checkpoint>,
    pub parked: BTreeMap<Position, ParkedEvent>,
}

#[derive(Clone)]
pub struct MemoryDatabase {
    content: Arc<Mutex<Content>>,
    changes: Arc<watch::Sender<u64>>,
}

impl MemoryDatabase {
    pub fn new() -> Self {
        Self { content: Arc::default(), changes: Arc::new(watch::channel(0).0) }
    }

    pub fn content(&self) -> Content {
        self.content.lock().unwrap().clone()
    }

    /// Waits until the content is as wanted.
    pub async fn until(&self, wanted: impl Fn(&Content) -> bool) -> Content {
        let mut changes = self.changes.subscribe();
        loop {
            let content = self.content();
            if wanted(&content) {
                return content;
            }
            changes.changed().await.unwrap();
        }
    }
}

#[async_trait]
impl SubscriptionStore for MemoryDatabase {
    type Transaction = Content;

    fn is_unavailable(error: &BoxError) -> bool {
        error.to_string() == DISK_FULL
    }

    async fn checkpoint(&self, subscription: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        Ok(self.content().checkpoints.get(subscription).copied())
    }

    async fn begin(&self) -> Result<Content, CheckpointError> {
        Ok(self.content())
    }

    async fn advance(
        &self,
        mut transaction: Content,
        subscription: &str,
        from: Option<Position>,
        to: Checkpoint,
    ) -> Result<(), CheckpointError> {
        let stored = transaction.checkpoints.get(subscription).map(|stored| stored.position);
        if stored != from {
            return Err(CheckpointError::Moved { subscription: subscription.to_owned() });
        }
        transaction.checkpoints.insert(subscription.to_owned(), to);
        *self.content.lock().unwrap() = transaction;
        self.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }

    async fn park(
        &self,
        transaction: &mut Content,
        _: &str,
        event: &ParkedEvent,
    ) -> Result<(), CheckpointError> {
        transaction.parked.entry(event.position).or_insert_with(|| event.clone());
        Ok(())
    }

    async fn parked_keys(&self, _: &str) -> Result<Vec<String>, CheckpointError> {
        Ok(self.content().parked.values().map(|event| event.key.clone()).collect())
    }
}
