//! The contract of subscriptions.

use std::sync::Arc;

use kernel::event::{EventFilter, Position};
use kernel::store::ExpectedRevision;
use kernel::subscription::{Delivery, LogReader};

use super::{append, events};
use crate::stores::TestStore;

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

/// Promise 5 and 3: no event missed, none twice, never n+1 before n.
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
