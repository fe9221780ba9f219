//! Every backend, with several clients on few streams.

use std::sync::Arc;

use kernel::store::EventStore;
use testkit::history::{
    Operation, Recorder, Seen, Tally, Workload, in_log_order, linearizable, read_all,
};
use testkit::random;
use testkit::stores::TestStore;

/// Fails with what cannot be explained, and with how to do it again.
#[track_caller]
pub(crate) fn assert_explained(history: &[Operation], log: &[Seen], seed: u64) -> Tally {
    for checked in [linearizable(history, log), in_log_order(history, log)] {
        if let Err(violation) = checked {
            panic!("{violation}\nSEED={seed} makes the same choices again");
        }
    }
    let tally = Tally::of(history);
    assert_eq!(tally.refused, 0, "{tally:?}");
    for (count, what) in [
        (tally.appended, "written"),
        (tally.repeated, "repeated"),
        (tally.conflicts, "conflicting"),
        (tally.mismatches, "mismatched"),
    ] {
        assert!(count > 0, "no append was {what}: {tally:?}");
    }
    tally
}

async fn check(stores: &[Arc<dyn EventStore>], operations: usize) -> Tally {
    let seed = random::seed();
    let recorder = Arc::new(Recorder::default());
    let workload = Workload { streams: 3, clients: 8, operations, seed, process: 0 };
    workload.run(stores, &recorder).await;
    let log = read_all(&stores[0]).await;
    assert_explained(&recorder.history(), &log, seed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    check(&[TestStore::memory().await.store], 400).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_handles_on_one_sqlite_file() {
    let test = TestStore::sqlite().await;
    let other = test.beside().await.unwrap();
    let tally = check(&[Arc::clone(&test.store), Arc::clone(&other.store)], 150).await;
    assert!(tally.unknown > 0, "nobody was gone before the answer: {tally:?}");
    other.close().await;
}
