//! The metadata of streams, and what it hides.

use std::time::Duration;

use eventstore::{
    Client, Error, ReadStreamOptions, StreamMetadata, StreamMetadataBuilder, StreamMetadataResult,
    StreamPosition,
};

use crate::harness::{
    TestServer, all_of, append, expecting, numbered, read, revisions, until_begins_at,
};

async fn describe(client: &Client, stream: &str, metadata: &StreamMetadata) {
    client.set_stream_metadata(stream, &Default::default(), metadata).await.unwrap();
}

async fn backwards(client: &Client, stream: &str, count: usize) -> Vec<u64> {
    let options =
        ReadStreamOptions::default().backwards().position(StreamPosition::End).max_count(count);
    revisions(&all_of(client.read_stream(stream, &options).await.unwrap()).await.unwrap())
}

#[tokio::test]
async fn metadata_is_read_as_it_was_written() {
    let server = TestServer::start().await;
    let client = server.client();
    let unknown = client.get_stream_metadata("s", &Default::default()).await.unwrap();
    assert!(unknown.is_not_found(), "{unknown:?}");
    append(&client, "s", 1).await;
    for count in [7, 9] {
        let metadata = StreamMetadataBuilder::new()
            .max_count(count)
            .max_age(Duration::from_secs(3600))
            .cache_control(Duration::from_secs(2))
            .insert_custom_property("colour", "red")
            .build();
        describe(&client, "s", &metadata).await;
    }
    let found = client.get_stream_metadata("s", &Default::default()).await.unwrap();
    let StreamMetadataResult::Success(found) = found else { panic!("{found:?}") };
    assert_eq!(found.metadata().max_count, Some(9));
    assert_eq!(found.metadata().max_age, Some(Duration::from_secs(3600)));
    assert_eq!(found.metadata().custom_properties["colour"], "red");
    assert_eq!(found.version(), 1);
    // Of metadata only the last is kept.
    assert_eq!(revisions(&read(&client, "$$s").await.unwrap()), [1]);
}

#[tokio::test]
async fn as_many_events_as_are_wanted_are_kept() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 10).await;
    describe(&client, "s", &StreamMetadataBuilder::new().max_count(3).build()).await;
    assert_eq!(revisions(&read(&client, "s").await.unwrap()), [7, 8, 9]);
    assert_eq!(backwards(&client, "s", 10).await, [9, 8, 7]);
    append(&client, "s", 1).await;
    assert_eq!(revisions(&read(&client, "s").await.unwrap()), [8, 9, 10]);
    // The others are gone, and revisions go on.
    until_begins_at(&server.store, "s", 7).await;
    assert_eq!(backwards(&client, "s", 2).await, [10, 9]);
}

#[tokio::test]
async fn what_is_before_a_revision_or_too_old_is_hidden() {
    let server = TestServer::start().await;
    let client = server.client();
    append(&client, "s", 6).await;
    describe(&client, "s", &StreamMetadataBuilder::new().truncate_before(4).build()).await;
    assert_eq!(revisions(&read(&client, "s").await.unwrap()), [4, 5]);
    assert_eq!(backwards(&client, "s", 9).await, [5, 4]);

    append(&client, "old", 3).await;
    // One second: this client writes milliseconds where the protocol has seconds.
    let a_second = StreamMetadataBuilder::new().max_age(Duration::from_millis(1)).build();
    describe(&client, "old", &a_second).await;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    crate::harness::soon(async {
        while !read(&client, "old").await.unwrap().is_empty() {
            looks.tick().await;
        }
    })
    .await;
    append(&client, "old", 1).await;
    assert_eq!(revisions(&read(&client, "old").await.unwrap()), [3]);
    assert_eq!(backwards(&client, "old", 9).await, [3]);
}

#[tokio::test]
async fn a_stream_of_metadata_takes_nothing_else() {
    let server = TestServer::start().await;
    let client = server.client();
    let any = expecting(eventstore::ExpectedRevision::Any);
    let refused = client.append_to_stream("$$s", &any, numbered(0)).await;
    assert!(matches!(refused, Err(Error::Grpc { .. })), "{refused:?}");
    let malformed = eventstore::EventData::json("$metadata", &[1]).unwrap();
    let refused = client.append_to_stream("$$s", &any, malformed).await;
    assert!(matches!(refused, Err(Error::Grpc { .. })), "{refused:?}");
    // Metadata has no metadata, and writing the system's streams requires a right.
    for system in ["$$$$s", "$system", "$$$system"] {
        let event = eventstore::EventData::json("$metadata", &serde_json::json!({})).unwrap();
        let refused = client.append_to_stream(system, &any, event).await;
        assert!(matches!(refused, Err(Error::AccessDenied)), "{system}: {refused:?}");
    }
}

#[tokio::test]
async fn metadata_does_not_delete_what_has_no_events() {
    let server = TestServer::start().await;
    let client = server.client();
    let deleted = StreamMetadataBuilder::new().truncate_before(i64::MAX as u64).build();
    let refused = client.set_stream_metadata("s", &Default::default(), &deleted).await;
    let Err(Error::Grpc { message, .. }) = refused else { panic!("{refused:?}") };
    assert!(message.contains("stream s has no events"), "{message}");
    // What is written first can be read, and deleted so.
    append(&client, "s", 1).await;
    assert_eq!(revisions(&read(&client, "s").await.unwrap()), [0]);
    describe(&client, "s", &deleted).await;
    let gone = read(&client, "s").await;
    assert!(matches!(gone, Err(Error::ResourceNotFound)), "{gone:?}");
}
