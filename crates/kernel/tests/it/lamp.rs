//! A tiny domain: lamps that are lit, with the name of who lit them.

use std::sync::Arc;

use async_trait::async_trait;
use event_contract::{Personal, Published};
use kernel::codec::Codec;
use kernel::decider::{Context, Decider};
use kernel::event::{EventFilter, NewEvent, Position, RecordedEvent, Revision, StreamName};
use kernel::execution::Environment;
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::memory::MemoryStore;
use kernel::seams::SystemClock;
use kernel::store::{
    AppendError, AppendRequest, Appended, EventStore, ExpectedRevision, LogPage, ReadError,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LampLit {
    pub lamp_id: Option<Uuid>,
    pub by: Personal<String>,
}

impl Published for LampLit {
    const TYPE: &'static str = "house.LampLit.v1";
    fn data_subject(&self) -> Option<Uuid> {
        self.lamp_id
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LampCounted {
    pub times: u32,
}

impl Published for LampCounted {
    const TYPE: &'static str = "house.LampCounted.v1";
}

kernel::event_set! {
    pub enum LampEvent { Lit(LampLit), Counted(LampCounted) }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lamp {
    pub times: u32,
    pub by: Option<Personal<String>>,
}

#[derive(Debug, Clone)]
pub enum Command {
    Light { lamp_id: Uuid, by: &'static str },
    Count,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the lamp is worn out")]
pub struct WornOut;

pub struct LampDecider;

impl Decider for LampDecider {
    const CATEGORY: &'static str = "lamp";
    type State = Lamp;
    type Command = Command;
    type Event = LampEvent;
    type Refusal = WornOut;

    fn decide(state: &Lamp, command: Command, _: &Context) -> Result<Vec<LampEvent>, WornOut> {
        match command {
            Command::Light { .. } if state.times >= 1000 => Err(WornOut),
            Command::Light { lamp_id, by } => {
                let by = by.to_owned().into();
                Ok(vec![LampLit { lamp_id: Some(lamp_id), by }.into()])
            }
            Command::Count => Ok(vec![LampCounted { times: state.times }.into()]),
        }
    }

    fn evolve(state: Lamp, event: &LampEvent) -> Lamp {
        match event {
            LampEvent::Lit(lit) => Lamp { times: state.times + 1, by: Some(lit.by.clone()) },
            LampEvent::Counted(_) => state,
        }
    }
}

pub struct House {
    pub environment: Environment,
    pub vault: Arc<MemoryKeyVault>,
}

pub fn house() -> House {
    house_on(Arc::new(MemoryStore::new(Arc::new(SystemClock))))
}

pub fn house_on(store: Arc<dyn EventStore>) -> House {
    let vault = Arc::new(MemoryKeyVault::default());
    let environment = Environment {
        store,
        codec: Codec::new(vault.clone()),
        clock: Arc::new(SystemClock),
        lookup_key: SecretKey::generate().unwrap(),
    };
    House { environment, vault }
}

/// A store that has the id of another log and its first events, as a restored backup has.
pub struct RestoredStore {
    log_id: Uuid,
    inner: MemoryStore,
}

impl RestoredStore {
    pub async fn of(environment: &Environment, first: usize) -> Self {
        let inner = MemoryStore::new(Arc::new(SystemClock));
        let page = environment.store.read_log(0, &EventFilter::all(), first).await.unwrap();
        for recorded in page.events {
            let event = NewEvent {
                id: recorded.id,
                event_type: recorded.event_type.clone(),
                data: recorded.data.clone(),
                metadata: recorded.metadata.clone(),
            };
            let stream = recorded.stream.clone();
            let expected = ExpectedRevision::Any;
            inner.append(AppendRequest { stream, expected, events: vec![event] }).await.unwrap();
        }
        Self { log_id: environment.store.log_id(), inner }
    }
}

#[async_trait]
impl EventStore for RestoredStore {
    fn log_id(&self) -> Uuid {
        self.log_id
    }

    async fn append_many(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Result<Vec<Appended>, AppendError> {
        self.inner.append_many(requests).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.inner.read_stream(stream, from, limit).await
    }

    async fn read_last(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<RecordedEvent>>, ReadError> {
        self.inner.read_last(stream).await
    }

    async fn read_log(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        self.inner.read_log(after, filter, limit).await
    }

    async fn read_correlation(
        &self,
        correlation_id: Uuid,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.inner.read_correlation(correlation_id, after, limit).await
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<Uuid>, ReadError> {
        self.inner.event_id_at(position).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.inner.watch_head()
    }
}
