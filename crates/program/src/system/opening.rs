//! Opens the event store and the modules, each on its database.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use kernel::codec::Codec;
use kernel::execution::Environment;
use kernel::keys::{KeyHolder, SecretKey};
use kernel::seams::{SystemClock, new_id};
use kernel::sync::SyncTarget;
use module::{AnyModule, OpenError, OpenModule, Surroundings};
use serde_json::Value;
use wire::{Ownership, Served};

use crate::configuration::Configuration;
use crate::system::stores::{self, Opened};
use crate::system::{Program, existing_store, master_key};

/// Name of the process that runs a module until the hand-over to this process.
const FORMER_HOME: &str = "the system it is handed over from";

/// The open event store and modules.
pub struct System {
    /// The event store and the services that modules use with it.
    pub environment: Environment,
    /// The modules that run in this process, in the order of the binary's list.
    pub modules: Vec<OpenModule>,
    ownership: Ownership,
    opened: Opened,
}

/// Fails if the event store does not exist, for commands that must not create one.
pub async fn expect_store(configuration: &Configuration) -> anyhow::Result<()> {
    anyhow::ensure!(
        existing_store::exists(configuration.store.reveal()).await?,
        "no store exists at {}; choose one with --store",
        configuration.store
    );
    Ok(())
}

/// Opens the event store without modules.
pub async fn open_store(configuration: &Configuration) -> anyhow::Result<Opened> {
    stores::open(configuration)
        .await
        .with_context(|| format!("cannot open the event store {}", configuration.store))
}

/// Opens the event store and the services that modules use with it.
async fn environment(configuration: &Configuration) -> anyhow::Result<(Environment, Opened)> {
    let opened = open_store(configuration).await?;
    #[cfg(feature = "crash-points")]
    let store = crate::system::crash_points::armed(Arc::clone(&opened.store))?;
    #[cfg(not(feature = "crash-points"))]
    let store = Arc::clone(&opened.store);
    let codec = Codec::new(Arc::clone(&opened.vault));
    let lookup_key =
        opened.vault.lookup_key().await.context("cannot read the event store's lookup key")?;
    let environment = Environment::new(store, codec, Arc::new(SystemClock), lookup_key)
        .with_runtime(configuration.replica.runtime())
        .with_admission(configuration.admission.gate())
        .with_cache(configuration.cache);
    let environment = match &opened.snapshots {
        Some(snapshots) => environment.with_snapshots(Arc::clone(snapshots)),
        None => environment,
    };
    Ok((environment, opened))
}

/// Opens the event store and the modules that run in this process.
pub async fn open(program: &Program<'_>) -> anyhow::Result<System> {
    let Program { modules, configuration } = program;
    let known = modules.names();
    for name in configuration.run.iter().chain(configuration.modules.keys()) {
        anyhow::ensure!(
            known.contains(&name.as_str()),
            "there is no module `{name}`; the modules are {}",
            known.join(", ")
        );
    }
    let (environment, opened) = environment(configuration).await?;
    let mut open_modules = Vec::new();
    let mut sync_targets = Vec::new();
    for one in modules.iter() {
        let is_context = known.contains(&one.name());
        if let Some(module) =
            open_module(one, is_context, configuration, &environment, &opened, &sync_targets)
                .await?
        {
            sync_targets.extend(module.sync_targets.iter().cloned());
            open_modules.push(module);
        }
    }
    let descriptions = modules.descriptions();
    let ownership =
        Ownership::new(descriptions.iter().flat_map(|module| {
            module.categories.iter().map(|category| (category.name, module.name))
        }));
    Ok(System { environment, modules: open_modules, ownership, opened })
}

/// Opens one module, if it runs in this process.
async fn open_module(
    one: &dyn AnyModule,
    is_context: bool,
    configuration: &Configuration,
    environment: &Environment,
    opened: &Opened,
    sync_targets: &[Arc<dyn SyncTarget>],
) -> anyhow::Result<Option<OpenModule>> {
    let name = one.name();
    let is_far = configuration.is_store_far();
    // Modules that are not a bounded context belong to the store and run in the store's process.
    let runs = if is_context { configuration.runs(name)? } else { !is_far };
    if !runs {
        expect_elsewhere(name, configuration).await?;
        return Ok(None);
    }
    if is_context && is_far {
        expect_rights(name, opened).await?;
    }
    let url = configuration.database_url(name)?;
    let section =
        configuration.sections.get(name).map_or(Value::Null, |section| section.given.clone());
    let module = one.open(environment.clone(), &url, section, sync_targets, configuration).await;
    let module = module.with_context(|| format!("cannot open the module {name}"))?;
    if is_context && configuration.awaits_charge(name) {
        module.database.await_hand_over(FORMER_HOME).await?;
    }
    Ok(Some(module))
}

#[async_trait]
impl Surroundings for Configuration {
    fn beside_the_store(&self, name: &str) -> Result<Option<String>, OpenError> {
        Configuration::beside_the_store(self, name).map_err(OpenError::unusable)
    }

    async fn derived_key(&self, name: &str) -> Result<SecretKey, OpenError> {
        let key = master_key::of(self).await.map_err(OpenError::unusable)?;
        Ok(key.derive(name))
    }
}

/// Fails if a module is configured to run in another process while this system is still in charge of it:
/// no process would do its work.
async fn expect_elsewhere(name: &str, configuration: &Configuration) -> anyhow::Result<()> {
    let settings = configuration.modules.get(name);
    let Some(settings) = settings.filter(|settings| settings.remote.is_some()) else {
        return Ok(());
    };
    let url = match &settings.database {
        Some(url) => Some(url.reveal().to_owned()),
        None => configuration.beside_the_store(name)?,
    };
    let Some(url) = url else { return Ok(()) };
    let is_in_charge = database::is_in_charge(&url, name).await.with_context(|| {
        format!("cannot read the tables of {name} to check whether it was handed over")
    })?;
    anyhow::ensure!(
        !is_in_charge,
        "{name} is configured to run in another process ([modules.{name}] remote), but this system is still in charge of it: start without that line and run `bascule extract {name}` first"
    );
    Ok(())
}

/// Fails if the module's account at a remote store lacks the rights that the module needs. Otherwise the
/// module could be handed over to a process in which every command fails.
async fn expect_rights(name: &str, opened: &Opened) -> anyhow::Result<()> {
    let needs = |right: &str| {
        format!(
            "{name} needs the right {right} at the store: add it to its account in [wire.accounts] of the store's configuration"
        )
    };
    let nobody = KeyHolder { subject: new_id(), purpose: name.to_owned() };
    let writes = opened.vault.is_destroyed(&nobody).await;
    writes.with_context(|| needs(&format!("module:{name}")))?;
    opened.vault.opening_key(new_id()).await.with_context(|| needs("pii:read"))?;
    Ok(())
}

impl System {
    /// Returns the value of a type that one of the modules offers.
    #[cfg(feature = "import")]
    pub fn offered<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.modules.iter().find_map(OpenModule::offered)
    }

    /// Returns the parts that the endpoint for EventStoreDB clients serves.
    pub fn served(&self) -> Served {
        Served {
            store: Arc::clone(&self.environment.store),
            codec: self.environment.codec.clone(),
            vault: Arc::clone(&self.opened.vault),
            clock: Arc::clone(&self.environment.clock),
            ownership: self.ownership.clone(),
        }
    }

    /// Finishes pending writes and closes everything.
    pub async fn close(self) {
        let Self { environment, modules, opened, .. } = self;
        for module in modules {
            module.database.close().await;
        }
        environment.finish().await;
        drop(environment);
        opened.close().await;
    }
}
