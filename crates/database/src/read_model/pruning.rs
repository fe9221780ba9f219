//! Removal of tables and checkpoints that no replica uses any more.

use kernel::checkpoint::SubscriptionStore as _;
use kernel::seams::{Clock as _, SystemClock};
use serde::Serialize;

use super::workplace::{IN_USE, SCRATCH, is_new};
use super::{ReadModel, ReadModelError};
use crate::{Database, subscriptions};

/// The result of pruning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The removed subscriptions of retired versions.
    pub subscriptions: Vec<String>,
    /// Their removed tables.
    pub tables: Vec<String>,
    /// The removed places of folds that did not finish.
    pub scratches: Vec<String>,
    /// Subscriptions and places that are still in use and were kept.
    pub kept: Vec<Kept>,
}

/// A subscription or place that is still in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The name of the subscription, or of the place of a fold.
    pub name: String,
    /// The process that uses it.
    pub owner: String,
}

impl Pruned {
    /// Adds another result.
    pub fn add(&mut self, other: Self) {
        self.subscriptions.extend(other.subscriptions);
        self.tables.extend(other.tables);
        self.scratches.extend(other.scratches);
        self.kept.extend(other.kept);
    }
}

impl ReadModel {
    /// Removes the tables and the checkpoints of retired versions that no replica runs any more.
    pub async fn prune(&self) -> Result<Pruned, ReadModelError> {
        let mut pruned = Pruned::default();
        for retired in self.retired {
            let name = self.subscription_of(retired.version);
            let status = self.database.status(&name).await?;
            let is_known = status.is_some();
            let lease = status.and_then(|status| status.lease);
            if let Some(lease) = lease.filter(|lease| !lease.expired) {
                pruned.kept.push(Kept { name, owner: lease.owner });
                continue;
            }
            let mut transaction = self.database.begin().await?;
            let mut tables = Vec::new();
            for table in retired.tables {
                if transaction.drop_table(table).await? {
                    tables.push((*table).to_owned());
                }
            }
            subscriptions::forget(&mut transaction, &name).await?;
            transaction.commit().await?;
            if is_known || !tables.is_empty() {
                pruned.subscriptions.push(name);
                pruned.tables.extend(tables);
            }
        }
        Ok(pruned)
    }
}

/// Removes the places of folds that no process works on any more.
pub async fn prune_scratches(database: &Database) -> Result<Pruned, ReadModelError> {
    let mut pruned = Pruned::default();
    for suffix in database.places_beside(SCRATCH).await? {
        if is_new(&suffix, SystemClock.now()) {
            let owner = "a fold that has just begun".to_owned();
            pruned.kept.push(Kept { name: suffix, owner });
            continue;
        }
        let scratch = database.beside(&suffix).await?;
        let lease = scratch.status(IN_USE).await?.and_then(|status| status.lease);
        match lease.filter(|lease| !lease.expired) {
            Some(lease) => {
                scratch.close().await;
                pruned.kept.push(Kept { name: suffix, owner: lease.owner });
            }
            None => {
                scratch.remove().await?;
                pruned.scratches.push(suffix);
            }
        }
    }
    Ok(pruned)
}
