//! What every place of snapshots does, once for every backend.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use kernel::event::StreamName;
use kernel::seams::new_id;
use kernel::snapshot::Snapshot;
use testkit::stores::TestStore;

fn snapshot(stream: &str) -> Snapshot {
    Snapshot {
        stream: StreamName::new(stream).unwrap(),
        version: 3,
        log_id: new_id(),
        revision: 49,
        position: 1234,
        event_id: new_id(),
        state: br#"{"name":"Jos\u00e9"}"#.to_vec(),
    }
}

/// What is there after each of these was saved, one after the other.
async fn last_of(test: &TestStore, saved: &[&Snapshot]) -> Option<Snapshot> {
    let stream = &saved[0].stream;
    test.snapshots.forget(stream).await.unwrap();
    for snapshot in saved {
        test.snapshots.save(snapshot).await.unwrap();
    }
    test.snapshots.load(stream).await.unwrap()
}

async fn a_stream_has_its_last_snapshot(test: TestStore) {
    let first = snapshot("rue-de l’Église");
    assert_eq!(test.snapshots.load(&first.stream).await.unwrap(), None);
    assert_eq!(last_of(&test, &[&first]).await.as_ref(), Some(&first));
    let later = Snapshot { revision: 99, position: 2345, event_id: new_id(), ..first.clone() };
    assert_eq!(last_of(&test, &[&first, &later]).await.as_ref(), Some(&later));
    assert_eq!(last_of(&test, &[&later, &first]).await.as_ref(), Some(&later));
    let other_schema = Snapshot { version: 2, ..first.clone() };
    assert_eq!(last_of(&test, &[&later, &other_schema]).await.as_ref(), Some(&other_schema));
    let other_log = Snapshot { log_id: new_id(), ..first.clone() };
    assert_eq!(last_of(&test, &[&later, &other_log]).await.as_ref(), Some(&other_log));
}

async fn each_stream_has_its_own(test: TestStore) {
    let (one, other) = (snapshot("a-1"), snapshot("a-2"));
    for snapshot in [&one, &other] {
        test.snapshots.save(snapshot).await.unwrap();
    }
    test.snapshots.forget(&one.stream).await.unwrap();
    test.snapshots.forget(&one.stream).await.unwrap();
    assert_eq!(test.snapshots.load(&one.stream).await.unwrap(), None);
    assert_eq!(test.snapshots.load(&other.stream).await.unwrap(), Some(other));
}

async fn they_are_there_after_a_restart(test: TestStore) {
    let kept = snapshot("a-1");
    test.snapshots.save(&kept).await.unwrap();
    let test = test.restarted().await;
    assert_eq!(test.snapshots.load(&kept.stream).await.unwrap(), Some(kept));
}

macro_rules! on_every_backend {
    ($($promise:ident),+) => {
        on_every_backend!(@ memory: $($promise),+);
        on_every_backend!(@ sqlite: $($promise),+);
        on_every_backend!(@ postgres: $($promise),+);
    };
    (@ $backend:ident: $($promise:ident),+) => {
        mod $backend {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::TestStore::$backend().await).await;
            })+
        }
    };
}

on_every_backend!(
    a_stream_has_its_last_snapshot,
    each_stream_has_its_own,
    they_are_there_after_a_restart
);
