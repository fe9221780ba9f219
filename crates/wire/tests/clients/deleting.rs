//! Delete and Tombstone.

use eventstore::{
    DeleteStreamOptions, Error, ExpectedRevision, ReadAllOptions, StreamPosition,
    SubscribeToStreamOptions, SubscriptionEvent, TombstoneStreamOptions,
};

use crate::harness::{
    TestServer, all_of, append, expecting, numbered, read, revisions, some, soon, until_begins_at,
};

fn deleting(expected: ExpectedRevision) -> DeleteStreamOptions {
    DeleteStreamOptions::default().expected_revision(expected)
}

fn ending(expected: ExpectedRevision) -> TombstoneStreamOptions {
    TombstoneStreamOptions::default().expected_revision(expected)
}

#[tokio::test]
async fn a_deleted_stream_is_not_found_and_begins_anew_after_its_last_revision() {
    for expected in [ExpectedRevision::NoStream, ExpectedRevision::Any, ExpectedRevision::Exact(2)]
    {
        let server = TestServer::start().await;
        let client = server.client();
        append(&client, "s", 3).await;
        let position = client.delete_stream("s", &deleting(ExpectedRevision::Exact(2))).await;
        let position = position.unwrap().expect("it says where");
        assert_eq!(position.commit, 4);
        let outcome = read(&client, "s").await;
        assert!(matches!(outcome, Err(Error::ResourceNotFound)), "{outcome:?}");

        let refused =
            client.append_to_stream("s", &expecting(ExpectedRevision::Exact(1)), numbered(0)).await;
        assert!(matches!(refused, Err(Error::WrongExpectedVersion { .. })), "{refused:?}");
        let refused = client
            .append_to_stream("s", &expecting(ExpectedRevision::StreamExists), numbered(0))
            .await;
        assert!(matches!(refused, Err(Error::WrongExpectedVersion { .. })), "{refused:?}");

        let events = some(2);
        let written =
            client.append_to_stream("s", &expecting(expected), events.clone()).await.unwrap();
        assert_eq!(written.next_expected_version, 4);
        assert_eq!(revisions(&read(&client, "s").await.unwrap()), [3, 4]);
        // The same append once more is recognised.
        let again = client.append_to_stream("s", &expecting(expected), events).await.unwrap();
        assert_eq!(again.position, written.position);

        append(&client, "s", 1).await;
        assert_eq!(revisions(&read(&client, "s").await.unwrap()), [3, 4, 5]);
        let found = client.get_stream_metadata("s", &Default::default()).await.unwrap();
        let eventstore::StreamMetadataResult::Success(found) = found else { panic!("{found:?}") };
        assert_eq!(found.metadata().truncate_before, Some(3));
        // What was deleted is removed for good.
        until_begins_at(&server.store, "s", 3).await;
    }
}

#[tokio::test]
async fn only_what_is_as_expected_is_deleted() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 2).await;
    for expected in [ExpectedRevision::NoStream, ExpectedRevision::Exact(0)] {
        match client.delete_stream("s", &deleting(expected)).await {
            Err(Error::Grpc { code, message }) => {
                assert_eq!(format!("{code:?}"), "FailedPrecondition");
                assert!(message.contains("Actual version: 1"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        let refused = client.tombstone_stream("s", &ending(expected)).await;
        assert!(matches!(refused, Err(Error::Grpc { .. })), "{refused:?}");
    }
    let refused = client.delete_stream("new", &deleting(ExpectedRevision::StreamExists)).await;
    assert!(matches!(refused, Err(Error::Grpc { .. })), "{refused:?}");
    assert_eq!(read(&client, "s").await.unwrap().len(), 2);

    // Where there is nothing, nothing is deleted.
    let nothing = client.delete_stream("new", &deleting(ExpectedRevision::Any)).await.unwrap();
    assert_eq!(nothing, None);
    assert!(client.delete_stream("s", &deleting(ExpectedRevision::Any)).await.unwrap().is_some());
    assert!(client.delete_stream("s", &deleting(ExpectedRevision::Any)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_tombstone_ends_a_stream_for_good() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 2).await;
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::End);
    let mut followed = client.subscribe_to_stream("s", &options).await;
    while !matches!(
        soon(followed.next_subscription_event()).await.unwrap(),
        SubscriptionEvent::CaughtUp
    ) {}

    let position = client.tombstone_stream("s", &ending(ExpectedRevision::Exact(1))).await;
    assert_eq!(position.unwrap().expect("it says where").commit, 3);

    let ended = soon(followed.next_subscription_event()).await;
    assert!(matches!(ended, Err(Error::ResourceDeleted)), "{ended:?}");
    let outcome = read(&client, "s").await;
    assert!(matches!(outcome, Err(Error::ResourceDeleted)), "{outcome:?}");
    for expected in [ExpectedRevision::Any, ExpectedRevision::NoStream, ExpectedRevision::Exact(1)]
    {
        let refused = client.append_to_stream("s", &expecting(expected), numbered(0)).await;
        assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");
    }
    let any = ExpectedRevision::Any;
    let refused = client.delete_stream("s", &deleting(any)).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");
    let refused = client.tombstone_stream("s", &ending(any)).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");
    // Nor can its metadata be written, which would bring it back.
    let metadata = eventstore::StreamMetadataBuilder::new().max_count(5).build();
    let refused = client.set_stream_metadata("s", &Default::default(), &metadata).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");

    // Its events are removed; the end stays.
    until_begins_at(&server.store, "s", 2).await;
    let options = ReadAllOptions::default().position(StreamPosition::Start);
    let events = all_of(client.read_all(&options).await.unwrap()).await.unwrap();
    let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["$streamDeleted", "$streamDeleted"]);
}

#[tokio::test]
async fn what_is_not_there_or_was_deleted_can_be_ended_too() {
    let server = TestServer::start().await;
    let client = server.client();
    client.tombstone_stream("never", &ending(ExpectedRevision::NoStream)).await.unwrap();
    let refused =
        client.append_to_stream("never", &expecting(ExpectedRevision::NoStream), numbered(0)).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");

    append(&client, "s", 2).await;
    client.delete_stream("s", &deleting(ExpectedRevision::Any)).await.unwrap();
    client.tombstone_stream("s", &ending(ExpectedRevision::NoStream)).await.unwrap();
    let outcome = read(&client, "s").await;
    assert!(matches!(outcome, Err(Error::ResourceDeleted)), "{outcome:?}");
}
