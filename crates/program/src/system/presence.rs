//! Whether another process runs on an embedded store.

use std::fs::{File, TryLockError};

use anyhow::Context as _;
use database::Engine;
use kernel::checkpoint::SubscriptionStore as _;

use crate::configuration::is_far;
use crate::system::opening::System;

/// Shows other processes on an embedded store that this one is there, for as long as the process is,
/// however it ends. Whoever is alone when it starts knows that the leases it finds are left over,
/// and need not wait for them to expire. On PostgreSQL, whose servers are on several machines, it
/// has to: `None`.
pub async fn show_presence(system: &System, store: &str) -> anyhow::Result<Option<File>> {
    if is_far(store) || Engine::of(store)? != Engine::Sqlite {
        return Ok(None);
    }
    let path = database::sqlite_path(store)?.with_extension("lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = open.with_context(|| format!("the file {} cannot be opened", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {
            for module in &system.modules {
                module.database.release_all().await?;
            }
        }
        Err(TryLockError::WouldBlock) => {
            tracing::info!("another server runs on this store: standing by for its subscriptions");
        }
        Err(TryLockError::Error(error)) => {
            return Err(error)
                .with_context(|| format!("the file {} cannot be locked", path.display()));
        }
    }
    // Held alone for a moment at most: by whoever looks whether it is alone.
    lock.lock_shared().with_context(|| format!("the file {} cannot be locked", path.display()))?;
    Ok(Some(lock))
}
