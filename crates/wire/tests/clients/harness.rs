//! A server on a store of its own, and a client of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use eventstore::{
    AppendToStreamOptions, Client, ClientSettings, EventData, ExpectedRevision, ReadStream,
    ReadStreamOptions, RecordedEvent, StreamPosition,
};
use kernel::codec::Codec;
use kernel::keys::{KeyVault, MemoryKeyVault};
use kernel::memory::MemoryStore;
use kernel::seams::{SystemClock, new_id};
use kernel::store::EventStore;
use serde_json::json;

use wire::{Ownership, Served, WireServer, WireSettings};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct TestServer {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) vault: Arc<dyn KeyVault>,
    pub(crate) server: WireServer,
}

impl TestServer {
    /// A server on a store in memory, open to everyone on this machine.
    pub(crate) async fn start() -> Self {
        Self::start_with(WireSettings::default()).await
    }

    pub(crate) async fn start_with(settings: WireSettings) -> Self {
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        Self::on(store, settings).await
    }

    /// A server on a certain store.
    pub(crate) async fn on(store: Arc<dyn EventStore>, settings: WireSettings) -> Self {
        let vault: Arc<dyn KeyVault> = Arc::new(MemoryKeyVault::default());
        let listen = settings.listen.or(Some("127.0.0.1:0".parse().unwrap()));
        let settings = WireSettings { listen, ..settings };
        let served = served(&store, &vault);
        let server = WireServer::start(&settings, served).await.unwrap();
        Self { store, vault, server }
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "esdb://{}?tls=false&discoveryInterval=20&maxDiscoverAttempts=50",
            self.server.address()
        )
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.url())
    }

    /// A client with credentials.
    pub(crate) fn client_of(&self, name: &str, password: &str) -> Client {
        client(&self.url().replace("://", &format!("://{name}:{password}@")))
    }
}

pub(crate) fn served(store: &Arc<dyn EventStore>, vault: &Arc<dyn KeyVault>) -> Served {
    Served {
        store: Arc::clone(store),
        codec: Codec::new(Arc::clone(vault)),
        vault: Arc::clone(vault),
        clock: Arc::new(SystemClock),
        ownership: Ownership::new([("order", "orders"), ("invoice", "billing")]),
    }
}

pub(crate) fn client(url: &str) -> Client {
    Client::new(url.parse::<ClientSettings>().unwrap()).unwrap()
}

/// Waits for something, not for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

/// An event that says its number.
pub(crate) fn numbered(number: usize) -> EventData {
    EventData::json("Counted", &json!({ "number": number })).unwrap().id(new_id())
}

pub(crate) fn some(events: usize) -> Vec<EventData> {
    (0..events).map(numbered).collect()
}

pub(crate) fn expecting(expected: ExpectedRevision) -> AppendToStreamOptions {
    AppendToStreamOptions::default().expected_revision(expected)
}

/// Appends so many numbered events to a stream.
pub(crate) async fn append(client: &Client, stream: &str, events: usize) {
    let options = AppendToStreamOptions::default();
    client.append_to_stream(stream, &options, some(events)).await.unwrap();
}

/// Everything of a stream, forwards.
pub(crate) async fn read(client: &Client, stream: &str) -> eventstore::Result<Vec<RecordedEvent>> {
    let options = ReadStreamOptions::default().position(StreamPosition::Start);
    all_of(client.read_stream(stream, &options).await?).await
}

pub(crate) async fn all_of(mut events: ReadStream) -> eventstore::Result<Vec<RecordedEvent>> {
    let mut read = Vec::new();
    while let Some(event) = soon(events.next()).await? {
        read.push(event.link.or(event.event).unwrap());
    }
    Ok(read)
}

pub(crate) fn revisions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.revision).collect()
}

/// Waits until a stream of the store has its first events removed, and returns its oldest revision.
pub(crate) async fn until_begins_at(store: &Arc<dyn EventStore>, stream: &str, revision: u64) {
    let stream = kernel::event::StreamName::new(stream).unwrap();
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    soon(async {
        loop {
            let events = store.read_stream(&stream, 0, 1).await.unwrap();
            if events.first().is_some_and(|event| event.revision == revision) {
                return;
            }
            looks.tick().await;
        }
    })
    .await;
}
