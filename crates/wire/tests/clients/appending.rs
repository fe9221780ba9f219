//! Append and BatchAppend.

use bytes::Bytes;
use eventstore::{
    AppendToStreamOptions, BatchAppendOptions, CurrentRevision, Error, EventData, ExpectedRevision,
};
use kernel::seams::new_id;
use serde_json::json;

use crate::harness::{TestServer, append, expecting, numbered, read, revisions, some, soon};

#[tokio::test]
async fn an_append_says_where_it_ended_and_a_read_finds_it_there() {
    let server = TestServer::start().await;
    let client = server.client();
    let id = new_id();
    let event = EventData::json("Greeted", &json!({ "name": "Ada" }))
        .unwrap()
        .id(id)
        .metadata_as_json(&json!({ "$correlationId": id, "colour": "red" }))
        .unwrap();
    let options = expecting(ExpectedRevision::NoStream);
    let written = client.append_to_stream("greetings-1", &options, event).await.unwrap();
    assert_eq!(written.next_expected_version, 0);

    let events = read(&client, "greetings-1").await.unwrap();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event.id, id);
    assert_eq!(event.event_type, "Greeted");
    assert_eq!(event.stream_id, "greetings-1");
    assert_eq!(event.position, written.position);
    assert_eq!(event.position.commit, event.position.prepare);
    assert!(event.is_json);
    assert_eq!(event.as_json::<serde_json::Value>().unwrap(), json!({ "name": "Ada" }));
    let metadata: serde_json::Value = serde_json::from_slice(&event.custom_metadata).unwrap();
    assert_eq!(metadata, json!({ "$correlationId": id, "colour": "red" }));
    let age = kernel::seams::Clock::now(&kernel::seams::SystemClock) - event.created;
    assert!(age.num_seconds() < 60, "created at {}", event.created);

    // Our own readers find it by its correlation, and who wrote it.
    let stored = server.store.read_correlation(id, 0, 10).await.unwrap();
    assert_eq!(stored[0].metadata.origin_system, "wire");
    assert_eq!(stored[0].metadata.actor, "anonymous");
}

#[tokio::test]
async fn what_is_no_json_comes_back_byte_by_byte() {
    let server = TestServer::start().await;
    let client = server.client();
    let data = Bytes::from_static(&[0, 0xff, 0x80, b'{']);
    let event = EventData::binary("Scanned", data.clone()).id(new_id());
    let options = AppendToStreamOptions::default();
    client.append_to_stream("scans", &options, event).await.unwrap();
    let events = read(&client, "scans").await.unwrap();
    assert!(!events[0].is_json);
    assert_eq!(events[0].data, data);
    assert!(events[0].custom_metadata.is_empty());
}

#[tokio::test]
async fn every_expectation_is_checked() {
    use ExpectedRevision::{Any, Exact, NoStream, StreamExists};
    let server = TestServer::start().await;
    let client = server.client();
    let attempt =
        async |expected| client.append_to_stream("s", &expecting(expected), numbered(0)).await;
    let refused =
        async |expected: ExpectedRevision, found: CurrentRevision| match attempt(expected).await {
            Err(Error::WrongExpectedVersion { expected: told, current }) => {
                assert_eq!(told, expected);
                assert_eq!(current, found);
            }
            other => panic!("{expected}: {other:?}"),
        };
    refused(StreamExists, CurrentRevision::NoStream).await;
    refused(Exact(0), CurrentRevision::NoStream).await;
    assert_eq!(attempt(NoStream).await.unwrap().next_expected_version, 0);
    refused(NoStream, CurrentRevision::Current(0)).await;
    refused(Exact(1), CurrentRevision::Current(0)).await;
    assert_eq!(attempt(Exact(0)).await.unwrap().next_expected_version, 1);
    assert_eq!(attempt(StreamExists).await.unwrap().next_expected_version, 2);
    assert_eq!(attempt(Any).await.unwrap().next_expected_version, 3);
}

#[tokio::test]
async fn the_same_append_again_changes_nothing() {
    let server = TestServer::start().await;
    let client = server.client();
    let events = some(3);
    let options = expecting(ExpectedRevision::NoStream);
    let first = client.append_to_stream("s", &options, events.clone()).await.unwrap();
    let again = client.append_to_stream("s", &options, events.clone()).await.unwrap();
    assert_eq!(again.next_expected_version, first.next_expected_version);
    assert_eq!(again.position, first.position);
    assert_eq!(read(&client, "s").await.unwrap().len(), 3);

    // Part of them among others is a mistake of the writer.
    let mixed = vec![events[2].clone(), numbered(9)];
    let any = expecting(ExpectedRevision::Any);
    let refused = client.append_to_stream("s", &any, mixed).await;
    assert!(matches!(refused, Err(Error::ResourceAlreadyExists)), "{refused:?}");
}

#[tokio::test]
async fn an_append_of_nothing_says_whether_the_stream_is_as_expected() {
    let server = TestServer::start().await;
    let client = server.client();
    let none = || -> Vec<EventData> { Vec::new() };
    let options = expecting(ExpectedRevision::NoStream);
    client.append_to_stream("s", &options, none()).await.unwrap();
    append(&client, "s", 2).await;
    let refused = client.append_to_stream("s", &options, none()).await;
    assert!(matches!(refused, Err(Error::WrongExpectedVersion { .. })), "{refused:?}");
    let exact = expecting(ExpectedRevision::Exact(1));
    let written = client.append_to_stream("s", &exact, none()).await.unwrap();
    assert_eq!(written.next_expected_version, 1);
    assert_eq!(read(&client, "s").await.unwrap().len(), 2);
}

#[tokio::test]
async fn large_events_are_taken_up_to_the_limit_of_the_store() {
    const LIMIT: usize = 1024 * 1024;
    let server = TestServer::start().await;
    let client = server.client();
    let of = |size: usize| EventData::binary("Large", Bytes::from(vec![7; size])).id(new_id());
    let options = AppendToStreamOptions::default();
    let fitting = LIMIT - "Large".len();
    let four = vec![of(fitting), of(fitting), of(fitting), of(fitting)];
    client.append_to_stream("large", &options, four).await.unwrap();
    let events = read(&client, "large").await.unwrap();
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| event.data.len() == fitting));

    match client.append_to_stream("large", &options, of(LIMIT)).await {
        Err(Error::Grpc { code, message }) => {
            assert_eq!(format!("{code:?}"), "InvalidArgument");
            assert!(message.contains("1048576 bytes"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // More than one append may have, too.
    let seventeen: Vec<_> = (0..17).map(|_| of(fitting)).collect();
    let refused = client.append_to_stream("large", &options, seventeen).await;
    assert!(matches!(refused, Err(Error::Grpc { .. })), "{refused:?}");
    assert_eq!(read(&client, "large").await.unwrap().len(), 4);
}

#[tokio::test]
async fn batches_are_answered_each_for_itself() {
    let server = TestServer::start().await;
    let client = server.client();
    let batches = client.batch_append(&BatchAppendOptions::default()).await.unwrap();
    let written =
        soon(batches.append_to_stream("a", ExpectedRevision::NoStream, some(3))).await.unwrap();
    assert_eq!(written.stream_name(), "a");
    assert_eq!(written.current_revision(), Some(2));
    assert_eq!(written.expected_version(), Some(ExpectedRevision::NoStream));
    let last = read(&client, "a").await.unwrap().pop().unwrap();
    assert_eq!(written.current_position(), Some(last.position));

    for expected in [ExpectedRevision::Exact(2), ExpectedRevision::StreamExists] {
        soon(batches.append_to_stream("a", expected, some(1))).await.unwrap();
    }
    soon(batches.append_to_stream("b", ExpectedRevision::Any, some(1))).await.unwrap();
    assert_eq!(revisions(&read(&client, "a").await.unwrap()), [0, 1, 2, 3, 4]);

    match soon(batches.append_to_stream("a", ExpectedRevision::NoStream, some(1))).await {
        Err(Error::Grpc { message, .. }) => {
            assert!(message.contains("WrongExpectedVersion"), "{message}");
            assert!(message.contains("Actual version: 4"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn batches_to_one_stream_keep_their_order() {
    let server = TestServer::start().await;
    let client = server.client();
    let batches = client.batch_append(&BatchAppendOptions::default()).await.unwrap();
    // More than are carried out at a time, and each expects what the one before leaves.
    let appends = (0..200_u64).map(|number| {
        let expected = match number {
            0 => ExpectedRevision::NoStream,
            _ => ExpectedRevision::Exact(number - 1),
        };
        batches.append_to_stream("ordered", expected, vec![numbered(number as usize)])
    });
    let answers = soon(futures::future::join_all(appends)).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().current_revision(), Some(number as u64));
    }
    let events = read(&client, "ordered").await.unwrap();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.as_json::<serde_json::Value>().unwrap()["number"], number);
    }
}

#[tokio::test]
async fn what_cannot_be_the_name_of_a_stream_or_an_event_is_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    for name in ["", "a\0b"] {
        let event = EventData::json(name, &json!({})).unwrap();
        let refused = client.append_to_stream("s", &expecting(ExpectedRevision::Any), event).await;
        assert!(matches!(refused, Err(Error::Grpc { .. })), "{name:?}: {refused:?}");
    }
    for name in ["", "a\nb", &"x".repeat(251)] {
        let refused =
            client.append_to_stream(name, &AppendToStreamOptions::default(), numbered(0)).await;
        match refused {
            Err(Error::Grpc { message, .. }) => {
                assert!(message.contains("is not a stream name"), "{message}");
            }
            other => panic!("{name:?}: {other:?}"),
        }
    }
}
