//! The contract of an append.

use kernel::store::{AppendError, Appended, ExpectedRevision};

use super::{append, assert_dense, event, event_of, events, request, stream, whole_log, written};
use crate::stores::TestStore;

/// Promise 1: every kind of expectation.
pub async fn expected_revisions_are_checked(test: TestStore) {
    use ExpectedRevision::{Any, Exists, NoStream, Revision};
    let store = &test.store;
    for (expected, holds) in [(Exists, false), (Revision(0), false), (NoStream, true)] {
        assert_eq!(append(store, "a-1", expected, events(2)).await.is_ok(), holds, "{expected}");
    }
    for (expected, holds) in
        [(NoStream, false), (Revision(0), false), (Revision(2), false), (Revision(1), true)]
    {
        assert_eq!(append(store, "a-1", expected, events(1)).await.is_ok(), holds, "{expected}");
    }
    for expected in [Exists, Any] {
        append(store, "a-1", expected, events(1)).await.unwrap();
    }
    append(store, "a-2", Any, events(1)).await.unwrap();
    assert_eq!(whole_log(store).await.len(), 6);
}

/// Promise 7: the error of a conflict.
pub async fn a_conflict_says_what_was_expected_and_found(test: TestStore) {
    let store = &test.store;
    append(store, "a-1", ExpectedRevision::NoStream, events(3)).await.unwrap();
    let error = append(store, "a-1", ExpectedRevision::Revision(7), events(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "stream a-1: expected revision 7, found revision 2");
    let error = append(store, "a-2", ExpectedRevision::Exists, events(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "stream a-2: expected an existing stream, found no stream");
}

/// Promise 1: `append_many` is all or nothing.
pub async fn several_streams_are_all_or_nothing(test: TestStore) {
    let store = &test.store;
    append(store, "b-1", ExpectedRevision::NoStream, events(1)).await.unwrap();
    let refused = store
        .append_many(vec![
            request("a-1", ExpectedRevision::NoStream, events(2)),
            request("b-1", ExpectedRevision::NoStream, events(1)),
        ])
        .await
        .unwrap_err();
    assert!(
        matches!(refused, AppendError::WrongExpectedRevision { stream, .. } if stream.as_str() == "b-1")
    );
    assert!(store.read_stream(&stream("a-1"), 0, 10).await.unwrap().is_empty());
    let appended = store
        .append_many(vec![
            request("a-1", ExpectedRevision::NoStream, events(2)),
            request("b-1", ExpectedRevision::Revision(0), events(1)),
        ])
        .await
        .unwrap();
    assert_eq!(appended, [written(1, 3), written(1, 4)]);
    assert_dense(&whole_log(store).await);
}

/// Promise 2: acknowledged is durable.
pub async fn acknowledged_events_survive_a_restart(test: TestStore) {
    append(&test.store, "a-1", ExpectedRevision::NoStream, events(3)).await.unwrap();
    let before = whole_log(&test.store).await;
    let test = test.restarted().await;
    assert_eq!(whole_log(&test.store).await, before);
    let appended =
        append(&test.store, "a-1", ExpectedRevision::Revision(2), events(1)).await.unwrap();
    assert_eq!(appended, written(3, 4));
}

/// Promise 3: dense revisions and positions.
pub async fn revisions_and_positions_are_dense(test: TestStore) {
    let store = &test.store;
    for round in 0..5 {
        for name in ["a-1", "b-1", "c-1"] {
            append(store, name, ExpectedRevision::Any, events(round + 1)).await.unwrap();
            // A failed append leaves no hole.
            append(store, name, ExpectedRevision::NoStream, events(1)).await.unwrap_err();
        }
    }
    let log = whole_log(store).await;
    assert_eq!(log.len(), 45);
    assert_dense(&log);
    assert_eq!(store.head().await.unwrap(), 45);
}

/// Promise 4: re-appending the same ids.
pub async fn repeated_ids_answer_with_the_first_result(test: TestStore) {
    let store = &test.store;
    append(store, "a-1", ExpectedRevision::NoStream, events(1)).await.unwrap();
    let repeated = events(2);
    let first =
        append(store, "a-1", ExpectedRevision::Revision(0), repeated.clone()).await.unwrap();
    append(store, "a-1", ExpectedRevision::Any, events(1)).await.unwrap();
    for expected in
        [ExpectedRevision::Revision(0), ExpectedRevision::Any, ExpectedRevision::NoStream]
    {
        let again = append(store, "a-1", expected, repeated.clone()).await.unwrap();
        assert_eq!(again, Appended { repeated: true, ..first });
    }
    assert_eq!(first, written(2, 3));
    assert_eq!(whole_log(store).await.len(), 4);
}

/// Promise 4: the same ids must mean the same append.
pub async fn the_same_ids_for_something_else_are_an_error(test: TestStore) {
    let store = &test.store;
    let known = events(2);
    append(store, "a-1", ExpectedRevision::NoStream, known.clone()).await.unwrap();
    let partly_new = vec![known[0].clone(), event()];
    let reversed = vec![known[1].clone(), known[0].clone()];
    for events in [partly_new, reversed] {
        let error = append(store, "a-1", ExpectedRevision::Any, events).await.unwrap_err();
        assert!(matches!(error, AppendError::IdempotencyMismatch { .. }), "{error}");
    }
    assert_eq!(whole_log(store).await.len(), 2);
}

/// Promise 4 is per stream.
pub async fn an_id_may_stand_in_two_streams(test: TestStore) {
    let store = &test.store;
    let shared = vec![event()];
    append(store, "a-1", ExpectedRevision::NoStream, shared.clone()).await.unwrap();
    append(store, "a-2", ExpectedRevision::NoStream, shared).await.unwrap();
    assert_eq!(whole_log(store).await.len(), 2);
}

/// Promise 7: the size limit.
pub async fn oversized_events_are_refused_with_their_size(test: TestStore) {
    let large = event_of(1024 * 1024 + 1);
    let size = large.size();
    let error = append(&test.store, "a-1", ExpectedRevision::Any, vec![large]).await.unwrap_err();
    let AppendError::EventTooLarge { size: found, limit, .. } = error else { panic!("{error}") };
    assert_eq!((found, limit), (size, 1024 * 1024));
    let fitting = event_of(1024 * 1024);
    append(&test.store, "a-1", ExpectedRevision::Any, vec![fitting]).await.unwrap();
}

/// Promise 7: invalid requests.
pub async fn senseless_requests_are_refused(test: TestStore) {
    let store = &test.store;
    let twice = event();
    let any = ExpectedRevision::Any;
    for requests in [
        vec![],
        vec![request("a-1", any, vec![])],
        vec![request("a-1", any, vec![twice.clone(), twice])],
        vec![request("a-1", any, events(1)), request("a-1", any, events(1))],
    ] {
        let error = store.append_many(requests).await.unwrap_err();
        assert!(matches!(error, AppendError::Invalid(_)), "{error}");
    }
    assert_eq!(store.head().await.unwrap(), 0);
}
