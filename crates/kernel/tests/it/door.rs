//! Doors: opened by somebody, passed while open, closed. They refuse, they find nothing to do, and
//! they keep snapshots.

use std::sync::Arc;

use event_contract::Personal;
use kernel::codec::Codec;
use kernel::decider::{Context, Decider};
use kernel::event::StreamName;
use kernel::execution::{Cause, Environment, ExecuteError, Executed};
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::memory::{MemoryStore, StreamReads};
use kernel::seams::{SystemClock, new_id};
use kernel::snapshot::{MemorySnapshots, SnapshotRule};
use kernel::store::EventStore;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoorOpened {
    pub door_id: Uuid,
    pub by: Personal<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoorPassed {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoorClosed {}

event_contract::published! {
    "house.DoorOpened.v1": DoorOpened, about |event| event.door_id;
    "house.DoorPassed.v1": DoorPassed;
    "house.DoorClosed.v1": DoorClosed;
}

kernel::event_set! {
    pub enum DoorEvent { Opened(DoorOpened), Passed(DoorPassed), Closed(DoorClosed) }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Door {
    pub open: bool,
    /// Who opened it last.
    pub by: Option<Personal<String>>,
    pub passages: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Open(Uuid),
    /// So many go through, one after the other.
    Pass(usize),
    Close,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the door is open already")]
    IsOpen,
    #[error("the door is closed")]
    IsClosed,
}

pub const EVERY: u64 = 50;

/// A door, keeping snapshots of a version of the schema.
pub struct DoorDecider<const SCHEMA: u32 = 1>;

impl<const SCHEMA: u32> Decider for DoorDecider<SCHEMA> {
    const CATEGORY: &'static str = "door";
    type Id = Uuid;
    type State = Door;
    type Command = Command;
    type Event = DoorEvent;
    type Refusal = Refusal;

    fn decide(door: &Door, command: Command, _: &Context) -> Result<Vec<DoorEvent>, Refusal> {
        match command {
            Command::Open(_) if door.open => Err(Refusal::IsOpen),
            Command::Open(door_id) => {
                Ok(vec![DoorOpened { door_id, by: "Ada Martin".to_owned().into() }.into()])
            }
            Command::Pass(_) if !door.open => Err(Refusal::IsClosed),
            Command::Pass(times) => Ok(vec![DoorPassed {}.into(); times]),
            Command::Close if !door.open => Ok(vec![]),
            Command::Close => Ok(vec![DoorClosed {}.into()]),
        }
    }

    fn evolve(door: Door, event: &DoorEvent) -> Door {
        match event {
            DoorEvent::Opened(opened) => Door { open: true, by: Some(opened.by.clone()), ..door },
            DoorEvent::Passed(_) => Door { passages: door.passages + 1, ..door },
            DoorEvent::Closed(_) => Door { open: false, ..door },
        }
    }

    fn snapshots() -> Option<SnapshotRule<Door>> {
        Some(SnapshotRule::new(SCHEMA, EVERY, |stream, _| stream.id()))
    }
}

/// One log and what is beside it, and processes that work with them.
#[derive(Clone)]
pub struct Doors {
    pub store: Arc<MemoryStore>,
    pub vault: Arc<MemoryKeyVault>,
    pub snapshots: Arc<MemorySnapshots>,
}

impl Doors {
    pub fn new() -> Self {
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        Self { store, vault: Arc::default(), snapshots: Arc::default() }
    }

    /// A process that keeps no snapshots. It has nothing in memory yet.
    pub fn process(&self) -> Environment {
        self.process_on(self.store.clone())
    }

    pub fn process_on(&self, store: Arc<dyn EventStore>) -> Environment {
        let codec = Codec::new(self.vault.clone());
        Environment::new(store, codec, Arc::new(SystemClock), SecretKey::generate().unwrap())
    }

    /// A process that does.
    pub fn process_with_snapshots(&self) -> Environment {
        self.process().with_snapshots(self.snapshots.clone())
    }

    /// What was read since it was last asked: how often, and how many events.
    pub fn reads(&self) -> (usize, usize) {
        let StreamReads { reads, events } = self.store.take_stream_reads();
        (reads, events)
    }

    pub async fn length(&self, id: Uuid) -> usize {
        self.store.read_stream(&stream(id), 0, usize::MAX).await.unwrap().len()
    }
}

pub fn stream(id: Uuid) -> StreamName {
    StreamName::of("door", id)
}

pub type Outcome = Result<Executed, ExecuteError<Refusal>>;

/// Somebody asks for something, once.
pub async fn ask(process: &Environment, id: Uuid, command: Command) -> Outcome {
    let cause = Cause::request(new_id(), "test");
    process.execute::<DoorDecider>(id, command, &cause, None).await
}
