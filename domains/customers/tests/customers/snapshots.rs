//! Snapshots of a customer that a legacy system revises many times.

use std::sync::Arc;

use customers::domain::{Customer, CustomerDecider};
use kernel::cache::CacheOptions;
use kernel::codec::Codec;
use kernel::event::StreamName;
use kernel::execution::Environment;
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::memory::{MemoryStore, StreamReads};
use kernel::seams::{SystemClock, new_id};
use kernel::snapshot::{MemorySnapshots, SnapshotStore as _};
use kernel::sync::{
    LegacyEntrance, LegacyReference, LegacyState, SyncOutcome, SyncRequest, SyncTarget as _,
};
use serde_json::json;
use uuid::Uuid;

use crate::world::request;

async fn sync(environment: &Environment, id: Uuid, name: &str) -> SyncOutcome {
    let legacy = LegacyReference { source: "tryton".to_owned(), id: "17".to_owned() };
    let state = LegacyState::Present(json!({ "name": name }));
    let entrance = LegacyEntrance::<CustomerDecider>::new(environment.clone());
    entrance.sync(SyncRequest { id, legacy, state, cause: request() }).await.unwrap()
}

#[tokio::test]
async fn what_is_imported_again_and_again_is_read_once_and_then_from_its_snapshot() {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let snapshots = Arc::new(MemorySnapshots::default());
    let codec = Codec::new(Arc::new(MemoryKeyVault::default()));
    let key = SecretKey::generate().unwrap();
    let environment = Environment::new(store.clone(), codec, Arc::new(SystemClock), key)
        .with_snapshots(snapshots.clone());
    let id = new_id();
    for revision in 0..70 {
        sync(&environment, id, &format!("Ada Martin {revision}")).await;
    }
    assert_eq!(store.take_stream_reads(), StreamReads { reads: 1, events: 0 });

    environment.finish().await;
    let stream = StreamName::of("customer", id);
    let kept = snapshots.load(&stream).await.unwrap().unwrap();
    assert_eq!(kept.revision, 49);
    let text = String::from_utf8(kept.state).unwrap();
    assert!(!text.contains("Ada Martin") && text.contains("$sealed"), "{text}");

    let another_process = environment.with_cache(CacheOptions::default());
    assert_eq!(sync(&another_process, id, "Ada Martin 69").await, SyncOutcome::Unchanged);
    // One read of 50 events, after which a snapshot may exist, and one of its last event and the 20 after it.
    assert_eq!(store.take_stream_reads(), StreamReads { reads: 2, events: 50 + 21 });
    let customer = another_process.load::<CustomerDecider>(id.into()).await.unwrap().state;
    let Customer::Imported { state, .. } = customer else { panic!("{customer:?}") };
    assert_eq!(state.name, Some("Ada Martin 69".to_owned().into()));
}
