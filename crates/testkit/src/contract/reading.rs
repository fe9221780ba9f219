//! The contract of reads.

use std::sync::Arc;

use kernel::event::{EventFilter, Position};
use kernel::store::{EventLocation, EventStore, ExpectedRevision, PAGE_BYTES};

use super::{append, event, event_of, event_with_id, events, stream};
use crate::stores::TestStore;

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

/// Finding one event of a stream, for a caller that has not read the stream from the beginning.
pub async fn an_event_is_found_in_its_stream_by_its_id(test: TestStore) {
    let written = events(3);
    append(&test.store, "a-1", ExpectedRevision::NoStream, events(2)).await.unwrap();
    append(&test.store, "a-2", ExpectedRevision::NoStream, written.clone()).await.unwrap();
    let store = &test.store;
    for (place, event) in (0..).zip(&written) {
        let found = store.find_in_stream(&stream("a-2"), event.id).await.unwrap();
        assert_eq!(found, Some(EventLocation { revision: place, position: place + 3 }));
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
    // The end is reached though no event there matches: an idle subscriber advances.
    assert_eq!(positions(store, 11, &rare, 2).await, ([21].to_vec(), 30));
    assert_eq!(positions(store, 30, &rare, 2).await, ([].to_vec(), 30));
    let nothing = EventFilter::families_of(["testing.Never.v1"]);
    assert_eq!(positions(store, 0, &nothing, 2).await, ([].to_vec(), 30));
}

/// Reading large events, with little memory.
pub async fn a_page_has_only_so_many_bytes(test: TestStore) {
    const LARGE: usize = PAGE_BYTES / 4;
    // Small ones first: they do not show how large the next ones are.
    for number in 0..10 {
        let size = if number < 3 { 100 } else { LARGE };
        let expected = ExpectedRevision::exactly(u64::checked_sub(number, 1));
        append(&test.store, "a-1", expected, vec![event_of(size)]).await.unwrap();
    }
    // From memory as well as from the disk.
    let check = async |store: &Arc<dyn EventStore>| {
        let all = EventFilter::all();
        let happened = EventFilter::families_of(["testing.Happened.v1"]);
        for filter in [&all, &happened] {
            let mut after = 0;
            let mut found = Vec::new();
            while after < 10 {
                let (positions, scanned_to) = positions(store, after, filter, 100).await;
                assert!((1..=7).contains(&positions.len()), "{positions:?}");
                assert_eq!(positions.last(), Some(&scanned_to));
                found.extend(positions);
                after = scanned_to;
            }
            assert_eq!(found, (1..=10).collect::<Vec<_>>());
        }
        let mut found = Vec::new();
        loop {
            let from = found.len() as u64;
            let page = store.read_stream_page(&stream("a-1"), from, 100).await.unwrap();
            let bytes: usize = page.iter().map(|event| event.size()).sum();
            assert!(bytes < PAGE_BYTES + 4 * LARGE, "{bytes}");
            if page.is_empty() {
                break;
            }
            found.extend(page.iter().map(|event| event.revision));
        }
        assert_eq!(found, (0..10).collect::<Vec<_>>());
        let page = store.read_stream_page(&stream("a-1"), 4, 2).await.unwrap();
        assert_eq!(page.iter().map(|event| event.revision).collect::<Vec<_>>(), [4, 5]);
    };
    check(&test.store).await;
    check(&test.restarted().await.store).await;
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

/// Reading the events that one request caused.
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

/// Promise 8: the events with which a checkpoint is compared.
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

/// No part of an event is lost or changed.
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

/// A reader of one version of an event receives every other version, and no other event.
pub async fn a_family_is_wanted_in_every_version(test: TestStore) {
    let types = [
        "testing.Happened.v1",
        "testing.HappenedTwice.v1",
        "testing.Happened.v2",
        "testing.Happened",
        "testing.testing.Happened.v1",
        "testing.Happened.v10",
        "testing.Happened.v",
        "testing.Happened.v1x",
    ];
    let mut written = events(types.len());
    for (event, event_type) in written.iter_mut().zip(types) {
        event.event_type = event_type.into();
    }
    append(&test.store, "a-1", ExpectedRevision::NoStream, written).await.unwrap();
    let wanted = EventFilter::families_of(["testing.Happened.v1"]);
    // From memory as well as from the disk.
    assert_eq!(positions(&test.store, 0, &wanted, 10).await, ([1, 3, 6].to_vec(), 8));
    let test = test.restarted().await;
    assert_eq!(positions(&test.store, 0, &wanted, 10).await, ([1, 3, 6].to_vec(), 8));
}
