//! Every key vault keeps its promises.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use kernel::keys::{KeyVault, MemoryKeyVault};
use testkit::keys;
use testkit::stores::TestStore;

async fn keeps_its_promises(vault: &dyn KeyVault) {
    keys::one_key_per_subject_and_purpose(vault).await;
    keys::destroyed_keys_stay_destroyed(vault).await;
    keys::no_key_is_made_while_they_are_destroyed(vault).await;
}

#[tokio::test]
async fn memory() {
    keeps_its_promises(&MemoryKeyVault::default()).await;
}

#[tokio::test]
async fn sqlite() {
    let test = TestStore::sqlite().await;
    let opened = test.beside().await.unwrap();
    keeps_its_promises(&*opened.vault).await;
    opened.close().await;
}

#[tokio::test]
async fn postgres() {
    let test = TestStore::postgres().await;
    let opened = test.beside().await.unwrap();
    keeps_its_promises(&*opened.vault).await;
    opened.close().await;
}
