//! Appends that are committed together: whatever conflicts, repetitions and mismatches a group
//! contains, every caller receives the right result for its own append.

use std::sync::Arc;

use kernel::store::ExpectedRevision;
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::history::{Recorder, Write, append, in_log_order, linearizable, read_all};
use testkit::stores::TestStore;
use uuid::Uuid;

use crate::holds;

fn expected() -> impl Strategy<Value = ExpectedRevision> {
    prop_oneof![
        Just(ExpectedRevision::Any),
        Just(ExpectedRevision::NoStream),
        Just(ExpectedRevision::Exists),
        (0..6_u64).prop_map(ExpectedRevision::Revision),
    ]
}

/// Ids from few, next to each other: the same again and the same in part are common.
fn ids() -> impl Strategy<Value = Vec<Uuid>> {
    (0..8_u128, 1..4_u128)
        .prop_map(|(first, count)| (first..first + count).map(Uuid::from_u128).collect())
}

/// An append to one stream or to several.
fn writes() -> impl Strategy<Value = Vec<Write>> {
    let streams = proptest::sample::subsequence(vec!["a", "b", "c"], 1..=3);
    streams.prop_flat_map(|streams| {
        let write = |stream: &str| {
            let stream = stream.to_owned();
            (expected(), ids()).prop_map(move |(expected, events)| Write {
                stream: stream.clone(),
                expected,
                events,
            })
        };
        streams.into_iter().map(write).collect::<Vec<_>>()
    })
}

fn tells_everyone_the_truth(cases: u32, fresh: impl AsyncFn() -> TestStore) {
    // A few rounds of appends that wait for their turn together.
    let rounds = vec(vec(writes(), 1..12), 1..4);
    holds(cases, rounds, async |rounds| {
        let test = fresh().await;
        let recorder = Arc::new(Recorder::default());
        for round in rounds {
            let together = (0..)
                .zip(round)
                .map(|(client, writes)| append(&recorder, (0, client), &test.store, writes));
            futures::future::join_all(together).await;
        }
        let (history, log) = (recorder.history(), read_all(&test.store).await);
        for checked in [linearizable(&history, &log), in_log_order(&history, &log)] {
            if let Err(violation) = checked {
                panic!("{violation}");
            }
        }
    });
}

#[test]
fn memory() {
    tells_everyone_the_truth(200, TestStore::memory);
}

#[test]
fn sqlite() {
    tells_everyone_the_truth(60, TestStore::sqlite);
}

#[test]
fn postgres() {
    tells_everyone_the_truth(4, TestStore::postgres);
}
