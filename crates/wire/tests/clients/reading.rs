//! Reads of streams and of everything.

use eventstore::{Error, Position, ReadAllOptions, ReadEvent, ReadStreamOptions, StreamPosition};
use testkit::stores::TestStore;
use wire::WireSettings;

use crate::harness::{TestServer, all_of, append, read, revisions, soon};

#[tokio::test]
async fn a_stream_is_read_from_anywhere_in_both_directions() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 10).await;
    append(&client, "other", 3).await;
    let options = ReadStreamOptions::default;
    use StreamPosition::{End, Position, Start};
    for (options, expected) in [
        (options().position(Start), vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (options().position(Start).max_count(3), vec![0, 1, 2]),
        (options().position(Position(7)), vec![7, 8, 9]),
        (options().position(Position(10)), vec![]),
        (options().position(Position(u64::MAX)), vec![]),
        // This client turns round with the position.
        (options().position(End).forwards(), vec![]),
        (options().position(Start).backwards(), vec![0]),
        (options().position(Start).max_count(0), vec![]),
        (options().backwards().position(End), vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (options().backwards().position(End).max_count(1), vec![9]),
        (options().backwards().position(Position(2)), vec![2, 1, 0]),
        (options().backwards().position(Position(99)).max_count(2), vec![9, 8]),
        (options().position(Start).resolve_link_tos().max_count(1), vec![0]),
    ] {
        let events = all_of(client.read_stream("s", &options).await.unwrap()).await.unwrap();
        assert_eq!(revisions(&events), expected);
        assert!(events.iter().all(|event| event.stream_id == "s"));
    }
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_not_found() {
    let server = TestServer::start().await;
    let client = server.client();
    for options in [ReadStreamOptions::default(), ReadStreamOptions::default().backwards()] {
        let events = client.read_stream("nothing", &options).await.unwrap();
        let outcome = all_of(events).await;
        assert!(matches!(outcome, Err(Error::ResourceNotFound)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_read_says_where_the_stream_ends() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 4).await;
    let options = ReadStreamOptions::default().position(StreamPosition::Start);
    let mut events = client.read_stream("s", &options).await.unwrap();
    let mut ends = Vec::new();
    while let Some(event) = soon(events.next_read_event()).await.unwrap() {
        if let ReadEvent::LastStreamPosition(revision) = event {
            ends.push(revision);
        }
    }
    assert_eq!(ends, [3]);
}

#[tokio::test]
async fn everything_is_read_in_the_order_it_was_written() {
    let server = TestServer::start().await;
    let client = server.client();
    for round in 0..3 {
        append(&client, "a", 2).await;
        append(&client, &format!("b-{round}"), 1).await;
    }
    let options = ReadAllOptions::default;
    let at =
        |position: u64| StreamPosition::Position(Position { commit: position, prepare: position });
    let read = async |options: ReadAllOptions| -> Vec<u64> {
        let events = all_of(client.read_all(&options).await.unwrap()).await.unwrap();
        events.iter().map(|event| event.position.commit).collect()
    };
    use StreamPosition::{End, Start};
    let forwards: Vec<u64> = (1..=9).collect();
    let backwards: Vec<u64> = (1..=9).rev().collect();
    assert_eq!(read(options().position(Start)).await, forwards);
    assert_eq!(read(options().position(Start).max_count(4)).await, forwards[..4]);
    // Forwards the event at the position is among them, backwards it is not.
    assert_eq!(read(options().position(at(4))).await, forwards[3..]);
    assert_eq!(read(options().position(at(10))).await, [0; 0]);
    assert_eq!(read(options().backwards().position(End)).await, backwards);
    assert_eq!(read(options().backwards().position(End).max_count(2)).await, [9, 8]);
    assert_eq!(read(options().backwards().position(at(4))).await, [3, 2, 1]);
    assert_eq!(read(options().position(Start).backwards()).await, [0; 0]);
    assert_eq!(read(options().position(End).forwards()).await, [0; 0]);
}

#[tokio::test]
async fn a_stream_of_ten_thousand_events_is_read_whole_in_both_directions() {
    let store = TestStore::sqlite().await;
    let server = TestServer::on(store.store.clone(), WireSettings::default()).await;
    let client = server.client();
    append(&client, "long", 10_000).await;
    let events = read(&client, "long").await.unwrap();
    assert!(revisions(&events).into_iter().eq(0..10_000));
    let options = ReadStreamOptions::default().backwards().position(StreamPosition::End);
    let events = all_of(client.read_stream("long", &options).await.unwrap()).await.unwrap();
    assert!(revisions(&events).into_iter().eq((0..10_000).rev()));
    let options = ReadAllOptions::default().backwards().position(StreamPosition::End);
    let events = all_of(client.read_all(&options).await.unwrap()).await.unwrap();
    assert!(revisions(&events).into_iter().eq((0..10_000).rev()));
}

#[tokio::test]
async fn large_events_after_small_ones_are_read_whole_in_both_directions() {
    let store = TestStore::sqlite().await;
    let server = TestServer::on(store.store.clone(), WireSettings::default()).await;
    let client = server.client();
    append(&client, "s", 20).await;
    let large = bytes::Bytes::from(vec![1; 900_000]);
    for _ in 0..20 {
        let event = eventstore::EventData::binary("Large", large.clone());
        client.append_to_stream("s", &Default::default(), event).await.unwrap();
    }
    append(&client, "s", 1).await;
    let forwards: Vec<u64> = (0..41).collect();
    let backwards: Vec<u64> = (0..41).rev().collect();
    let options = ReadStreamOptions::default;
    let of_stream = async |options: ReadStreamOptions| {
        revisions(&all_of(client.read_stream("s", &options).await.unwrap()).await.unwrap())
    };
    let of_log = async |options: ReadAllOptions| {
        revisions(&all_of(client.read_all(&options).await.unwrap()).await.unwrap())
    };
    assert_eq!(of_stream(options().position(StreamPosition::Start)).await, forwards);
    let from_end = options().backwards().position(StreamPosition::End);
    assert_eq!(of_stream(from_end.clone()).await, backwards);
    assert_eq!(of_stream(from_end.max_count(15)).await, backwards[..15]);
    let options = ReadAllOptions::default;
    assert_eq!(of_log(options().position(StreamPosition::Start)).await, forwards);
    let from_end = options().backwards().position(StreamPosition::End);
    assert_eq!(of_log(from_end.clone()).await, backwards);
    assert_eq!(of_log(from_end.max_count(15)).await, backwards[..15]);
}
