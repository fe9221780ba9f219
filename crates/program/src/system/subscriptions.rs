//! The subscriptions of all modules as their operators see and handle them, on the command line and
//! under `/admin/…` alike.

pub mod overview;
pub mod parked;
pub mod work;

use database::Database;
use database::read_model::{Pruned, ReadModel, ReadModelError, prune_scratches};
use kernel::checkpoint::{CheckpointError, SubscriptionStore as _};
use kernel::execution::Environment;

use crate::system::opening::System;

/// What there is to look after.
pub struct Catalogue {
    environment: Environment,
    modules: Vec<Entry>,
}

/// The part of it that one module brings.
struct Entry {
    name: &'static str,
    database: Database,
    read_models: Vec<ReadModel>,
    /// The names of its policies and reactors.
    reactions: Vec<String>,
}

/// A subscription to be worked on.
#[derive(Clone)]
pub enum Target {
    /// A projection with its rows.
    ReadModel(Box<ReadModel>),
    /// A policy or reactor: a checkpoint, and nothing else of its own.
    Reaction(Located),
}

impl Target {
    /// The name its checkpoint is kept under.
    pub fn subscription(&self) -> String {
        match self {
            Self::ReadModel(read_model) => read_model.subscription(),
            Self::Reaction(located) => located.subscription.clone(),
        }
    }
}

/// A subscription and the database it is kept in.
#[derive(Clone)]
pub struct Located {
    /// Its name.
    pub subscription: String,
    /// Its module's database.
    pub database: Database,
}

/// A name that no subscription has.
#[derive(Debug, thiserror::Error)]
#[error("there is no subscription `{name}`; there are {}", .known.join(", "))]
pub struct UnknownSubscription {
    name: String,
    known: Vec<String>,
}

impl Catalogue {
    /// The catalogue of a system whose subscriptions have not been started.
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

    /// The database of a module, if it runs here.
    pub fn database(&self, module: &str) -> Option<&Database> {
        let mut modules = self.modules.iter();
        modules.find(|entry| entry.name == module).map(|entry| &entry.database)
    }

    /// The databases of the modules that run here.
    pub fn databases(&self) -> impl Iterator<Item = &Database> {
        self.modules.iter().map(|entry| &entry.database)
    }

    /// Every projection.
    pub fn read_models(&self) -> impl Iterator<Item = &ReadModel> {
        self.modules.iter().flat_map(|module| &module.read_models)
    }

    /// Every policy and reactor.
    fn reactions(&self) -> impl Iterator<Item = Located> {
        self.modules.iter().flat_map(|module| {
            module.reactions.iter().map(|name| Located {
                subscription: name.clone(),
                database: module.database.clone(),
            })
        })
    }

    /// The subscription of a name, which may lack the version.
    pub fn target(&self, name: &str) -> Result<Target, UnknownSubscription> {
        let mut read_models = self.read_models();
        let named = |one: &&ReadModel| one.name() == name || one.subscription() == name;
        if let Some(read_model) = read_models.find(named) {
            return Ok(Target::ReadModel(Box::new(read_model.clone())));
        }
        let reaction = self.reactions().find(|one| one.subscription == name);
        reaction.map(Target::Reaction).ok_or_else(|| self.unknown(name))
    }

    /// Where the subscription of a name is kept: also one that this release does not run any more.
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

    /// The complaint about a name.
    pub fn unknown(&self, name: &str) -> UnknownSubscription {
        let mut known: Vec<_> = self.read_models().map(ReadModel::subscription).collect();
        known.extend(self.reactions().map(|reaction| reaction.subscription));
        known.sort_unstable();
        UnknownSubscription { name: name.to_owned(), known }
    }

    /// Takes away the tables and checkpoints of retired versions, and what was left of fresh folds
    /// that did not come to their end.
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
