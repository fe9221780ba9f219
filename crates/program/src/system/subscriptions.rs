//! The subscriptions of all modules as operators see and handle them, for the command line and for
//! `/admin/…`.

pub mod overview;
pub mod parked;
pub mod work;

use database::Database;
use database::read_model::{Pruned, ReadModel, ReadModelError, prune_scratches};
use kernel::checkpoint::{CheckpointError, SubscriptionStore as _};
use kernel::execution::Environment;

use crate::system::opening::System;

/// The subscriptions of all modules.
pub struct Catalogue {
    environment: Environment,
    modules: Vec<Entry>,
}

/// The subscriptions of one module.
struct Entry {
    name: &'static str,
    database: Database,
    read_models: Vec<ReadModel>,
    /// Names of the policies and reactors.
    reactions: Vec<String>,
}

/// A subscription to build, rebuild or verify.
#[derive(Clone)]
pub enum Target {
    /// A projection with its rows.
    ReadModel(Box<ReadModel>),
    /// A policy or reactor, which has only a checkpoint.
    Reaction(Located),
}

impl Target {
    /// Returns the name of the subscription, under which its checkpoint is stored.
    pub fn subscription(&self) -> String {
        match self {
            Self::ReadModel(read_model) => read_model.subscription(),
            Self::Reaction(located) => located.subscription.clone(),
        }
    }
}

/// A subscription and its database.
#[derive(Clone)]
pub struct Located {
    /// Name of the subscription.
    pub subscription: String,
    /// Database of its module.
    pub database: Database,
}

/// Error: no subscription has this name.
#[derive(Debug, thiserror::Error)]
#[error("there is no subscription `{name}`; the subscriptions are {}", .known.join(", "))]
pub struct UnknownSubscription {
    name: String,
    known: Vec<String>,
}

impl Catalogue {
    /// Returns the catalogue of a system whose subscriptions are not started yet.
    pub fn of(system: &System) -> Self {
        let modules = system.modules.iter().map(|module| {
            let read_models = module.read_models.clone();
            let projections: Vec<_> = read_models.iter().map(ReadModel::subscription).collect();
            let names = module.subscriptions.iter().map(|subscription| subscription.name());
            let reactions = names.filter(|name| !projections.contains(name)).collect();
            Entry { name: module.name, database: module.database.clone(), read_models, reactions }
        });
        Self { environment: system.environment.clone(), modules: modules.collect() }
    }

    /// Returns the database of a module, if the module runs in this process.
    pub fn database(&self, module: &str) -> Option<&Database> {
        let mut modules = self.modules.iter();
        modules.find(|entry| entry.name == module).map(|entry| &entry.database)
    }

    /// Returns the databases of the modules that run in this process.
    pub fn databases(&self) -> impl Iterator<Item = &Database> {
        self.modules.iter().map(|entry| &entry.database)
    }

    /// Returns every projection.
    pub fn read_models(&self) -> impl Iterator<Item = &ReadModel> {
        self.modules.iter().flat_map(|module| &module.read_models)
    }

    /// Returns every policy and reactor.
    fn reactions(&self) -> impl Iterator<Item = Located> {
        self.modules.iter().flat_map(|module| {
            module.reactions.iter().map(|name| Located {
                subscription: name.clone(),
                database: module.database.clone(),
            })
        })
    }

    /// Returns the subscription with this name. The version may be omitted.
    pub fn target(&self, name: &str) -> Result<Target, UnknownSubscription> {
        let mut read_models = self.read_models();
        let named = |one: &&ReadModel| one.name() == name || one.subscription() == name;
        if let Some(read_model) = read_models.find(named) {
            return Ok(Target::ReadModel(Box::new(read_model.clone())));
        }
        let reaction = self.reactions().find(|one| one.subscription == name);
        reaction.map(Target::Reaction).ok_or_else(|| self.unknown(name))
    }

    /// Locates the subscription with this name, including one that this release no longer runs.
    pub async fn locate(&self, name: &str) -> Result<Option<Located>, CheckpointError> {
        let known = self.target(name).map(|target| target.subscription());
        let subscription = known.unwrap_or_else(|_| name.to_owned());
        for module in &self.modules {
            if module.database.status(&subscription).await?.is_some() {
                return Ok(Some(Located { subscription, database: module.database.clone() }));
            }
        }
        Ok(None)
    }

    /// Returns the error for an unknown name.
    pub fn unknown(&self, name: &str) -> UnknownSubscription {
        let mut known: Vec<_> = self.read_models().map(ReadModel::subscription).collect();
        known.extend(self.reactions().map(|reaction| reaction.subscription));
        known.sort_unstable();
        UnknownSubscription { name: name.to_owned(), known }
    }

    /// Removes the tables and checkpoints of retired versions, and the scratch tables of interrupted
    /// rebuilds.
    pub async fn prune(&self) -> Result<Pruned, ReadModelError> {
        let mut pruned = Pruned::default();
        for read_model in self.read_models() {
            pruned.add(read_model.prune().await?);
        }
        for module in &self.modules {
            pruned.add(prune_scratches(&module.database).await?);
        }
        Ok(pruned)
    }
}
