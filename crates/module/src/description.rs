//! What a module is, told from its types. No store and no database need be there.
//!
//! The description of the events for other programs, the pages about the modules and the check of
//! contracts are made from it.

use event_contract::PublishedEvent;
use kernel::subscription::Identity;
use kernel::sync::StatedCommand;

use crate::definition::Module;
use crate::lists::{DeciderList, ImportList, ProjectionList, ReactionList};
use crate::routes::Routes;
use crate::streams::StreamCategory;

/// What a bounded context publishes, keeps and listens to.
#[derive(Debug, Clone)]
pub struct ModuleDescription {
    /// The module's name: the first part of its event types and of its routes.
    pub name: &'static str,
    /// What the module is for, in a sentence.
    pub purpose: &'static str,
    /// Every version of every event that it publishes.
    pub published: &'static [PublishedEvent],
    /// The streams that it alone writes to.
    pub categories: Vec<StreamCategory>,
    /// The commands that take in the state of a legacy system's aggregates.
    pub imports: Vec<StatedCommand>,
    /// Its projections, policies, reactors and upkeep.
    pub subscriptions: Vec<Identity>,
    /// The tables of its database in the order of their names, without those that every module's
    /// database has.
    pub tables: Vec<&'static str>,
    /// What it serves to clients. `None` for what is no bounded context.
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
