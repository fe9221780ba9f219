//! Detects whether another process runs on an embedded store.

use std::fs::{File, TryLockError};

use anyhow::Context as _;
use database::Engine;
use kernel::checkpoint::SubscriptionStore as _;

use crate::configuration::is_far;
use crate::system::opening::System;

/// Holds a shared lock beside an embedded store until this process ends, in whatever way. A process that
/// is alone when it starts releases the leases it finds, which are left over, and need not wait for them
/// to expire. Returns `None` on PostgreSQL, whose clients may be on several machines: there, leases must
/// expire.
pub async fn show_presence(system: &System, store: &str) -> anyhow::Result<Option<File>> {
    if is_far(store) || Engine::of(store)? != Engine::Sqlite {
        return Ok(None);
    }
    let path = database::sqlite_path(store)?.with_extension("lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = open.with_context(|| format!("cannot open the file {}", path.display()))?;
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
            return Err(error).with_context(|| format!("cannot lock the file {}", path.display()));
        }
    }
    // Waits for a moment at most: the exclusive lock is held only for the check above.
    lock.lock_shared().with_context(|| format!("cannot lock the file {}", path.display()))?;
    Ok(Some(lock))
}
