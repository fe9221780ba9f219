//! The event store's promises, once for every backend.
//!
//! ```ignore
//! testkit::event_store_contract!(sqlite, testkit::stores::TestStore::sqlite());
//! ```

use std::sync::Arc;

use chrono::DateTime;
use kernel::event::{
    EventFilter, Metadata, NewEvent, Position, RecordedEvent, Revision, StreamName,
};
use kernel::store::{AppendError, AppendRequest, Appended, EventStore, ExpectedRevision, Place};
use kernel::subscription::{Delivery, LogReader};
use uuid::Uuid;

use crate::stores::TestStore;

/// Declares one test per promise for a backend. The second argument makes a fresh [`TestStore`].
#[macro_export]
macro_rules! event_store_contract {
    ($backend:ident, $fresh:expr) => {
        mod $backend {
            $crate::event_store_contract!(@tests $fresh;
                expected_revisions_are_checked,
                a_conflict_says_what_was_expected_and_found,
                several_streams_are_all_or_nothing,
                acknowledged_events_survive_a_restart,
                revisions_and_positions_are_dense,
                concurrent_appends_stay_dense_and_each_conflict_is_its_own,
                repeated_ids_answer_with_the_first_result,
                the_same_ids_for_something_else_are_an_error,
                concurrent_repetitions_are_written_once,
                an_id_may_stand_in_two_streams,
                streams_are_read_in_pages,
                the_last_event_of_a_stream_is_found,
                an_event_is_found_in_its_stream_by_its_id,
                the_log_is_read_filtered_and_in_pages,
                correlations_are_found_in_order,
                a_position_tells_the_event_that_stands_there,
                subscribers_get_history_then_caught_up_then_live,
                subscribers_see_every_event_once_in_order_while_others_write,
                oversized_events_are_refused_with_their_size,
                senseless_requests_are_refused,
                what_was_written_is_read_back_whole,
                the_log_keeps_its_id,
            );
        }
    };
    (@tests $fresh:expr; $($promise:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            $crate::contract::$promise($fresh.await).await;
        })+
    };
}

/// An event with this id.
pub fn event_with_id(id: Uuid, correlation_id: Uuid) -> NewEvent {
    NewEvent {
        id,
        event_type: "testing.Happened.v1".into(),
        data: br#"{"what":"something"}"#.to_vec(),
        metadata: Metadata {
            correlation_id,
            causation_id: None,
            traceparent: None,
            actor: "test".into(),
            origin_system: "bascule".into(),
            occurred_at: DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap(),
        },
    }
}

/// A new event.
pub fn event() -> NewEvent {
    event_with_id(kernel::seams::new_id(), kernel::seams::new_id())
}

/// Some new events.
pub fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| event()).collect()
}

fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

fn request(name: &str, expected: ExpectedRevision, events: Vec<NewEvent>) -> AppendRequest {
    AppendRequest { stream: stream(name), expected, events }
}

async fn append(
    store: &Arc<dyn EventStore>,
    name: &str,
    expected: ExpectedRevision,
    events: Vec<NewEvent>,
) -> Result<Appended, AppendError> {
    store.append(request(name, expected, events)).await
}

/// What an append answers whose last event was written here.
fn written(revision: Revision, position: Position) -> Appended {
    Appended { revision, position, repeated: false }
}

async fn whole_log(store: &Arc<dyn EventStore>) -> Vec<Arc<RecordedEvent>> {
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let page = store.read_log(after, &EventFilter::all(), 100).await.unwrap();
        if page.scanned_to == after {
            return events;
        }
        after = page.scanned_to;
        events.extend(page.events);
    }
}

fn assert_dense(log: &[Arc<RecordedEvent>]) {
    let positions: Vec<Position> = log.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=log.len() as Position).collect::<Vec<_>>());
    let mut revisions = std::collections::HashMap::new();
    for event in log {
        let next = revisions.entry(event.stream.clone()).or_insert(0);
        assert_eq!(event.revision, *next, "stream {}", event.stream);
        *next += 1;
    }
}

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

/// Promise 3 and 1 under concurrency: one winner per revision, dense all the same.
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
                // An uncontended append in the same groups is never hurt by others' conflicts.
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

fn round_before(round: u64) -> Option<u64> {
    round.checked_sub(1)
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

/// Promise 4 is per stream.
pub async fn an_id_may_stand_in_two_streams(test: TestStore) {
    let store = &test.store;
    let shared = vec![event()];
    append(store, "a-1", ExpectedRevision::NoStream, shared.clone()).await.unwrap();
    append(store, "a-2", ExpectedRevision::NoStream, shared).await.unwrap();
    assert_eq!(whole_log(store).await.len(), 2);
}

/// Reading a stream.
pub async fn streams_are_read_in_pages(test: TestStore) {
    let store = &test.store;
    append(store, "a-1", ExpectedRevision::NoStream, events(7)).await.unwrap();
    append(store, "a-10", ExpectedRevision::NoStream, events(2)).await.unwrap();
    let revisions = async |from, limit| -> Vec<u64> {
        let page = store.read_stream(&stream("a-1"), from, limit).await.unwrap();
        page.iter().map(|event| event.revision).collect()
    };
    assert_eq!(revisions(0, 3).await, [0, 1, 2]);
    assert_eq!(revisions(5, 3).await, [5, 6]);
    assert_eq!(revisions(7, 3).await, [0; 0]);
    assert!(store.read_stream(&stream("nothing"), 0, 3).await.unwrap().is_empty());
}

/// Reading the end of a stream.
pub async fn the_last_event_of_a_stream_is_found(test: TestStore) {
    let store = &test.store;
    assert!(store.read_last(&stream("a-1")).await.unwrap().is_none());
    append(store, "a-1", ExpectedRevision::NoStream, events(7)).await.unwrap();
    append(store, "a-2", ExpectedRevision::NoStream, events(2)).await.unwrap();
    let last = store.read_last(&stream("a-1")).await.unwrap().unwrap();
    assert_eq!((last.stream.as_str(), last.revision), ("a-1", 6));
}

/// Finding one event of a stream, for whoever has not read it from the beginning.
pub async fn an_event_is_found_in_its_stream_by_its_id(test: TestStore) {
    let written = events(3);
    append(&test.store, "a-1", ExpectedRevision::NoStream, events(2)).await.unwrap();
    append(&test.store, "a-2", ExpectedRevision::NoStream, written.clone()).await.unwrap();
    let store = &test.store;
    for (place, event) in (0..).zip(&written) {
        let found = store.find_in_stream(&stream("a-2"), event.id).await.unwrap();
        assert_eq!(found, Some(Place { revision: place, position: place + 3 }));
        assert_eq!(store.find_in_stream(&stream("a-1"), event.id).await.unwrap(), None);
        assert_eq!(store.find_in_stream(&stream("a-3"), event.id).await.unwrap(), None);
    }
    assert_eq!(store.find_in_stream(&stream("a-2"), event().id).await.unwrap(), None);
}

/// Reading the log.
pub async fn the_log_is_read_filtered_and_in_pages(test: TestStore) {
    let store = &test.store;
    for number in 0..30_u64 {
        let mut event = event();
        let event_type = if number % 10 == 0 { "testing.Rare.v1" } else { "testing.Common.v1" };
        event.event_type = event_type.into();
        append(store, &format!("a-{number}"), ExpectedRevision::NoStream, vec![event])
            .await
            .unwrap();
    }
    // From memory as well as from the disk.
    let test = {
        let rare = EventFilter::families_of(["testing.Rare.v1"]);
        assert_eq!(positions(store, 0, &rare, 2).await, ([1, 11].to_vec(), 11));
        test.restarted().await
    };
    let store = &test.store;
    let rare = EventFilter::families_of(["testing.Rare.v1"]);
    assert_eq!(positions(store, 0, &rare, 2).await, ([1, 11].to_vec(), 11));
    // The end is reached though nothing there is wanted: an idle subscriber moves on.
    assert_eq!(positions(store, 11, &rare, 2).await, ([21].to_vec(), 30));
    assert_eq!(positions(store, 30, &rare, 2).await, ([].to_vec(), 30));
    let nothing = EventFilter::families_of(["testing.Never.v1"]);
    assert_eq!(positions(store, 0, &nothing, 2).await, ([].to_vec(), 30));
}

async fn positions(
    store: &Arc<dyn EventStore>,
    after: Position,
    filter: &EventFilter,
    limit: usize,
) -> (Vec<Position>, Position) {
    let page = store.read_log(after, filter, limit).await.unwrap();
    (page.events.iter().map(|event| event.position).collect(), page.scanned_to)
}

/// Reading what one request caused.
pub async fn correlations_are_found_in_order(test: TestStore) {
    let store = &test.store;
    let wanted = kernel::seams::new_id();
    for number in 0..6 {
        let related = event_with_id(kernel::seams::new_id(), wanted);
        let name = format!("a-{number}");
        append(store, &name, ExpectedRevision::NoStream, vec![related, event()]).await.unwrap();
    }
    let first = store.read_correlation(wanted, 0, 4).await.unwrap();
    let found: Vec<_> = first.iter().map(|event| event.position).collect();
    assert_eq!(found, [1, 3, 5, 7]);
    let rest = store.read_correlation(wanted, 7, 4).await.unwrap();
    let found: Vec<_> = rest.iter().map(|event| event.position).collect();
    assert_eq!(found, [9, 11]);
}

/// Promise 8: what a checkpoint is compared with.
pub async fn a_position_tells_the_event_that_stands_there(test: TestStore) {
    let written = events(3);
    append(&test.store, "a-1", ExpectedRevision::NoStream, written.clone()).await.unwrap();
    // From memory as well as from the disk.
    let check = async |store: &Arc<dyn EventStore>| {
        for (position, event) in (1..).zip(&written) {
            assert_eq!(store.event_id_at(position).await.unwrap(), Some(event.id));
        }
        for position in [0, 4, Position::MAX] {
            assert_eq!(store.event_id_at(position).await.unwrap(), None);
        }
    };
    check(&test.store).await;
    check(&test.restarted().await.store).await;
}

/// Promise 5: history, `CaughtUp`, live.
pub async fn subscribers_get_history_then_caught_up_then_live(test: TestStore) {
    let store = &test.store;
    append(store, "a-1", ExpectedRevision::NoStream, events(3)).await.unwrap();
    let mut reader = LogReader::new(Arc::clone(store), 1, EventFilter::all());
    for position in [2, 3] {
        let Delivery::Event(event) = reader.next().await.unwrap() else { panic!("an event") };
        assert_eq!(event.position, position);
    }
    assert_eq!(reader.next().await.unwrap(), Delivery::CaughtUp(3));
    let live = tokio::spawn(async move { reader.next().await.unwrap() });
    append(store, "a-1", ExpectedRevision::Revision(2), events(1)).await.unwrap();
    let Delivery::Event(event) = live.await.unwrap() else { panic!("a live event") };
    assert_eq!(event.position, 4);
}

/// Promise 5 and 3: nothing missed, nothing twice, never n+1 before n.
pub async fn subscribers_see_every_event_once_in_order_while_others_write(test: TestStore) {
    const WRITERS: usize = 8;
    const EACH: usize = 40;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let mut reader = LogReader::new(Arc::clone(&test.store), 0, EventFilter::all());
        readers.spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < WRITERS * EACH {
                if let Delivery::Event(event) = reader.next().await.unwrap() {
                    seen.push(event.position);
                }
            }
            seen
        });
    }
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&test.store);
        writers.spawn(async move {
            for _ in 0..EACH {
                let name = format!("w-{writer}");
                append(&store, &name, ExpectedRevision::Any, events(1)).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let expected: Vec<Position> = (1..=(WRITERS * EACH) as Position).collect();
    for seen in readers.join_all().await {
        assert_eq!(seen, expected);
    }
}

/// Promise 7: the size limit.
pub async fn oversized_events_are_refused_with_their_size(test: TestStore) {
    let mut large = event();
    large.data = vec![b'x'; 1024 * 1024];
    let size = large.size();
    let error = append(&test.store, "a-1", ExpectedRevision::Any, vec![large]).await.unwrap_err();
    let AppendError::EventTooLarge { size: found, limit, .. } = error else { panic!("{error}") };
    assert_eq!((found, limit), (size, 1024 * 1024));
    let mut fitting = event();
    fitting.data = vec![b'x'; 1024 * 1024 - fitting.event_type.len()];
    append(&test.store, "a-1", ExpectedRevision::Any, vec![fitting]).await.unwrap();
}

/// Promise 7: requests that mean nothing.
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

/// Nothing of an event is lost or changed on the way.
pub async fn what_was_written_is_read_back_whole(test: TestStore) {
    let mut written = event();
    written.metadata.causation_id = Some(kernel::seams::new_id());
    written.metadata.traceparent =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    written.metadata.actor = "José « le comptable »".into();
    let name = "rue-de l’Église/№ 5";
    append(&test.store, name, ExpectedRevision::NoStream, vec![written.clone()]).await.unwrap();
    for test in [test.restarted().await] {
        let read = test.store.read_stream(&stream(name), 0, 1).await.unwrap().remove(0);
        assert_eq!(read.stream.as_str(), name);
        assert_eq!(read.id, written.id);
        assert_eq!(read.event_type, written.event_type);
        assert_eq!(read.data, written.data);
        assert_eq!(read.metadata, written.metadata);
    }
}

/// Promise 8: the log has an id.
pub async fn the_log_keeps_its_id(test: TestStore) {
    let id = test.store.log_id();
    assert_eq!(test.restarted().await.store.log_id(), id);
}
