//! Writes of another client between two steps of a request, and a store that fails.

use std::sync::{Arc, Mutex};

use eventstore::{
    Client, DeleteStreamOptions, Error, ExpectedRevision as Expected, TombstoneStreamOptions,
};
use kernel::decorator::Decorator;
use kernel::event::{Metadata, NewEvent, StreamName};
use kernel::memory::MemoryStore;
use kernel::seams::{Clock as _, SystemClock, new_id};
use kernel::store::{AppendError, AppendRequest, Appended, EventStore, ExpectedRevision};
use wire::WireSettings;

use crate::harness::{TestServer, append, expecting, numbered, read, revisions};

type Intrusion = Box<dyn Fn() -> Result<AppendRequest, AppendError> + Send>;

/// A store in which something happens just before the next append to a stream.
struct Intruding {
    inner: MemoryStore,
    next: Mutex<Option<(StreamName, Intrusion)>>,
}

impl Intruding {
    fn before_append_to(
        &self,
        stream: &str,
        intrusion: impl Fn() -> Result<AppendRequest, AppendError> + Send + 'static,
    ) {
        let stream = StreamName::new(stream).unwrap();
        *self.next.lock().unwrap() = Some((stream, Box::new(intrusion)));
    }

    fn intrusion(&self, requests: &[AppendRequest]) -> Option<Intrusion> {
        let mut next = self.next.lock().unwrap();
        let is_met = next
            .as_ref()
            .is_some_and(|(stream, _)| requests.iter().any(|request| request.stream == *stream));
        if is_met { next.take().map(|(_, intrusion)| intrusion) } else { None }
    }
}

impl Decorator for Intruding {
    fn inner(&self) -> &dyn EventStore {
        &self.inner
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        if let Some(intrusion) = self.intrusion(&requests).map(|intrusion| intrusion()) {
            self.inner.append(intrusion?).await?;
        }
        self.inner.append_many(requests).await
    }
}

/// Another writer's event for the stream `s`.
fn another() -> Result<AppendRequest, AppendError> {
    let id = new_id();
    let metadata = Metadata {
        correlation_id: id,
        causation_id: None,
        traceparent: None,
        actor: "another".into(),
        origin_system: "wire".into(),
        occurred_at: SystemClock.now(),
    };
    let event_type = "Counted".into();
    let event = NewEvent { id, event_type, data: b"{}".to_vec(), metadata, foreign: None };
    let (stream, expected) = (StreamName::new("s").unwrap(), ExpectedRevision::Any);
    Ok(AppendRequest { stream, expected, events: vec![event] })
}

async fn start() -> (Arc<Intruding>, TestServer, Client) {
    let inner = MemoryStore::new(Arc::new(SystemClock));
    let store = Arc::new(Intruding { inner, next: Mutex::new(None) });
    let server = TestServer::on(Arc::clone(&store) as _, WireSettings::default()).await;
    let client = server.client();
    append(&client, "s", 3).await;
    (store, server, client)
}

#[tokio::test]
async fn what_is_appended_while_a_stream_is_deleted_stays() {
    let (store, _server, client) = start().await;
    store.before_append_to("$$s", another);
    let deleting = DeleteStreamOptions::default().expected_revision(Expected::Exact(2));
    client.delete_stream("s", &deleting).await.unwrap();
    assert_eq!(revisions(&read(&client, "s").await.unwrap()), [3]);
    append(&client, "s", 1).await;
    assert_eq!(revisions(&read(&client, "s").await.unwrap()), [3, 4]);
}

#[tokio::test]
async fn a_deleted_stream_that_two_writers_begin_anew_has_what_both_wrote() {
    let (store, _server, client) = start().await;
    let deleting = DeleteStreamOptions::default().expected_revision(Expected::Any);
    client.delete_stream("s", &deleting).await.unwrap();
    store.before_append_to("s", another);
    append(&client, "s", 1).await;
    assert_eq!(revisions(&read(&client, "s").await.unwrap()), [3, 4]);

    // A caller that expects no stream gets the conflict with the faster one.
    client.delete_stream("s", &deleting).await.unwrap();
    store.before_append_to("s", another);
    let refused = client.append_to_stream("s", &expecting(Expected::NoStream), numbered(0)).await;
    assert!(matches!(refused, Err(Error::WrongExpectedVersion { .. })), "{refused:?}");
    assert_eq!(revisions(&read(&client, "s").await.unwrap()), [5]);
}

#[tokio::test]
async fn a_stream_is_not_ended_after_what_its_writer_has_not_seen() {
    let (store, _server, client) = start().await;
    store.before_append_to("s", another);
    let ending = TombstoneStreamOptions::default().expected_revision(Expected::Exact(2));
    match client.tombstone_stream("s", &ending).await {
        Err(Error::Grpc { message, .. }) => {
            assert!(message.contains("Actual version: 3"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(revisions(&read(&client, "s").await.unwrap()), [0, 1, 2, 3]);
}

#[tokio::test]
async fn an_overloaded_store_is_no_reason_to_look_for_another_node() {
    let (store, _server, client) = start().await;
    let any = expecting(Expected::Any);
    store.before_append_to("s", || Err(AppendError::Overloaded));
    match client.append_to_stream("s", &any, numbered(0)).await {
        Err(Error::Grpc { code, .. }) => assert_eq!(format!("{code:?}"), "ResourceExhausted"),
        other => panic!("{other:?}"),
    }
    store.before_append_to("s", || Err(AppendError::OutcomeUnknown("lost".into())));
    match client.append_to_stream("s", &any, numbered(0)).await {
        Err(Error::Grpc { code, message }) => {
            assert_eq!(format!("{code:?}"), "Aborted");
            assert!(message.contains("append again with the same event ids"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    store.before_append_to("s", || Err(AppendError::Unavailable("gone".into())));
    let refused = client.append_to_stream("s", &any, numbered(0)).await;
    assert!(matches!(refused, Err(Error::ServerError(_))), "{refused:?}");
}
