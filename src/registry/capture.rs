//! What was captured from a legacy database, as if it were a module: it publishes nothing, serves
//! nothing, and takes erased customers out of the mirror.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use capture::Import;
use customers::domain::CustomerDecider;
use customers_contract::CustomerErased;
use database::Database;
use event_contract::Published as _;
use http::Module;
use kernel::checkpoint::SubscriptionStore as _;
use kernel::codec::Envelope;
use kernel::description::ModuleDescription;
use kernel::event::{EventFilter, RecordedEvent};
use kernel::execution::{Cause, Environment};
use kernel::keys::SecretKey;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, ReactionRunner};
use kernel::sync::LegacyAggregate;

use super::Registered;
use crate::configuration::Configuration;
use crate::erasure::ErasureEvent;

/// What the mirror's database and its subscriptions go by, among the modules.
pub const NAME: &str = "capture";
/// The policy that takes people out of the mirror.
const ERASURE: &str = "capture.erasure";
/// How often it is looked whether something is done that another process may do.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

pub(super) struct Capture;

#[async_trait]
impl Registered for Capture {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> ModuleDescription {
        ModuleDescription::new(
            NAME,
            "What was captured from a legacy database: the mirror of its rows, and how far imports are.",
        )
        .reacts::<CaptureErasure>()
        .keeps(Import::tables())
    }

    /// The mirror is where the store is.
    async fn open(&self, with: Environment, settings: &Configuration) -> anyhow::Result<Module> {
        let url = database::module_url(settings.store.reveal(), NAME)?;
        let database = Import::open_database(&url).await.context("the mirror cannot be opened")?;
        let erasure = CaptureErasure { database: database.clone(), key: key(settings).await? };
        let erasure = ReactionRunner::new(erasure, with, database.clone());
        Ok(Module {
            name: NAME,
            configure: Arc::new(|_| {}),
            subscriptions: vec![Box::new(erasure)],
            sync_targets: Vec::new(),
            projections: Vec::new(),
            read_models: Vec::new(),
            database,
        })
    }

    fn erasure(&self) -> Option<&'static str> {
        Some(ERASURE)
    }
}

/// What the mirror's digests are made with.
pub async fn key(settings: &Configuration) -> anyhow::Result<SecretKey> {
    Ok(settings.master_key().await?.derive(NAME))
}

/// Takes erased customers out of the mirror.
struct CaptureErasure {
    database: Database,
    key: SecretKey,
}

#[async_trait]
impl Reaction for CaptureErasure {
    type Event = ErasureEvent;

    const NAME: &'static str = ERASURE;
    const KIND: ReactionKind = ReactionKind::Upkeep;

    /// All in one order: each of them goes through whole tables.
    fn key(&self, _: &RecordedEvent) -> String {
        ERASURE.to_owned()
    }

    async fn react(&self, event: &Envelope<ErasureEvent>, _: Cause) -> Result<(), ReactionError> {
        let ErasureEvent::Erased(customer) = &event.event;
        let Some(legacy) = &customer.legacy else { return Ok(()) };
        let command = CustomerDecider::COMMAND;
        Ok(capture::erase(&self.database, &self.key, command, legacy).await?)
    }
}

/// Waits until every customer who is erased by now is out of the mirror.
pub async fn caught_up(environment: &Environment, mirror: &Database) -> anyhow::Result<()> {
    let head = environment.store.head().await?;
    let erased = EventFilter::families_of([CustomerErased::TYPE]);
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    loop {
        looks.tick().await;
        let checkpoint = mirror.checkpoint(ERASURE).await?;
        let mut at = checkpoint.map_or(0, |checkpoint| checkpoint.position);
        while at < head {
            let page = environment.store.read_log(at, &erased, 1).await?;
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
