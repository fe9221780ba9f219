//! Which module meets which store.

use std::sync::Arc;

use anyhow::Context as _;
use http::module::Module;
use kernel::codec::Codec;
use kernel::execution::Environment;
use kernel::keys::KeyHolder;
use kernel::seams::{SystemClock, new_id};
use wire::{Ownership, Served};

use crate::configuration::Configuration;
use crate::stores::{self, Opened};
use crate::{modules, registry};

/// What a module that waits to be handed over is told of whoever runs it until then.
const FORMER_HOME: &str = "the system it is handed over from";

/// Everything that is open.
pub struct System {
    /// What the modules work with.
    pub environment: Environment,
    /// The modules, in the order of the registry, and what runs like one.
    pub modules: Vec<Module>,
    opened: Opened,
}

/// Fails where there is no event store yet, for commands that look at one.
pub async fn expect_store(configuration: &Configuration) -> anyhow::Result<()> {
    anyhow::ensure!(
        stores::exists(configuration.store.reveal()).await?,
        "there is no store at {}; name one with --store",
        configuration.store
    );
    Ok(())
}

/// Opens the event store alone.
pub async fn open_store(configuration: &Configuration) -> anyhow::Result<Opened> {
    stores::open(configuration)
        .await
        .with_context(|| format!("the event store {} cannot be opened", configuration.store))
}

/// Opens the event store, and what modules work with on it.
pub async fn environment(configuration: &Configuration) -> anyhow::Result<(Environment, Opened)> {
    let opened = open_store(configuration).await?;
    #[cfg(feature = "crash-points")]
    let store = crate::crash_points::armed(Arc::clone(&opened.store))?;
    #[cfg(not(feature = "crash-points"))]
    let store = Arc::clone(&opened.store);
    let codec = Codec::new(Arc::clone(&opened.vault));
    let lookup_key = opened.vault.lookup_key().await.context("the event store's key of lookups")?;
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

/// Opens the event store and the configured modules.
pub async fn open(configuration: &Configuration) -> anyhow::Result<System> {
    let known = registry::modules();
    for name in configuration.run.iter().chain(configuration.modules.keys()) {
        anyhow::ensure!(
            known.contains(&name.as_str()),
            "there is no module `{name}`; the modules are {}",
            known.join(", ")
        );
    }
    let (environment, opened) = environment(configuration).await?;
    let mut opened_modules = Vec::new();
    for one in registry::all() {
        let name = one.name();
        let is_module = one.api().is_some();
        // What is no module is beside the store: with whoever has that.
        let runs = if is_module {
            configuration.runs(name)?
        } else {
            !stores::is_far(configuration.store.reveal())
        };
        if !runs {
            expect_elsewhere(name, configuration).await?;
            continue;
        }
        if is_module && stores::is_far(configuration.store.reveal()) {
            expect_rights(name, &opened).await?;
        }
        let module = one.open(environment.clone(), configuration).await;
        let module = module.with_context(|| format!("the module {name} cannot be opened"))?;
        if is_module && configuration.awaits_charge(name) {
            module.database.await_charge(FORMER_HOME).await?;
        }
        one.description().expect(module.subscriptions.iter().map(|one| &**one))?;
        opened_modules.push(module);
    }
    Ok(System { environment, modules: opened_modules, opened })
}

/// Fails where a module is said to be elsewhere and the tables here were never handed over: nobody
/// would do its work.
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
        format!("whether {name} was handed over is not known: its tables cannot be looked at")
    })?;
    anyhow::ensure!(
        !is_in_charge,
        "{name} is said to be elsewhere ([modules.{name}] remote), but its tables here are in charge of it: start without that line and hand it over first, with `bascule extract {name}`"
    );
    Ok(())
}

/// Fails where a module's account at another's store does not let it do its work. Otherwise it would be
/// handed over to where every command fails.
async fn expect_rights(name: &str, opened: &Opened) -> anyhow::Result<()> {
    let needs = |right: &str| {
        format!(
            "{name} needs the right {right} at the store, for its account: [wire.accounts] there"
        )
    };
    let nobody = KeyHolder { subject: new_id(), purpose: name.to_owned() };
    let writes = opened.vault.is_destroyed(&nobody).await;
    writes.with_context(|| needs(&format!("module:{name}")))?;
    opened.vault.opening_key(new_id()).await.with_context(|| needs("pii:read"))?;
    Ok(())
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
