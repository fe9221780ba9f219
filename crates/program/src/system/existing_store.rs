//! Whether there is a store at a URL.

use crate::configuration::is_far;

/// Whether a store is there already, without making one.
pub async fn exists(url: &str) -> anyhow::Result<bool> {
    // Nobody makes one from afar: opening it tells.
    Ok(is_far(url) || store_sqlx::exists(url).await?)
}
