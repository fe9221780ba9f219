//! The contract of key vaults, whatever their storage.

use kernel::keys::{KeyHolder, KeyVault, SubjectKey};
use kernel::seams::new_id;
use uuid::Uuid;

fn holder(subject: Uuid, purpose: &str) -> KeyHolder {
    KeyHolder { subject, purpose: purpose.to_owned() }
}

async fn key(vault: &dyn KeyVault, subject: Uuid, purpose: &str) -> SubjectKey {
    vault.sealing_key(&holder(subject, purpose)).await.unwrap().expect("a key")
}

async fn is_there(vault: &dyn KeyVault, key: &SubjectKey) -> bool {
    vault.opening_key(key.id).await.unwrap().is_some()
}

/// One key per subject and purpose, for all callers, also concurrent ones.
pub async fn one_key_per_subject_and_purpose(vault: &dyn KeyVault) {
    let (ada, bob) = (new_id(), new_id());
    let asked = futures::future::join_all((0..8).map(|_| key(vault, ada, "orders"))).await;
    assert!(asked.iter().all(|key| key.id == asked[0].id));
    assert_ne!(key(vault, ada, "billing").await.id, asked[0].id);
    assert_ne!(key(vault, bob, "orders").await.id, asked[0].id);
    let sealed = asked[0].key.seal(b"Ada", b"").unwrap();
    let opening = vault.opening_key(asked[0].id).await.unwrap().unwrap();
    assert_eq!(opening.open(&sealed, b"").unwrap(), b"Ada");
    assert!(vault.opening_key(new_id()).await.unwrap().is_none());
}

/// A destroyed key is gone and is not created again; a retained one stays until it is destroyed, too.
pub async fn destroyed_keys_stay_destroyed(vault: &dyn KeyVault) {
    let (ada, bob, eve) = (new_id(), new_id(), new_id());
    let (orders, billing) = (key(vault, ada, "orders").await, key(vault, ada, "billing").await);
    let other = key(vault, bob, "orders").await;
    for _ in 0..2 {
        vault.destroy(&[ada], &["billing", "never asked for"]).await.unwrap();
        assert!(!is_there(vault, &orders).await && is_there(vault, &billing).await);
        for purpose in ["orders", "payments"] {
            assert!(vault.sealing_key(&holder(ada, purpose)).await.unwrap().is_none(), "{purpose}");
        }
        assert_eq!(key(vault, ada, "billing").await.id, billing.id);
        for (subject, purpose, destroyed) in
            [(ada, "orders", true), (ada, "billing", false), (bob, "orders", false)]
        {
            let holder = holder(subject, purpose);
            assert_eq!(vault.is_destroyed(&holder).await.unwrap(), destroyed, "{purpose}");
        }
    }
    key(vault, ada, "never asked for").await;
    vault.destroy(&[ada], &[]).await.unwrap();
    // Retaining the purpose later does not restore the key.
    vault.destroy(&[ada], &["billing"]).await.unwrap();
    assert!(!is_there(vault, &billing).await);
    for purpose in ["billing", "never asked for"] {
        assert!(vault.sealing_key(&holder(ada, purpose)).await.unwrap().is_none(), "{purpose}");
    }
    assert!(is_there(vault, &other).await, "another's key");
    // Several at once, one of them without a key and one given twice.
    vault.destroy(&[bob, eve, bob], &[]).await.unwrap();
    assert!(!is_there(vault, &other).await);
    assert!(vault.sealing_key(&holder(eve, "orders")).await.unwrap().is_none());
}

/// Keys are created and destroyed concurrently: none outlives the destruction.
pub async fn no_key_is_made_while_they_are_destroyed(vault: &dyn KeyVault) {
    for _ in 0..20 {
        let ada = new_id();
        let orders = holder(ada, "orders");
        let subjects = [ada];
        let (made, destroyed) =
            tokio::join!(vault.sealing_key(&orders), vault.destroy(&subjects, &[]));
        destroyed.unwrap();
        if let Some(made) = made.unwrap() {
            assert!(!is_there(vault, &made).await);
        }
        assert!(vault.sealing_key(&orders).await.unwrap().is_none());
    }
}
