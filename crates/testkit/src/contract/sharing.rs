//! The contract of concurrent appends, by one process or by several.

use std::sync::Arc;

use futures::future::join_all;
use kernel::event::{EventFilter, Position};
use kernel::store::{AppendError, EventStore, ExpectedRevision};
use kernel::subscription::{Delivery, LogReader};

use super::{append, assert_dense, event, events, request, round_before, whole_log};
use crate::stores::TestStore;

/// Promise 3 and 1 under concurrency: one winner per revision, and still dense.
pub async fn concurrent_appends_stay_dense_and_each_conflict_is_its_own(test: TestStore) {
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..32 {
        let store = Arc::clone(&test.store);
        tasks.spawn(async move {
            let mut won = 0;
            for round in 0..8 {
                let contended = append(
                    &store,
                    "hot-1",
                    ExpectedRevision::exactly(round_before(round)),
                    events(1),
                );
                won += usize::from(contended.await.is_ok());
                // Conflicts of other appends in the same groups do not affect an uncontended append.
                let own = format!("own-{writer}");
                let expected = ExpectedRevision::exactly(round_before(round));
                append(&store, &own, expected, events(1)).await.unwrap();
            }
            won
        });
    }
    let won: usize = tasks.join_all().await.into_iter().sum();
    let log = whole_log(&test.store).await;
    assert_dense(&log);
    let hot = log.iter().filter(|event| event.stream.as_str() == "hot-1").count();
    assert_eq!(hot, won);
    assert!((1..=8).contains(&hot));
    assert_eq!(log.len(), hot + 32 * 8);
}

/// Promise 4 under concurrency.
pub async fn concurrent_repetitions_are_written_once(test: TestStore) {
    let repeated = events(3);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (store, repeated) = (Arc::clone(&test.store), repeated.clone());
        tasks.spawn(async move {
            append(&store, "a-1", ExpectedRevision::NoStream, repeated).await.unwrap()
        });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| (answer.revision, answer.position) == (2, 3)));
    assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
    assert_eq!(whole_log(&test.store).await.len(), 3);
}

/// Promise 4 among queued appends: the second one receives the result of the first one.
pub async fn repetitions_within_a_group_are_recognised(test: TestStore) {
    let store = &test.store;
    let ids = events(3);
    let one_of_them = vec![ids[1].clone()];
    let with_another = vec![ids[0].clone(), event()];
    let answers = join_all([
        append(store, "a-1", ExpectedRevision::NoStream, ids.clone()),
        append(store, "a-1", ExpectedRevision::NoStream, ids),
        append(store, "a-1", ExpectedRevision::Any, one_of_them),
        append(store, "a-1", ExpectedRevision::Any, with_another),
        append(store, "a-1", ExpectedRevision::Revision(2), events(1)),
    ])
    .await;
    let places: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().ok().map(|it| (it.revision, it.position, it.repeated)))
        .collect();
    let expected =
        [Some((2, 3, false)), Some((2, 3, true)), Some((1, 2, true)), None, Some((3, 4, false))];
    assert_eq!(places, expected);
    assert!(matches!(answers[3], Err(AppendError::IdempotencyMismatch { .. })));
    assert_dense(&whole_log(store).await);
}

/// Promise 1 and 3: an append over several streams that conflicts does not affect other appends.
pub async fn a_conflict_fails_no_other_append_of_its_group(test: TestStore) {
    let store = &test.store;
    append(store, "taken-1", ExpectedRevision::NoStream, events(1)).await.unwrap();
    let appends = (0..40_usize).map(async |number| {
        let own = request(&format!("own-{number}"), ExpectedRevision::NoStream, events(2));
        let requests = if number % 2 == 0 {
            vec![own]
        } else {
            vec![own, request("taken-1", ExpectedRevision::NoStream, events(1))]
        };
        store.append_many(requests).await
    });
    for (number, answer) in join_all(appends).await.into_iter().enumerate() {
        if number % 2 == 0 {
            answer.unwrap();
        } else {
            let error = answer.unwrap_err();
            assert!(matches!(error, AppendError::WrongExpectedRevision { .. }), "{error}");
        }
    }
    let log = whole_log(store).await;
    assert_dense(&log);
    assert_eq!(log.len(), 1 + 20 * 2);
}

/// Promise 3 for several processes on one store: their groups interleave, no position is missing or
/// used twice, and no reader of either sees an event before all events below it.
pub async fn two_processes_write_one_dense_log(test: TestStore) {
    const WRITERS: usize = 6;
    const EACH: usize = 30;
    let beside = test.beside().await.unwrap();
    let stores = [Arc::clone(&test.store), Arc::clone(&beside.store)];
    let total = 2 * WRITERS * EACH + 1;
    append(&stores[0], "shared-1", ExpectedRevision::NoStream, events(1)).await.unwrap();
    let mut readers = tokio::task::JoinSet::new();
    for store in &stores {
        let mut reader = LogReader::new(Arc::clone(store), 0, EventFilter::all());
        readers.spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < total {
                if let Delivery::Event(event) = reader.next().await.unwrap() {
                    seen.push(event.position);
                }
            }
            seen
        });
    }
    let mut writers = tokio::task::JoinSet::new();
    for (process, store) in stores.iter().enumerate() {
        for writer in 0..WRITERS {
            let store = Arc::clone(store);
            writers.spawn(async move {
                for round in 0..EACH as u64 {
                    // On a stream of its own it never gets a conflict; on the shared one it ignores
                    // conflicts.
                    let own = format!("own-{process}-{writer}");
                    let (name, expected) = if round % 3 == 2 {
                        ("shared-1", ExpectedRevision::Any)
                    } else {
                        let own_round = round - round / 3;
                        (own.as_str(), ExpectedRevision::exactly(round_before(own_round)))
                    };
                    append(&store, name, expected, events(1)).await.unwrap();
                }
            });
        }
    }
    writers.join_all().await;
    let expected: Vec<Position> = (1..=total as Position).collect();
    for seen in readers.join_all().await {
        assert_eq!(seen, expected);
    }
    for store in &stores {
        let log = whole_log(store).await;
        assert_dense(&log);
        assert_eq!(log.len(), total);
    }
    beside.close().await;
}

/// Promise 1 for several processes: of appends with the same expected revision, one wins.
pub async fn of_two_processes_one_wins_each_revision(test: TestStore) {
    const ROUNDS: u64 = 20;
    let beside = test.beside().await.unwrap();
    for round in 0..ROUNDS {
        let expected = ExpectedRevision::exactly(round_before(round));
        let attempt = |store: &Arc<dyn EventStore>| {
            let store = Arc::clone(store);
            async move { append(&store, "hot-1", expected, events(1)).await }
        };
        let (here, there) = futures::join!(attempt(&test.store), attempt(&beside.store));
        let (won, lost) = if here.is_ok() { (here, there) } else { (there, here) };
        assert_eq!(won.unwrap().revision, round);
        let lost = lost.unwrap_err();
        let AppendError::WrongExpectedRevision { actual, .. } = lost else { panic!("{lost}") };
        assert_eq!(actual, Some(round));
    }
    assert_dense(&whole_log(&test.store).await);
    beside.close().await;
}

/// Promise 6: while the store cannot write, appends without a place in the queue fail as overloaded at
/// their deadline; the others are written once it can. The store has a queue for a few appends;
/// `unblock` lets it write.
pub async fn overload_is_told_and_loses_nothing(test: &TestStore, unblock: impl AsyncFnOnce()) {
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..12 {
        let store = Arc::clone(&test.store);
        appends.spawn(async move {
            append(&store, &format!("a-{number}"), ExpectedRevision::Any, events(1)).await
        });
    }
    let (mut overloaded, mut written) = (0, 0);
    let mut unblock = Some(unblock);
    while let Some(outcome) = appends.join_next().await {
        match outcome.unwrap() {
            Ok(_) => written += 1,
            Err(AppendError::Overloaded) => {
                overloaded += 1;
                // The first refusal has arrived: let the others through.
                if let Some(unblock) = unblock.take() {
                    unblock().await;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(overloaded > 0);
    assert!(written > 0);
    assert_eq!(whole_log(&test.store).await.len(), written);
}
