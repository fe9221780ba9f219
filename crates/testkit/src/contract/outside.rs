//! Events from outside, and their removal.

use std::sync::Arc;

use kernel::event::{ContentType, EventFilter, Foreign, NewEvent};
use kernel::store::{AppendError, EventStore, ExpectedRevision};

use super::{append, event, events, stream, whole_log, written};
use crate::stores::TestStore;

fn foreign(content_type: ContentType, data: &[u8], metadata: &[u8]) -> NewEvent {
    let foreign = Foreign { content_type, metadata: metadata.to_vec() };
    NewEvent { data: data.to_vec(), foreign: Some(Arc::new(foreign)), ..event() }
}

/// Content types, metadata and data that are not text.
pub async fn events_from_outside_keep_what_came_with_them(test: TestStore) {
    let sent = vec![
        foreign(ContentType::Binary, &[0, 159, 146, 150], &[255, 0]),
        foreign(ContentType::Json, b"{}", b""),
        event(),
    ];
    append(&test.store, "a-1", ExpectedRevision::NoStream, sent.clone()).await.unwrap();
    // This one is checked, not written on an assumption: another path into the table.
    let more = vec![foreign(ContentType::Json, b"[1]", br#"{"$correlationId":"x"}"#)];
    append(&test.store, "a-1", ExpectedRevision::Exists, more.clone()).await.unwrap();
    let sent: Vec<_> = [sent, more].concat().into_iter().map(|sent| sent.foreign).collect();
    let seen = async |store: &Arc<dyn EventStore>| -> Vec<Option<Arc<Foreign>>> {
        whole_log(store).await.iter().map(|event| event.foreign.clone()).collect()
    };
    assert_eq!(seen(&test.store).await, sent);
    assert_eq!(seen(&test.restarted().await.store).await, sent);
}

async fn positions(store: &Arc<dyn EventStore>, after: u64, limit: usize) -> (Vec<u64>, u64) {
    let page = store.read_log(after, &EventFilter::all(), limit).await.unwrap();
    (page.events.iter().map(|event| event.position).collect(), page.scanned_to)
}

/// Removing events: readers skip them, and checkpoints at their positions stay valid.
pub async fn scavenged_events_leave_holes_and_their_ids(test: TestStore) {
    let store = &test.store;
    let first = events(4);
    append(store, "a-1", ExpectedRevision::NoStream, first.clone()).await.unwrap();
    append(store, "a-2", ExpectedRevision::NoStream, events(2)).await.unwrap();
    assert_eq!(store.scavenge(&stream("a-1"), 3, 2).await.unwrap(), 2);
    assert_eq!(store.scavenge(&stream("a-1"), 3, 2).await.unwrap(), 1);
    assert_eq!(store.scavenge(&stream("a-1"), 3, 2).await.unwrap(), 0);
    assert_eq!(store.scavenge(&stream("nothing"), 3, 2).await.unwrap(), 0);
    let test = {
        assert_eq!(positions(store, 0, 2).await, (vec![4, 5], 5));
        test.restarted().await
    };
    let store = &test.store;
    assert_eq!(positions(store, 0, 2).await, (vec![4, 5], 5));
    assert_eq!(positions(store, 2, 10).await, (vec![4, 5, 6], 6));
    for (position, event) in (1..).zip(&first) {
        assert_eq!(store.event_id_at(position).await.unwrap(), Some(event.id));
    }
}

/// Revisions and positions after a removal; the last event stays, whatever was requested.
pub async fn what_is_left_of_a_scavenged_stream_goes_on(test: TestStore) {
    let store = &test.store;
    append(store, "a-1", ExpectedRevision::NoStream, events(3)).await.unwrap();
    assert_eq!(store.scavenge(&stream("a-1"), u64::MAX, 100).await.unwrap(), 2);
    let test = {
        assert_eq!(positions(store, 0, 10).await, (vec![3], 3));
        test.restarted().await
    };
    let store = &test.store;
    let left = store.read_stream(&stream("a-1"), 0, 10).await.unwrap();
    assert_eq!(left.iter().map(|event| event.revision).collect::<Vec<_>>(), [2]);
    let refused = append(store, "a-1", ExpectedRevision::NoStream, events(1)).await.unwrap_err();
    assert!(matches!(refused, AppendError::WrongExpectedRevision { actual: Some(2), .. }));
    let appended = append(store, "a-1", ExpectedRevision::Revision(2), events(1)).await.unwrap();
    assert_eq!(appended, written(3, 4));
    assert_eq!(store.read_last(&stream("a-1")).await.unwrap().unwrap().revision, 3);
}
