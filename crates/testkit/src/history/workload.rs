//! A workload of clients that conflict with each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kernel::event::{EventFilter, Position, RecordedEvent, Revision, StreamName};
use kernel::store::{AppendError, AppendRequest, EventStore, ExpectedRevision, ReadError};
use kernel::subscription::LogReader;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Answer, Call, EventLocation, Recorder, Seen, Write};
use crate::contract::event_with_id;
use crate::random::Random;

/// The operations of many concurrent clients on few streams.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Number of streams.
    pub streams: u64,
    /// Number of clients.
    pub clients: u64,
    /// Number of operations per client.
    pub operations: usize,
    /// The seed of their choices.
    pub seed: u64,
    /// Distinguishes this process's clients and stores from those of others.
    pub process: u64,
}

/// Difference between the numbers of stores and clients of two processes.
const PER_PROCESS: u64 = 1_000;

impl Workload {
    /// Runs all clients, each on one of the stores in turn.
    pub async fn run(self, stores: &[Arc<dyn EventStore>], recorder: &Arc<Recorder>) {
        let mut clients = JoinSet::new();
        let base = self.process * PER_PROCESS;
        for (number, (place, store)) in
            (0..self.clients).zip((0..).zip(stores).collect::<Vec<_>>().into_iter().cycle())
        {
            let client = Client {
                workload: self,
                who: (base + place, base + number),
                store: Arc::clone(store),
                recorder: Arc::clone(recorder),
                random: Random::of(self.seed, base + number),
                known: HashMap::new(),
                sent: Vec::new(),
                read_to: 0,
            };
            clients.spawn(client.work());
        }
        clients.join_all().await;
    }
}

struct Client {
    workload: Workload,
    who: (u64, u64),
    store: Arc<dyn EventStore>,
    recorder: Arc<Recorder>,
    random: Random,
    /// The last known revision of each stream.
    known: HashMap<String, Option<Revision>>,
    /// Earlier appends, to send again.
    sent: Vec<Vec<Write>>,
    read_to: Position,
}

impl Client {
    async fn work(mut self) {
        for _ in 0..self.workload.operations {
            match self.random.below(100) {
                0..50 => self.append().await,
                50..60 => self.append_again().await,
                60..75 => self.read_stream().await,
                75..85 => self.read_last().await,
                _ => self.read_log().await,
            }
        }
    }

    fn stream(&mut self) -> String {
        format!("hot-{}", self.random.below(self.workload.streams))
    }

    /// Mostly the known revision, so that some writer wins; sometimes another one.
    fn expected(&mut self, stream: &str) -> ExpectedRevision {
        let known = self.known.get(stream).copied().flatten();
        match self.random.below(100) {
            0..70 => ExpectedRevision::exactly(known),
            70..75 => ExpectedRevision::Revision(known.unwrap_or(0) + 1),
            75..80 => ExpectedRevision::NoStream,
            80..88 => ExpectedRevision::Exists,
            _ => ExpectedRevision::Any,
        }
    }

    fn write(&mut self, stream: String) -> Write {
        let expected = self.expected(&stream);
        let count = 1 + self.random.below(3);
        let events = (0..count).map(|_| kernel::seams::new_id()).collect();
        Write { stream, expected, events }
    }

    async fn append(&mut self) {
        let first = self.stream();
        let mut writes = vec![self.write(first.clone())];
        let second = self.stream();
        if self.random.percent(15) && second != first {
            writes.push(self.write(second));
        }
        self.sent.push(writes.clone());
        self.send(writes).await;
    }

    /// The same append again, as after an unknown outcome, or the same ids for other events.
    async fn append_again(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let mut writes = self.random.one_of(&self.sent).clone();
        if self.random.percent(30) {
            let write = &mut writes[0];
            write.expected = ExpectedRevision::Any;
            write.events.push(kernel::seams::new_id());
        }
        self.send(writes).await;
    }

    async fn send(&mut self, writes: Vec<Write>) {
        let noted = append(&self.recorder, self.who, &self.store, writes.clone());
        // Some clients are gone before the response, or right after the request: it may take effect all
        // the same.
        let answer = if self.random.percent(2) {
            noted.now_or_never()
        } else if self.random.percent(2) {
            let patience = Duration::from_micros(self.random.below(3_000));
            tokio::time::timeout(patience, noted).await.ok()
        } else {
            Some(noted.await)
        };
        match answer {
            Some(Answer::Appended { last, .. }) => {
                for (write, place) in writes.iter().zip(last) {
                    self.known.insert(write.stream.clone(), Some(place.revision));
                }
            }
            Some(Answer::WrongRevision { stream, actual }) => {
                self.known.insert(stream, actual);
            }
            _ => {}
        }
    }

    async fn read_stream(&mut self) {
        let stream = self.stream();
        let known = self.known.get(&stream).copied().flatten().unwrap_or(0);
        // Mostly the end, where events are appended.
        let from = known.saturating_sub(self.random.below(4));
        let limit = *self.random.one_of(&[1, 5, 1000]);
        let name = StreamName::new(&stream).unwrap();
        let store = Arc::clone(&self.store);
        let doing = async move { events(store.read_stream(&name, from, limit).await) };
        let call = Call::ReadStream { stream: stream.clone(), from, limit };
        self.learn(&stream, self.recorder.note(self.who, call, doing).await);
    }

    async fn read_last(&mut self) {
        let stream = self.stream();
        let name = StreamName::new(&stream).unwrap();
        let store = Arc::clone(&self.store);
        let doing = async move {
            events(store.read_last(&name).await.map(|last| last.into_iter().collect()))
        };
        let call = Call::ReadLast { stream: stream.clone() };
        self.learn(&stream, self.recorder.note(self.who, call, doing).await);
    }

    fn learn(&mut self, stream: &str, answer: Answer) {
        if let Answer::Events(events) = answer
            && let Some(last) = events.last()
        {
            self.known.insert(stream.to_owned(), Some(last.place.revision));
        }
    }

    async fn read_log(&mut self) {
        let after = if self.random.percent(80) { self.read_to } else { 0 };
        let limit = *self.random.one_of(&[1, 10, 500]);
        let doing = page(Arc::clone(&self.store), after, limit);
        let call = Call::ReadLog { after, limit };
        if let Answer::Page { scanned_to, .. } = self.recorder.note(self.who, call, doing).await {
            self.read_to = self.read_to.max(scanned_to);
        }
    }
}

/// Appends and records it, with the store and the client.
pub async fn append(
    recorder: &Recorder,
    who: (u64, u64),
    store: &Arc<dyn EventStore>,
    writes: Vec<Write>,
) -> Answer {
    let requests = writes.iter().map(request).collect();
    let doing = async { appended(store.append_many(requests).await) };
    recorder.note(who, Call::Append(writes), doing).await
}

fn request(write: &Write) -> AppendRequest {
    let events = write.events.iter().map(|id| event_with_id(*id, Uuid::nil())).collect();
    let stream = StreamName::new(&write.stream).unwrap();
    AppendRequest { stream, expected: write.expected, events }
}

fn appended(outcome: Result<Vec<kernel::store::Appended>, AppendError>) -> Answer {
    match outcome {
        Ok(appended) => Answer::Appended {
            repeated: appended.iter().any(|one| one.repeated),
            last: appended
                .iter()
                .map(|one| EventLocation { revision: one.revision, position: one.position })
                .collect(),
        },
        Err(AppendError::WrongExpectedRevision { stream, actual, .. }) => {
            Answer::WrongRevision { stream: stream.as_str().to_owned(), actual }
        }
        Err(AppendError::IdempotencyMismatch { .. }) => Answer::Mismatch,
        Err(AppendError::OutcomeUnknown(_)) => Answer::Unknown,
        Err(AppendError::Overloaded | AppendError::Unavailable(_) | AppendError::WentBack) => {
            Answer::Refused
        }
        Err(error) => panic!("nobody asked for that: {error}"),
    }
}

fn seen(event: &RecordedEvent) -> Seen {
    let place = EventLocation { revision: event.revision, position: event.position };
    Seen { stream: event.stream.as_str().to_owned(), place, id: event.id }
}

fn events(outcome: Result<Vec<Arc<RecordedEvent>>, ReadError>) -> Answer {
    match outcome {
        Ok(events) => Answer::Events(events.iter().map(|event| seen(event)).collect()),
        Err(ReadError::Unavailable(_)) => Answer::Refused,
        Err(error) => panic!("{error}"),
    }
}

async fn page(store: Arc<dyn EventStore>, after: Position, limit: usize) -> Answer {
    match store.read_log(after, &EventFilter::all(), limit).await {
        Ok(page) => Answer::Page {
            events: page.events.iter().map(|event| seen(event)).collect(),
            scanned_to: page.scanned_to,
        },
        Err(ReadError::Unavailable(_)) => Answer::Refused,
        Err(error) => panic!("{error}"),
    }
}

/// Returns the current whole log, whoever wrote it.
pub async fn read_all(store: &Arc<dyn EventStore>) -> Vec<Seen> {
    let head = store.head().await.unwrap();
    let mut reader = LogReader::new(Arc::clone(store), 0, EventFilter::all());
    let mut log = Vec::new();
    let mut read_to = 0;
    while read_to < head {
        let page = reader.page(500).await.unwrap();
        if page.events.is_empty() {
            // This store does not know of it yet.
            reader.wait().await;
        }
        read_to = page.scanned_to;
        log.extend(page.events.iter().map(|event| seen(event)));
    }
    log
}
