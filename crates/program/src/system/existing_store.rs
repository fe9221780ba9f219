//! Checks whether a store exists at a URL.

use crate::configuration::is_far;

/// Returns whether a store exists, without creating one.
pub async fn exists(url: &str) -> anyhow::Result<bool> {
    // A remote store is never created from here: opening it shows whether it exists.
    Ok(is_far(url) || store_sqlx::exists(url).await?)
}
