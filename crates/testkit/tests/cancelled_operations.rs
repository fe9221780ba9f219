//! Cancelled operations of the event store, its keys and its snapshots leave nothing behind that
//! affects the next write, wherever they wait.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kernel::event::{EventFilter, StreamName};
use kernel::keys::KeyHolder;
use kernel::seams::new_id;
use kernel::snapshot::Snapshot;
use kernel::store::{AppendRequest, ExpectedRevision};
use store_sqlx::{Opened, StoreOptions};
use testkit::cancelling::{Moment, Sessions, at_every_await};
use testkit::contract::events;
use testkit::stores::TestStore;
use tokio::sync::Mutex;

/// Longer than any step here; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store whose connections can be looked at.
struct World {
    opened: Opened,
    /// As another process has it.
    other: Opened,
    sessions: Option<Mutex<Sessions>>,
    next: AtomicU64,
    /// How often anything was cut off.
    cuts: AtomicUsize,
    _test: TestStore,
}

impl World {
    async fn of(test: TestStore) -> Self {
        let url = test.url().unwrap();
        let (opened, other) = (test.beside().await.unwrap(), test.beside().await.unwrap());
        let sessions = if url.starts_with("postgres:") {
            Some(Mutex::new(Sessions::of(&url, "bascule-event-store").await))
        } else {
            None
        };
        let (next, cuts) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { opened, other, sessions, next, cuts, _test: test }
    }

    /// A stream that there is not yet.
    fn stream(&self) -> StreamName {
        StreamName::new(format!("a-{}", self.next.fetch_add(1, Ordering::Relaxed))).unwrap()
    }

    async fn append(&self, stream: &StreamName, count: usize) {
        let (stream, expected) = (stream.clone(), ExpectedRevision::Any);
        let request = AppendRequest { stream, expected, events: events(count) };
        self.opened.store.append(request).await.unwrap();
    }

    /// Cuts an operation off wherever it waits.
    async fn cut_off(&self, what: &str, operation: impl AsyncFn()) {
        for moment in [Moment::Waiting, Moment::Woken] {
            let times = at_every_await(moment, &operation, async || self.look(what).await).await;
            self.cuts.fetch_add(times, Ordering::Relaxed);
        }
    }

    /// What is written next lasts: another process has it.
    async fn look(&self, after: &str) {
        let looking = async {
            let stream = self.stream();
            self.append(&stream, 1).await;
            assert!(self.other.store.read_last(&stream).await.unwrap().is_some(), "{after}");

            let key = self.opened.vault.sealing_key(&holder()).await.unwrap().unwrap();
            let found = self.other.vault.opening_key(key.id).await.unwrap();
            assert!(found.is_some(), "{after}: the key that was made is not there");

            let snapshot = self.snapshot(stream);
            self.opened.snapshots.save(&snapshot).await.unwrap();
            let loaded = self.other.snapshots.load(&snapshot.stream).await.unwrap();
            assert!(loaded.is_some(), "{after}: the snapshot that was saved is not there");
        };
        let looked = tokio::time::timeout(PATIENCE, looking).await;
        assert!(looked.is_ok(), "{after} holds what others need");
        if let Some(sessions) = &self.sessions {
            sessions.lock().await.until_none_is_in_a_transaction().await;
        }
    }

    fn snapshot(&self, stream: StreamName) -> Snapshot {
        let log_id = self.opened.store.log_id();
        let (revision, position, event_id) = (0, 1, new_id());
        Snapshot { stream, version: 1, log_id, revision, position, event_id, state: b"{}".to_vec() }
    }
}

fn holder() -> KeyHolder {
    KeyHolder { subject: new_id(), purpose: "testing".to_owned() }
}

/// One that reads: the next read gets the connection that the operation had.
fn options() -> StoreOptions {
    StoreOptions { readers: 1, ..StoreOptions::default() }
}

async fn what_is_cut_off_leaves_nothing_open(test: TestStore) {
    let world = World::of(test).await;
    let Opened { store, vault, snapshots, .. } = &world.opened;
    let stream = world.stream();
    world.append(&stream, 500).await;
    world.look("opening").await;

    world.cut_off("an append", async || world.append(&world.stream(), 2).await).await;
    world
        .cut_off("reading a stream", async || {
            store.read_stream(&stream, 0, 1000).await.unwrap();
            store.read_last(&stream).await.unwrap();
        })
        .await;
    world
        .cut_off("reading the log", async || {
            store.head().await.unwrap();
            store.read_correlation(new_id(), 0, 10).await.unwrap();
            drop(store.read_log(0, &EventFilter::all(), 1000).await.unwrap());
            store.check_writable().await.unwrap();
        })
        .await;
    world
        .cut_off("removing old events", async || {
            store.scavenge(&stream, 400, 10).await.unwrap();
        })
        .await;
    world
        .cut_off("making and finding a key", async || {
            let key = vault.sealing_key(&holder()).await.unwrap().unwrap();
            assert!(vault.opening_key(key.id).await.unwrap().is_some());
        })
        .await;
    world
        .cut_off("destroying keys", async || {
            let holder = holder();
            vault.destroy(&[holder.subject], &[]).await.unwrap();
            assert!(vault.is_destroyed(&holder).await.unwrap());
        })
        .await;
    world
        .cut_off("a snapshot", async || {
            let snapshot = world.snapshot(stream.clone());
            snapshots.save(&snapshot).await.unwrap();
            assert!(snapshots.load(&stream).await.unwrap().is_some());
            snapshots.forget(&stream).await.unwrap();
        })
        .await;
    let cuts = world.cuts.into_inner();
    assert!(cuts >= 10, "only {cuts} operations were cut off");
    world.opened.close().await;
    world.other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_off_leaves_nothing_open_on_sqlite() {
    what_is_cut_off_leaves_nothing_open(TestStore::sqlite_with(options()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_off_leaves_nothing_open_on_postgres() {
    what_is_cut_off_leaves_nothing_open(TestStore::postgres_with(options()).await).await;
}
