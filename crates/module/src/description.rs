//! The description of a module, derived from its types without a store or a database.
//!
//! The AsyncAPI description, the pages about the modules and the check of contracts are generated from
//! it.

use event_contract::PublishedEvent;
use kernel::subscription::Identity;
use kernel::sync::StatedCommand;

use crate::definition::Module;
use crate::lists::{DeciderList, ImportList, ProjectionList, ReactionList};
use crate::routes::Routes;
use crate::streams::StreamCategory;

/// The description of a module: its events, streams, subscriptions, tables and routes.
#[derive(Debug, Clone)]
pub struct ModuleDescription {
    /// The module's name: the first part of its event types and of its routes.
    pub name: &'static str,
    /// The purpose of the module, in one sentence.
    pub purpose: &'static str,
    /// Every version of every event that the module publishes.
    pub published: &'static [PublishedEvent],
    /// The streams that only the module writes to.
    pub categories: Vec<StreamCategory>,
    /// The commands that import the state of aggregates of a legacy system.
    pub imports: Vec<StatedCommand>,
    /// The module's projections, policies, reactors and upkeep.
    pub subscriptions: Vec<Identity>,
    /// The tables of the module's database, sorted by name, without those that every module's database
    /// has.
    pub tables: Vec<&'static str>,
    /// The routes of the public API. `None` for a module that is not a bounded context.
    pub routes: Option<Routes>,
}

impl ModuleDescription {
    /// Describes a module.
    pub fn of<M: Module>() -> Self {
        let projections = M::Projections::identities();
        let subscriptions = projections.into_iter().chain(M::Reactions::identities());
        let mut tables = [M::Projections::tables(), M::OTHER_TABLES.to_vec()].concat();
        tables.sort_unstable();
        Self {
            name: M::NAME,
            purpose: M::ABOUT,
            published: M::EVENTS,
            categories: M::Deciders::categories(),
            imports: M::Imports::commands(),
            subscriptions: subscriptions.collect(),
            tables,
            routes: M::ROUTES,
        }
    }

    /// Returns the subscriptions that read events of a type.
    pub fn readers_of<'s>(&'s self, event_type: &'s str) -> impl Iterator<Item = &'s Identity> {
        self.subscriptions.iter().filter(move |subscription| subscription.reads(event_type))
    }
}
