//! Catch-up subscriptions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventstore::{
    Position, RetryOptions, StreamPosition, SubscribeToAllOptions, SubscribeToStreamOptions,
    Subscription, SubscriptionEvent, SubscriptionFilter,
};
use kernel::decorator::Decorator;
use kernel::event::EventFilter;
use kernel::memory::MemoryStore;
use kernel::seams::SystemClock;
use kernel::store::{EventStore, LogPage, ReadError};
use wire::WireSettings;

use crate::harness::{TestServer, append, read, soon};

/// The messages that a subscription received, in a comparable form: stream and revision of events.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Confirmed,
    CaughtUp,
    Checkpoint(u64),
    Event(String, u64),
}

async fn next(subscription: &mut Subscription) -> Told {
    match soon(subscription.next_subscription_event()).await.unwrap() {
        SubscriptionEvent::Confirmed(id) => {
            assert!(!id.is_empty());
            Told::Confirmed
        }
        SubscriptionEvent::CaughtUp => Told::CaughtUp,
        SubscriptionEvent::Checkpoint(position) => {
            assert_eq!(position.commit, position.prepare);
            Told::Checkpoint(position.commit)
        }
        SubscriptionEvent::EventAppeared(event) => {
            let event = event.get_original_event();
            Told::Event(event.stream_id.clone(), event.revision)
        }
        other => panic!("{other:?}"),
    }
}

async fn expect(subscription: &mut Subscription, expected: &[Told]) {
    for expected in expected {
        assert_eq!(&next(subscription).await, expected);
    }
}

fn event(stream: &str, revision: u64) -> Told {
    Told::Event(stream.to_owned(), revision)
}

#[tokio::test]
async fn a_stream_is_followed_from_its_history_into_what_comes() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 2).await;
    append(&client, "other", 1).await;
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut followed = client.subscribe_to_stream("s", &options).await;
    let history = [Told::Confirmed, event("s", 0), event("s", 1), Told::CaughtUp];
    expect(&mut followed, &history).await;
    append(&client, "other", 1).await;
    append(&client, "s", 2).await;
    expect(&mut followed, &[event("s", 2), event("s", 3)]).await;
}

#[tokio::test]
async fn a_stream_is_followed_after_a_revision_or_from_its_end() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 3).await;
    let from = |position| SubscribeToStreamOptions::default().start_from(position);
    let mut after = client.subscribe_to_stream("s", &from(StreamPosition::Position(1))).await;
    expect(&mut after, &[Told::Confirmed, event("s", 2), Told::CaughtUp]).await;
    let mut live = client.subscribe_to_stream("s", &from(StreamPosition::End)).await;
    expect(&mut live, &[Told::Confirmed, Told::CaughtUp]).await;
    // One that is not there yet is waited for.
    let mut new = client.subscribe_to_stream("new", &from(StreamPosition::Start)).await;
    expect(&mut new, &[Told::Confirmed, Told::CaughtUp]).await;
    append(&client, "new", 1).await;
    append(&client, "s", 1).await;
    expect(&mut after, &[event("s", 3)]).await;
    expect(&mut live, &[event("s", 3)]).await;
    expect(&mut new, &[event("new", 0)]).await;
}

#[tokio::test]
async fn a_log_that_goes_back_ends_what_follows_it() {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let server = TestServer::on(store.clone(), WireSettings::default()).await;
    let client = server.client();
    append(&client, "s", 1).await;
    let kept = store.head().await.unwrap();
    append(&client, "s", 2).await;
    let of_stream = SubscribeToStreamOptions::default().start_from(StreamPosition::Position(1));
    let mut followed = client.subscribe_to_stream("s", &of_stream).await;
    expect(&mut followed, &[Told::Confirmed, event("s", 2), Told::CaughtUp]).await;
    let of_all = SubscribeToAllOptions::default().position(StreamPosition::End);
    let mut all = client.subscribe_to_all(&of_all).await;
    expect(&mut all, &[Told::Confirmed, Told::CaughtUp]).await;
    store.go_back_to(kept);
    // Others write where there was something else.
    append(&client, "s", 3).await;
    for mut subscription in [followed, all] {
        let ended = soon(subscription.next_subscription_event()).await.unwrap_err();
        let ended = format!("{ended:?}");
        assert!(ended.contains("was reset to an earlier state"), "{ended}");
    }
}

#[tokio::test]
async fn everything_is_followed_after_a_position() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "a", 2).await;
    append(&client, "b", 1).await;
    let at = Position { commit: 1, prepare: 1 };
    let options = SubscribeToAllOptions::default().position(StreamPosition::Position(at));
    let mut all = client.subscribe_to_all(&options).await;
    expect(&mut all, &[Told::Confirmed, event("a", 1), event("b", 0), Told::CaughtUp]).await;
    append(&client, "c", 1).await;
    expect(&mut all, &[event("c", 0)]).await;

    let options = SubscribeToAllOptions::default().position(StreamPosition::End);
    let mut live = client.subscribe_to_all(&options).await;
    expect(&mut live, &[Told::Confirmed, Told::CaughtUp]).await;
}

#[tokio::test]
async fn only_what_a_filter_wants_comes_and_checkpoints_tell_how_far_it_looked() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "cart-1", 1).await;
    append(&client, "other-1", 25).await;
    append(&client, "basket-1", 1).await;
    let start = || SubscribeToAllOptions::default().position(StreamPosition::Start);
    let by_stream = || SubscriptionFilter::on_stream_name().max(10);

    for filter in [
        by_stream().add_prefix("cart-").add_prefix("basket-"),
        by_stream().regex("^(cart|basket)-"),
        // Looks ahead, as the expressions of clients may.
        by_stream().regex("^(?!other)"),
    ] {
        let mut wanted = client.subscribe_to_all(&start().filter(filter)).await;
        let history = [
            Told::Confirmed,
            event("cart-1", 0),
            Told::Checkpoint(10),
            Told::Checkpoint(20),
            event("basket-1", 0),
            Told::Checkpoint(27),
            Told::CaughtUp,
        ];
        expect(&mut wanted, &history).await;
    }

    let by_type = SubscriptionFilter::on_event_type().max(1_000);
    let mut none = client.subscribe_to_all(&start().filter(by_type.add_prefix("Never"))).await;
    expect(&mut none, &[Told::Confirmed, Told::Checkpoint(27), Told::CaughtUp]).await;

    // A checkpoint is where it goes on.
    let at = Position { commit: 20, prepare: 20 };
    let options = SubscribeToAllOptions::default()
        .position(StreamPosition::Position(at))
        .filter(by_stream().add_prefix("basket"));
    let mut resumed = client.subscribe_to_all(&options).await;
    let rest = [Told::Confirmed, event("basket-1", 0), Told::Checkpoint(27), Told::CaughtUp];
    expect(&mut resumed, &rest).await;
    append(&client, "basket-2", 1).await;
    expect(&mut resumed, &[event("basket-2", 0)]).await;
}

#[tokio::test]
async fn system_events_can_be_left_out() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 1).await;
    let metadata = eventstore::StreamMetadataBuilder::new().max_count(5).build();
    client.set_stream_metadata("s", &Default::default(), &metadata).await.unwrap();
    append(&client, "s", 1).await;
    let filter = SubscriptionFilter::on_event_type().exclude_system_events().max(1_000);
    let options = SubscribeToAllOptions::default().position(StreamPosition::Start).filter(filter);
    let mut wanted = client.subscribe_to_all(&options).await;
    let history =
        [Told::Confirmed, event("s", 0), event("s", 1), Told::Checkpoint(3), Told::CaughtUp];
    expect(&mut wanted, &history).await;
}

#[tokio::test]
async fn an_expression_that_is_none_is_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    let filter = SubscriptionFilter::on_stream_name().regex("(");
    let options = SubscribeToAllOptions::default().filter(filter);
    let mut refused = client.subscribe_to_all(&options).await;
    let outcome = soon(refused.next_subscription_event()).await;
    match outcome {
        Err(eventstore::Error::Grpc { message, .. }) => {
            assert!(message.contains("expression"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_subscription_goes_on_at_a_server_that_was_started_again() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let server = TestServer::on(Arc::clone(&store), WireSettings::default()).await;
    let client = server.client();
    append(&client, "s", 2).await;
    let retries = RetryOptions::default().retry_forever().retry_delay(Duration::from_millis(20));
    let options = SubscribeToStreamOptions::default()
        .start_from(StreamPosition::Start)
        .retry_options(retries);
    let mut followed = client.subscribe_to_stream("s", &options).await;
    let history = [Told::Confirmed, event("s", 0), event("s", 1), Told::CaughtUp];
    expect(&mut followed, &history).await;

    // It stops though the subscription is open, and comes back where it was.
    let address = server.server.address();
    soon(server.server.stop()).await;
    let settings = WireSettings { listen: Some(address), ..WireSettings::default() };
    let server = TestServer::on(store, settings).await;
    append(&server.client(), "s", 1).await;
    // Nothing is missed and nothing comes twice.
    let mut events = Vec::new();
    while events.is_empty() {
        if let Told::Event(stream, revision) = next(&mut followed).await {
            events.push((stream, revision));
        }
    }
    append(&server.client(), "s", 1).await;
    while events.len() < 2 {
        if let Told::Event(stream, revision) = next(&mut followed).await {
            events.push((stream, revision));
        }
    }
    assert_eq!(events, [("s".to_owned(), 2), ("s".to_owned(), 3)]);
}

/// Counts what is read of the log.
struct Counting {
    inner: MemoryStore,
    read: AtomicUsize,
}

impl Decorator for Counting {
    fn inner(&self) -> &dyn EventStore {
        &self.inner
    }

    async fn read_log(
        &self,
        after: u64,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        let page = self.inner.read_log(after, filter, limit).await?;
        self.read.fetch_add(page.events.len(), Ordering::Relaxed);
        Ok(page)
    }
}

#[tokio::test]
async fn a_consumer_that_takes_its_time_gets_everything_and_holds_nobody_up() {
    const EVENTS: usize = 300;
    let inner = MemoryStore::new(Arc::new(SystemClock));
    let store = Arc::new(Counting { inner, read: AtomicUsize::new(0) });
    let server = TestServer::on(Arc::clone(&store) as _, WireSettings::default()).await;
    let client = server.client();
    // Far more than fits into the buffers of a connection, or into a few pages.
    let large = bytes::Bytes::from(vec![1; 200_000]);
    let one = || eventstore::EventData::binary("Large", large.clone());
    client.append_to_stream("s", &Default::default(), one()).await.unwrap();
    let options = SubscribeToAllOptions::default().position(StreamPosition::Start);
    let mut slow = client.subscribe_to_all(&options).await;
    expect(&mut slow, &[Told::Confirmed, event("s", 0), Told::CaughtUp]).await;
    for _ in 1..EVENTS {
        client.append_to_stream("s", &Default::default(), one()).await.unwrap();
    }
    assert_eq!(soon(read(&server.client(), "s")).await.unwrap().len(), EVENTS);
    // What the client does not take is not read either, but for a page and what is on its way.
    let ahead = store.read.load(Ordering::Relaxed);
    assert!(ahead < EVENTS / 2, "{ahead} events were read for a client that took one");
    for revision in 1..EVENTS as u64 {
        assert_eq!(next(&mut slow).await, event("s", revision));
    }
}
