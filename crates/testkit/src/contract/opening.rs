//! The contract of opening a store.

use std::sync::Arc;

use kernel::keys::{KeyError, SecretKey};
use kernel::seams::SystemClock;
use store_sqlx::{OpenError, StoreOptions};

use crate::stores::TestStore;

/// Another master key is refused when the store is opened, before anything is encrypted with it.
pub async fn another_master_key_is_refused_at_once(test: TestStore) {
    let other = SecretKey::generate().unwrap();
    let url = test.url().unwrap();
    let opened = store_sqlx::open(&url, &other, Arc::new(SystemClock), StoreOptions::default());
    assert!(matches!(opened.await.err(), Some(OpenError::Key(KeyError::WrongMasterKey))));
}
