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

const CLIENTS: u64 = 8;

async fn check(stores: &[Arc<dyn EventStore>], operations: usize) -> Tally {
    check_while(stores, operations, async |_| ()).await
}

/// While something else happens, which is told what the clients do.
async fn check_while(
    stores: &[Arc<dyn EventStore>],
    operations: usize,
    meanwhile: impl AsyncFnOnce(&Recorder),
) -> Tally {
    let seed = random::seed();
    let recorder = Arc::new(Recorder::default());
    let workload = Workload { streams: 3, clients: CLIENTS, operations, seed, process: 0 };
    tokio::join!(workload.run(stores, &recorder), meanwhile(&recorder));
    let log = read_all(&stores[0]).await;
    assert_explained(&recorder.history(), &log, seed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    let tally = check(&[TestStore::memory().await.store], 400).await;
    assert_eq!(tally.refused, 0);
}

/// Two connections as two processes would have them.
async fn two_handles(test: TestStore) {
    let other = test.beside().await.unwrap();
    let tally = check(&[Arc::clone(&test.store), Arc::clone(&other.store)], 150).await;
    assert!(tally.unknown > 0, "nobody was gone before the answer: {tally:?}");
    assert_eq!(tally.refused, 0);
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_handles_on_one_sqlite_file() {
    two_handles(TestStore::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_handles_on_one_postgres_database() {
    two_handles(TestStore::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_while_connections_are_cut() {
    const OPERATIONS: usize = 100;
    const CUTS: usize = 8;
    const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let test = TestStore::postgres().await;
    let mut connection = testkit::postgres::connect(&test.url().unwrap()).await;
    let other = test.beside().await.unwrap();
    let stores = [Arc::clone(&test.store), Arc::clone(&other.store)];
    let tally = check_while(&stores, OPERATIONS, async |recorder| {
        let all = usize::try_from(CLIENTS).unwrap() * OPERATIONS;
        for cut in 1..=CUTS {
            recorder.until(all * cut / (CUTS + 1)).await;
            // Who was cut before may not be back yet. Whoever follows the log comes back by itself.
            while sqlx::query_scalar::<_, i64>(CUT).fetch_one(&mut connection).await.unwrap() == 0 {
            }
        }
    })
    .await;
    assert!(tally.unknown + tally.refused > 0, "nobody noticed: {tally:?}");
    other.close().await;
}
