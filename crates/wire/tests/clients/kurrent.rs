//! The client's successor, `kurrentdb`: what it does differently.

use kurrentdb::{
    AppendToStreamOptions, Client, ClientSettings, EventData, Position, ReadAllOptions,
    ReadStreamOptions, StreamPosition, StreamState, SubscribeToAllOptions, SubscriptionEvent,
    SubscriptionFilter,
};
use serde_json::json;

use crate::harness::{TestServer, soon};

fn client(server: &TestServer) -> Client {
    let url = server.url().replace("esdb://", "kurrentdb://");
    Client::new(url.parse::<ClientSettings>().unwrap()).unwrap()
}

fn event(number: u64) -> EventData {
    EventData::json("Counted", &json!({ "number": number })).unwrap()
}

#[tokio::test]
async fn it_appends_reads_and_learns_of_conflicts() {
    let server = TestServer::start().await;
    let client = client(&server);
    let expecting = |state| AppendToStreamOptions::default().stream_state(state);
    let events: Vec<_> = (0..3).map(event).collect();
    let written =
        client.append_to_stream("s", &expecting(StreamState::NoStream), events).await.unwrap();
    assert_eq!(written.next_expected_version, 2);
    for state in [StreamState::NoStream, StreamState::StreamRevision(1)] {
        let refused = client.append_to_stream("s", &expecting(state), event(9)).await;
        let Err(kurrentdb::Error::WrongExpectedVersion { current, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(current, kurrentdb::CurrentRevision::Current(2));
    }
    for state in [StreamState::StreamRevision(2), StreamState::StreamExists, StreamState::Any] {
        client.append_to_stream("s", &expecting(state), event(9)).await.unwrap();
    }
    let options = ReadStreamOptions::default().position(StreamPosition::End).backwards();
    let mut events = client.read_stream("s", &options).await.unwrap();
    let mut revisions = Vec::new();
    while let Some(event) = soon(events.next()).await.unwrap() {
        revisions.push(event.get_original_event().revision);
    }
    assert_eq!(revisions, [5, 4, 3, 2, 1, 0]);
}

#[tokio::test]
async fn it_reads_everything_through_a_filter() {
    let server = TestServer::start().await;
    let client = client(&server);
    for stream in ["a-1", "b-1", "a-2"] {
        client.append_to_stream(stream, &Default::default(), event(0)).await.unwrap();
    }
    let read = async |options: ReadAllOptions| {
        let filter = SubscriptionFilter::on_stream_name().add_prefix("a-");
        let mut events = client.read_all(&options.filter(filter)).await.unwrap();
        let mut streams = Vec::new();
        while let Some(event) = soon(events.next()).await.unwrap() {
            streams.push(event.get_original_event().stream_id().to_owned());
        }
        streams
    };
    let options = ReadAllOptions::default;
    assert_eq!(read(options().position(StreamPosition::Start)).await, ["a-1", "a-2"]);
    assert_eq!(read(options().position(StreamPosition::Start).max_count(1)).await, ["a-1"]);
    let backwards = options().position(StreamPosition::End).backwards();
    assert_eq!(read(backwards).await, ["a-2", "a-1"]);
}

#[tokio::test]
async fn it_is_told_when_and_where_it_caught_up() {
    let server = TestServer::start().await;
    let client = client(&server);
    let options = SubscribeToAllOptions::default().position(StreamPosition::Start);
    let caught_up = async || {
        let mut all = client.subscribe_to_all(&options).await;
        loop {
            match soon(all.next_subscription_event()).await.unwrap() {
                SubscriptionEvent::CaughtUp(told) => return told.expect("it says when"),
                SubscriptionEvent::Confirmed(_) | SubscriptionEvent::EventAppeared(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(caught_up().await.position, None);
    let written = client.append_to_stream("s", &Default::default(), event(0)).await.unwrap();
    let told = caught_up().await;
    assert_eq!(told.position, Some(Position { commit: 1, prepare: 1 }));
    assert_eq!(told.position, Some(written.position));

    let mut stream = client.subscribe_to_stream("s", &Default::default()).await;
    loop {
        if let SubscriptionEvent::CaughtUp(Some(told)) =
            soon(stream.next_subscription_event()).await.unwrap()
        {
            assert_eq!(told.stream_revision, Some(0));
            assert_eq!(told.position, None);
            break;
        }
    }
}
