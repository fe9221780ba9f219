//! The event store's contract, once for every backend.
//!
//! ```ignore
//! testkit::event_store_contract!(sqlite, testkit::stores::TestStore::sqlite());
//! ```

mod appending;
mod opening;
mod outside;
mod reading;
mod sharing;
mod subscribing;

use std::sync::Arc;

use chrono::DateTime;
use kernel::event::{
    EventFilter, Metadata, NewEvent, Position, RecordedEvent, Revision, StreamName,
};
use kernel::store::{AppendError, AppendRequest, Appended, EventStore, ExpectedRevision};
use uuid::Uuid;

pub use appending::*;
pub use opening::*;
pub use outside::*;
pub use reading::*;
pub use sharing::*;
pub use subscribing::*;

/// Declares one test per promise for a backend. The second argument creates a new
/// [`TestStore`](crate::stores::TestStore).
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
                a_conflict_fails_no_other_append_of_its_group,
                an_id_may_stand_in_two_streams,
                streams_are_read_in_pages,
                the_last_event_of_a_stream_is_found,
                an_event_is_found_in_its_stream_by_its_id,
                the_log_is_read_filtered_and_in_pages,
                a_page_has_only_so_many_bytes,
                a_family_is_wanted_in_every_version,
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

/// The same for promises of a store in the same process only: concurrent appends are ordered by their
/// start, and streams that belong to no module accept any event and can be truncated.
#[macro_export]
macro_rules! near_store_contract {
    ($backend:ident, $fresh:expr) => {
        mod $backend {
            $crate::event_store_contract!(@tests $fresh;
                repetitions_within_a_group_are_recognised,
                events_from_outside_keep_what_came_with_them,
                scavenged_events_leave_holes_and_their_ids,
                what_is_left_of_a_scavenged_stream_goes_on,
            );
        }
    };
}

/// The same for promises of a store that several processes can open.
#[macro_export]
macro_rules! shared_store_contract {
    ($backend:ident, $fresh:expr) => {
        mod $backend {
            $crate::event_store_contract!(@tests $fresh;
                two_processes_write_one_dense_log,
                of_two_processes_one_wins_each_revision,
                another_master_key_is_refused_at_once,
            );
        }
    };
}

/// Returns an event with this id.
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
        foreign: None,
    }
}

/// Returns a new event.
pub fn event() -> NewEvent {
    event_with_id(kernel::seams::new_id(), kernel::seams::new_id())
}

/// Returns a new event of a number of bytes, including its type.
fn event_of(size: usize) -> NewEvent {
    let mut event = event();
    let frame = r#"{"text":""}"#.len() + event.event_type.len();
    event.data = format!(r#"{{"text":"{}"}}"#, "x".repeat(size - frame)).into();
    event
}

/// Returns some new events.
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

/// Returns the result of an append whose last event was written here.
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

fn round_before(round: u64) -> Option<u64> {
    round.checked_sub(1)
}
