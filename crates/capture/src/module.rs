//! The module of capture, with the data captured from a legacy database: it publishes and serves
//! nothing, and removes erased customers from the mirror.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use customers_contract::CustomerErased;
use database::{Database, DatabaseOptions, Migrations};
use event_contract::{Published as _, PublishedEvent};
use kernel::checkpoint::{CheckpointError, SubscriptionStore as _};
use kernel::codec::Envelope;
use kernel::event::{EventFilter, RecordedEvent};
use kernel::execution::{Cause, Environment};
use kernel::keys::SecretKey;
use kernel::reaction::{Reaction, ReactionError, ReactionKind};
use kernel::store::ReadError;
use kernel::sync::SyncTarget;
use module::{Module, NoSettings, OpenError, Opened, Opening, Routes};

use crate::import::{MIGRATIONS, database_options};
use crate::{Import, ImportError, Mapping};

/// The module's name, also of the mirror's database and its subscriptions.
pub const NAME: &str = "capture";

/// The command by which people are imported: an erased customer is the root of its aggregate. Given by
/// name because the customers module may run elsewhere.
pub const PERSONS: &str = "customers.SyncCustomer";

/// The name of the task that removes people from the mirror.
const ERASURE: &str = "capture.erasure";

/// The tables of mirror, outbox and quarantine.
pub(crate) const TABLES: &[&str] = &[
    "capture_aggregate",
    "capture_file",
    "capture_source",
    "delivered",
    "dirty",
    "mirror_link",
    "mirror_row",
    "outbox",
    "quarantine",
    "suppressed_row",
];

/// How often to check whether another process has removed people.
const LOOK_EVERY: Duration = Duration::from_millis(50);

kernel::event_set! {
    /// The event of an erased customer.
    pub enum ErasureEvent { Erased(CustomerErased) }
}

/// The module of capture. It uses the commands of the modules before it in the list.
#[derive(Debug, Clone, Copy)]
pub struct CaptureModule;

impl Module for CaptureModule {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Data captured from a legacy database: the mirror of its rows, and the progress of imports.";
    const EVENTS: &'static [PublishedEvent] = &[];
    const OTHER_TABLES: &'static [&'static str] = TABLES;
    type Settings = NoSettings;
    type Deciders = ();
    type Imports = ();
    type Projections = ();
    type Reactions = (Erasure,);
    const ROUTES: Option<Routes> = None;

    fn migrations(&self) -> &'static Migrations {
        &MIGRATIONS
    }

    fn database_options(&self) -> DatabaseOptions {
        database_options()
    }

    async fn open(&self, on: Opening<'_, Self>) -> Result<Opened<Self>, OpenError> {
        let Opening { environment, database, sync_targets, surroundings, .. } = on;
        let key = surroundings.derived_key(NAME).await?;
        let targets = sync_targets.iter();
        let targets = targets.map(|target| (target.command().to_owned(), Arc::clone(target)));
        let mirror = Mirror {
            environment,
            database: database.clone(),
            key: key.clone(),
            targets: targets.collect(),
        };
        Ok(Opened::new((), (Erasure { database, key },)).erasing_by::<Erasure>().offering(mirror))
    }
}

/// The mirror of an open program, for the commands that import.
pub struct Mirror {
    environment: Environment,
    /// The mirror's database.
    pub database: Database,
    key: SecretKey,
    targets: HashMap<String, Arc<dyn SyncTarget>>,
}

impl Mirror {
    /// Returns the names of the commands that a mapping can use.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.targets.keys().map(String::as_str)
    }

    /// Returns an import by this mapping into the modules.
    pub fn import(&self, mapping: Mapping) -> Result<Import, ImportError> {
        Import::new(Arc::new(mapping), self.database.clone(), self.key.clone(), &self.targets)
    }

    /// Waits until every customer erased by now is removed from the mirror. The module's erasure must
    /// run meanwhile, in this process or another.
    pub async fn has_erased(&self) -> Result<(), CatchUpError> {
        let store = &self.environment.store;
        let head = store.head().await?;
        let erased = EventFilter::families_of([CustomerErased::TYPE]);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            let checkpoint = self.database.checkpoint(ERASURE).await?;
            let mut at = checkpoint.map_or(0, |checkpoint| checkpoint.position);
            while at < head {
                let page = store.read_log(at, &erased, 1).await?;
                if !page.events.is_empty() || page.scanned_to <= at {
                    break;
                }
                at = page.scanned_to;
            }
            if at >= head {
                return Ok(());
            }
        }
    }
}

/// Why it is unknown whether all erased people are removed from the mirror.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The mirror's database cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Removes erased customers from the mirror.
pub struct Erasure {
    database: Database,
    key: SecretKey,
}

impl Reaction for Erasure {
    type Event = ErasureEvent;

    const NAME: &'static str = ERASURE;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    /// All in one order: each of them reads whole tables.
    fn key(&self, _: &RecordedEvent) -> String {
        ERASURE.to_owned()
    }

    async fn react(&self, event: &Envelope<ErasureEvent>, _: Cause) -> Result<(), ReactionError> {
        let ErasureEvent::Erased(customer) = &event.event;
        let Some(legacy) = &customer.legacy else { return Ok(()) };
        Ok(crate::erase(&self.database, &self.key, PERSONS, legacy).await?)
    }
}
