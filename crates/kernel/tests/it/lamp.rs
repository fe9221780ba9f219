//! A tiny domain: lamps that are lit, with the name of who lit them.

use std::sync::Arc;
use std::time::Duration;

use event_contract::{Personal, Published};
use kernel::codec::Codec;
use kernel::decider::{Context, Decider};
use kernel::event::{EventFilter, Metadata, NewEvent, Position, StreamName};
use kernel::execution::{Cause, Environment};
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::lease::RuntimeOptions;
use kernel::memory::MemoryStore;
use kernel::seams::{Clock as _, SystemClock, new_id};
use kernel::store::{AppendRequest, EventStore, ExpectedRevision};
use serde::{Deserialize, Serialize};
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

event_contract::published! {
    "house.LampCounted.v1": LampCounted;
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

#[derive(Debug)]
pub struct LampDecider;

impl Decider for LampDecider {
    const CATEGORY: &'static str = "lamp";
    type Id = Uuid;
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

/// How long a lease lasts here.
pub const TTL: Duration = Duration::from_secs(10);

pub struct House {
    pub environment: Environment,
    pub vault: Arc<MemoryKeyVault>,
}

impl House {
    /// What another process works with on the same log: nothing in memory, no key at hand.
    pub fn beside(&self) -> Environment {
        let Environment { store, clock, lookup_key, .. } = self.environment.clone();
        Environment::new(store, Codec::new(self.vault.clone()), clock, lookup_key)
    }
}

pub fn house() -> House {
    house_on(Arc::new(MemoryStore::new(Arc::new(SystemClock))))
}

pub fn house_on(store: Arc<dyn EventStore>) -> House {
    let vault = Arc::new(MemoryKeyVault::default());
    let (codec, key) = (Codec::new(vault.clone()), SecretKey::generate().unwrap());
    let runtime = RuntimeOptions { replica: "house".to_owned(), lease_ttl: TTL };
    let environment = Environment::new(store, codec, Arc::new(SystemClock), key);
    House { environment: environment.with_runtime(runtime), vault }
}

/// The same house, as another replica knows it.
pub fn replica(environment: &Environment, name: &str) -> Environment {
    let mut environment = environment.clone();
    environment.runtime.replica = name.to_owned();
    environment
}

/// Lights a lamp. Its position in the log.
pub async fn light(environment: &Environment, id: Uuid, by: &'static str) -> Position {
    let cause = Cause::request(new_id(), "test");
    let command = Command::Light { lamp_id: id, by };
    environment.execute::<LampDecider>(id, command, &cause, None).await.unwrap().position
}

/// Counts a lamp, which no projection of these tests wants to know.
pub async fn count(environment: &Environment, id: Uuid) -> Position {
    let cause = Cause::request(new_id(), "test");
    environment.execute::<LampDecider>(id, Command::Count, &cause, None).await.unwrap().position
}

/// Adds an event to a lamp that no decider of this release would. Its position in the log.
pub async fn happens(
    environment: &Environment,
    lamp: Uuid,
    event_type: &'static str,
    data: serde_json::Value,
) -> Position {
    let metadata = Metadata {
        correlation_id: new_id(),
        causation_id: None,
        traceparent: None,
        actor: "a newer release".into(),
        origin_system: "bascule".into(),
        occurred_at: SystemClock.now(),
    };
    let data = data.to_string().into_bytes();
    let event =
        NewEvent { id: new_id(), event_type: event_type.into(), data, metadata, foreign: None };
    let (stream, expected) = (StreamName::of("lamp", lamp), ExpectedRevision::Any);
    let request = AppendRequest { stream, expected, events: vec![event] };
    environment.store.append(request).await.unwrap().position
}

/// A store with the id of a house's log and its first events, as a restored backup has them.
pub async fn restored(environment: &Environment, first: usize) -> MemoryStore {
    let log_id = environment.store.log_id();
    let restored = MemoryStore::new(Arc::new(SystemClock)).with_log_id(log_id);
    let page = environment.store.read_log(0, &EventFilter::all(), first).await.unwrap();
    for recorded in page.events {
        let event = NewEvent {
            id: recorded.id,
            event_type: recorded.event_type.clone(),
            data: recorded.data.clone(),
            metadata: recorded.metadata.clone(),
            foreign: None,
        };
        let stream = recorded.stream.clone();
        let expected = ExpectedRevision::Any;
        restored.append(AppendRequest { stream, expected, events: vec![event] }).await.unwrap();
    }
    restored
}
