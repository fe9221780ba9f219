//! Taking away what nothing serves any more.

use kernel::checkpoint::SubscriptionStore as _;
use kernel::seams::{Clock as _, SystemClock};
use serde::Serialize;

use super::workplace::{IN_USE, SCRATCH, is_new};
use super::{ReadModel, ReadModelError};
use crate::{Database, subscriptions};

/// What was taken away, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Subscriptions of retired versions.
    pub subscriptions: Vec<String>,
    /// Their tables.
    pub tables: Vec<String>,
    /// Places of fresh folds that did not come to their end.
    pub scratches: Vec<String>,
    /// What is still in use and was left alone.
    pub kept: Vec<Kept>,
}

/// Something that is still in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// A subscription, or the place of a fresh fold.
    pub name: String,
    /// Who uses it.
    pub owner: String,
}

impl Pruned {
    /// Adds what was pruned elsewhere.
    pub fn add(&mut self, other: Self) {
        self.subscriptions.extend(other.subscriptions);
        self.tables.extend(other.tables);
        self.scratches.extend(other.scratches);
        self.kept.extend(other.kept);
    }
}

impl ReadModel {
    /// Takes away the tables and the checkpoint of retired versions that no replica runs any more.
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

/// Takes away the places of fresh folds that nobody works on any more.
pub async fn prune_scratches(database: &Database) -> Result<Pruned, ReadModelError> {
    let mut pruned = Pruned::default();
    for suffix in database.places_beside(SCRATCH).await? {
        if is_new(&suffix, SystemClock.now()) {
            let owner = "somebody who has just begun".to_owned();
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
