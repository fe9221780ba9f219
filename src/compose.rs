//! Which module meets which store.

use std::sync::Arc;

use anyhow::Context as _;
use http::module::Module;
use kernel::codec::Codec;
use kernel::execution::Environment;
use kernel::keys::SecretKey;
use kernel::seams::SystemClock;
use wire::{Ownership, Served};

use crate::configuration::Configuration;
use crate::stores::{self, Opened};
use crate::{erasure, modules};

/// The names of all modules.
pub const MODULES: [&str; 4] = [customers::NAME, orders::NAME, billing::NAME, payments::NAME];

/// The modules that retain what they know of an erased customer for as long as the law says, and
/// destroy it by themselves.
const RETAINED: &[&str] = &[billing::NAME];

/// What a module that waits to be handed over is told of whoever runs it until then.
const FORMER_HOME: &str = "the system it is handed over from";

/// Everything that is open.
pub struct System {
    /// What the modules work with.
    pub environment: Environment,
    /// The modules, in the order of [`MODULES`], and capture.
    pub modules: Vec<Module>,
    opened: Opened,
}

/// Fails where there is no event store yet, for commands that look at one.
pub async fn expect_store(configuration: &Configuration) -> anyhow::Result<()> {
    anyhow::ensure!(
        stores::exists(&configuration.store).await?,
        "there is no store at {}; name one with --store",
        database::redacted(&configuration.store)
    );
    Ok(())
}

/// Opens the event store alone.
pub async fn open_store(configuration: &Configuration) -> anyhow::Result<Opened> {
    let master_key = configuration.master_key().await?;
    stores::open(&configuration.store, &master_key).await.with_context(|| {
        format!("the event store {} cannot be opened", database::redacted(&configuration.store))
    })
}

/// Opens the event store, and what modules work with on it.
pub async fn environment(
    configuration: &Configuration,
    master_key: &SecretKey,
) -> anyhow::Result<(Environment, Opened)> {
    let opened = open_store(configuration).await?;
    #[cfg(feature = "crash-points")]
    let store = crate::crash_points::armed(Arc::clone(&opened.store))?;
    #[cfg(not(feature = "crash-points"))]
    let store = Arc::clone(&opened.store);
    let codec = Codec::new(Arc::clone(&opened.vault));
    let environment =
        Environment::new(store, codec, Arc::new(SystemClock), master_key.derive("lookup"))
            .with_runtime(configuration.replica.runtime())
            .with_cache(configuration.cache);
    let environment = match &opened.snapshots {
        Some(snapshots) => environment.with_snapshots(Arc::clone(snapshots)),
        None => environment,
    };
    Ok((environment, opened))
}

/// Opens the event store and the configured modules.
pub async fn open(configuration: &Configuration) -> anyhow::Result<System> {
    for name in configuration.run.iter().chain(configuration.modules.keys()) {
        anyhow::ensure!(
            MODULES.contains(&name.as_str()),
            "there is no module `{name}`; the modules are {}",
            MODULES.join(", ")
        );
    }
    let master_key = configuration.master_key().await?;
    let (environment, opened) = environment(configuration, &master_key).await?;
    let mut opened_modules = Vec::new();
    for name in MODULES {
        if configuration.runs(name)? {
            let module = open_module(name, &environment, configuration).await;
            let module = module.with_context(|| format!("the module {name} cannot be opened"))?;
            if configuration.awaits_charge(name) {
                module.database.await_charge(FORMER_HOME).await?;
            }
            opened_modules.push(module);
        }
    }
    // The mirror of a legacy system is where the store is.
    if !stores::is_far(&configuration.store) {
        let mirror = database::module_url(&configuration.store, erasure::CAPTURE)?;
        let key = master_key.derive(erasure::CAPTURE);
        opened_modules.push(erasure::open_capture(&environment, &mirror, key).await?);
    }
    for description in modules::descriptions() {
        if let Some(module) = opened_modules.iter().find(|one| one.name == description.name) {
            description.expect(module.subscriptions.iter().map(|one| &**one))?;
        }
    }
    Ok(System { environment, modules: opened_modules, opened })
}

async fn open_module(
    name: &str,
    environment: &Environment,
    configuration: &Configuration,
) -> anyhow::Result<Module> {
    let environment = environment.clone();
    let database = configuration.database_url(name)?;
    Ok(match name {
        customers::NAME => customers::open(environment, &database, RETAINED).await?,
        orders::NAME => orders::open(environment, &database).await?,
        billing::NAME => {
            billing::open(environment, &database, configuration.billing.clone()).await?
        }
        payments::NAME => {
            let settings = configuration.payments.clone();
            let sandbox = match &settings.sandbox.ledger {
                Some(url) => url.clone(),
                None => configuration.database_url("sandbox")?,
            };
            payments::open(environment, &database, &sandbox, settings).await?
        }
        other => anyhow::bail!("there is no module `{other}`"),
    })
}

/// Which streams are a module's, whether it runs here or not.
fn ownership() -> Ownership {
    let descriptions = modules::descriptions();
    Ownership::new(
        descriptions.iter().flat_map(|module| {
            module.categories.iter().map(|category| (category.name, module.name))
        }),
    )
}

impl System {
    /// What clients of EventStoreDB are served.
    pub fn served(&self) -> Served {
        Served {
            store: Arc::clone(&self.environment.store),
            codec: self.environment.codec.clone(),
            vault: Arc::clone(&self.opened.vault),
            clock: Arc::clone(&self.environment.clock),
            ownership: ownership(),
        }
    }

    /// Writes what is open and closes everything.
    pub async fn close(self) {
        let Self { environment, modules, opened } = self;
        for module in modules {
            module.database.close().await;
        }
        environment.finish().await;
        drop(environment);
        opened.close().await;
    }
}
