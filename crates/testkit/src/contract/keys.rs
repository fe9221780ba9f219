//! What the keys beside the events promise.

use std::sync::Arc;

use futures::future::join_all;
use kernel::keys::{KeyError, KeyHolder, SecretKey};
use kernel::seams::{SystemClock, new_id};
use store_sqlx::{OpenError, StoreOptions};

use crate::stores::TestStore;

/// Whoever starts with another master key learns it before anything is sealed with it.
pub async fn another_master_key_is_refused_at_once(test: TestStore) {
    let other = SecretKey::generate().unwrap();
    let url = test.url().unwrap();
    let opened = store_sqlx::open(&url, &other, Arc::new(SystemClock), StoreOptions::default());
    assert!(matches!(opened.await.err(), Some(OpenError::Key(KeyError::WrongMasterKey))));
}

/// A key is made once per subject and purpose, by whichever process is first.
pub async fn a_subject_has_one_key_per_purpose_however_many_ask_at_once(test: TestStore) {
    let (here, there) = (test.beside().await, test.beside().await);
    let vaults = [here.unwrap(), there.unwrap()];
    let subject = new_id();
    let holder = |purpose: &str| KeyHolder { subject, purpose: purpose.to_owned() };
    let asked = vaults
        .iter()
        .cycle()
        .take(8)
        .map(|opened| async { opened.vault.sealing_key(&holder("orders")).await.unwrap().id });
    let mut ids = join_all(asked).await;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let [here, there] = vaults;
    let billing = here.vault.sealing_key(&holder("billing")).await.unwrap();
    assert_ne!(billing.id, ids[0]);
    let found = there.vault.opening_key(billing.id).await.unwrap().unwrap();
    assert_eq!(found.to_hex(), billing.key.to_hex());
    assert!(there.vault.opening_key(new_id()).await.unwrap().is_none());
    here.close().await;
    there.close().await;
}
