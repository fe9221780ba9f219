//! The event store's promises over the network: the store of another bascule, served by `wire`, read
//! and written by this crate.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod served;

use std::sync::Arc;

use kernel::event::StreamName;
use kernel::keys::{KeyError, KeyHolder, SealedValue};
use kernel::seams::new_id;
use kernel::store::{AppendError, AppendRequest, ExpectedRevision};
use store_eventstoredb::OpenError;
use testkit::stores::{Between as _, TestStore};

use served::{Served, served};

testkit::event_store_contract!(remote, crate::served());

/// Personal data sealed on one side opens on the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_those_of_the_other_side() {
    let test = TestStore::sqlite().await;
    let opened = test.beside().await.unwrap();
    let served = Served::default();
    let remote = served.open(&opened).await;
    let vault = Arc::clone(&remote.vault);
    let holder = KeyHolder { subject: new_id(), purpose: "testing".to_owned() };
    let key = vault.sealing_key(&holder).await.unwrap().unwrap();
    let event = new_id();
    let sealed = SealedValue::seal(&key, b"Ada", event).unwrap();
    let there = opened.vault.opening_key(sealed.key_id).await.unwrap().unwrap();
    assert_eq!(there.open(&sealed.sealed, event.as_bytes()).unwrap(), b"Ada");
    let here = vault.opening_key(sealed.key_id).await.unwrap().unwrap();
    assert_eq!(here.open(&sealed.sealed, event.as_bytes()).unwrap(), b"Ada");

    let others = KeyHolder { subject: new_id(), purpose: "billing".to_owned() };
    assert!(vault.sealing_key(&others).await.is_err(), "a key of another module");
    let lookups = (vault.lookup_key().await.unwrap(), opened.vault.lookup_key().await.unwrap());
    assert_eq!(lookups.0.to_bytes(), lookups.1.to_bytes());
    let reader = store_eventstoredb::open(&served.url_of("reader", "secret")).await.unwrap();
    assert!(matches!(reader.vault.lookup_key().await, Err(KeyError::Unavailable(_))));

    assert!(matches!(vault.destroy(&[holder.subject], &[]).await, Err(KeyError::Unavailable(_))));
    assert!(!vault.is_destroyed(&holder).await.unwrap());
    let erasing = store_eventstoredb::open(&served.url_of("erasing", "secret")).await.unwrap();
    let retained = KeyHolder { subject: new_id(), purpose: "testing".to_owned() };
    vault.sealing_key(&retained).await.unwrap().unwrap();
    erasing.vault.destroy(&[retained.subject], &["testing"]).await.unwrap();
    assert!(!vault.is_destroyed(&retained).await.unwrap());
    erasing.vault.destroy(&[holder.subject], &[]).await.unwrap();
    assert!(vault.is_destroyed(&holder).await.unwrap());
    assert!(vault.opening_key(sealed.key_id).await.unwrap().is_none());
    assert!(vault.sealing_key(&holder).await.unwrap().is_none());
    for connected in [remote, reader, erasing] {
        connected.close();
    }
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_write_is_told_so() {
    let test = TestStore::sqlite().await;
    let opened = test.beside().await.unwrap();
    let served = Served::default();
    drop(served.reach(&opened).await);
    let reader = store_eventstoredb::open(&served.url_of("reader", "secret")).await.unwrap();
    let request = AppendRequest {
        stream: StreamName::new("a-1").unwrap(),
        expected: ExpectedRevision::Any,
        events: testkit::contract::events(1),
    };
    let refused = reader.store.append(request).await.unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable(_)), "{refused:?}");
    reader.close();
    let wrong = store_eventstoredb::open(&served.url_of("reader", "wrong")).await;
    assert!(matches!(wrong.err(), Some(OpenError::Unreachable(_))));
    opened.close().await;
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for address in ["esdb://", "postgres://localhost/x", "esdb://localhost:nan"] {
        let refused = store_eventstoredb::open(address).await.err();
        assert!(matches!(refused, Some(OpenError::Url(_))), "{address}: {refused:?}");
    }
}
