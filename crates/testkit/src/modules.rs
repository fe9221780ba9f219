//! The environment of a module's tests: a log in memory, with events of other modules.

use std::sync::Arc;

use kernel::codec::{Codec, EventSet};
use kernel::event::{Metadata, NewEvent, StreamName};
use kernel::execution::{Environment, ORIGIN};
use kernel::keys::{MemoryKeyVault, SecretKey};
use kernel::memory::MemoryStore;
use kernel::seams::{SharedClock, new_id};
use kernel::store::{AppendRequest, ExpectedRevision};
use module::{Alone, Module, OpenModule};
use uuid::Uuid;

/// Opens a module alone on a database, with these settings.
pub async fn open<M: Module>(
    module: &M,
    environment: Environment,
    url: &str,
    settings: M::Settings,
) -> OpenModule {
    module::open(module, environment, url, settings, &Alone).await.unwrap()
}

/// Returns an environment of its own, with everything in memory and the keys in `vault`.
pub fn environment(clock: SharedClock, vault: Arc<MemoryKeyVault>) -> Environment {
    let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
    Environment::new(store, Codec::new(vault), clock, SecretKey::generate().unwrap())
}

/// Records an event of any module as if that module had. Returns its id.
pub async fn record<E: EventSet>(
    environment: &Environment,
    category: &'static str,
    id: Uuid,
    event: E,
) -> Uuid {
    let event_id = new_id();
    let metadata = Metadata {
        correlation_id: new_id(),
        causation_id: None,
        traceparent: None,
        actor: "test".into(),
        origin_system: ORIGIN.into(),
        occurred_at: environment.clock.now(),
    };
    let event = NewEvent {
        id: event_id,
        event_type: event.event_type().into(),
        data: environment.codec.encode(&event, event_id).await.unwrap(),
        metadata,
        foreign: None,
    };
    let stream = StreamName::of(category, id);
    let request = AppendRequest { stream, expected: ExpectedRevision::Any, events: vec![event] };
    environment.store.append(request).await.unwrap();
    event_id
}
