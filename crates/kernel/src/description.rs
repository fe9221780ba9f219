//! What a module is, told from the types that decide it: deciders, projections, policies and
//! reactors. No store and no database need be there.
//!
//! Whatever is said of modules elsewhere is made from this: the description of the events for others,
//! the pages about the modules, who suffers from a changed event. What a module runs is compared with
//! it when the module is opened, so that it cannot tell something else.

use std::collections::BTreeSet;

use event_contract::PublishedEvent;

use crate::codec::EventSet;
use crate::decider::Decider;
use crate::projection::Projection;
use crate::reaction::Reaction;
use crate::subscription::{Identity, Subscription};
use crate::sync::{LegacyAggregate, StatedCommand};

/// What a bounded context publishes, keeps and listens to.
#[derive(Debug, Clone)]
pub struct ModuleDescription {
    /// Its name: the first part of its event types and of its routes.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub purpose: &'static str,
    /// Every version of every event that it publishes.
    pub published: &'static [PublishedEvent],
    /// The streams that it alone writes to.
    pub categories: Vec<StreamCategory>,
    /// The commands by which a legacy system's word reaches it.
    pub imports: Vec<StatedCommand>,
    /// Its projections, policies and reactors.
    pub subscriptions: Vec<Identity>,
    /// The tables of its database, what every module's database has left out.
    pub tables: Vec<String>,
}

/// The streams of one kind of aggregate, `<name>-<id>`.
#[derive(Debug, Clone)]
pub struct StreamCategory {
    /// The first part of their names.
    pub name: &'static str,
    /// The event types that this release writes there.
    pub written: Vec<&'static str>,
    /// The event types that this release reads there: those it writes, and every older version.
    pub readable: Vec<&'static str>,
}

/// A module runs other subscriptions than it describes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the module {module} does not run what it describes: {}. `description()` beside its `open()` must name the type of every projection, policy and reactor, and of no other",
    .differences.join(", ")
)]
pub struct Misdescribed {
    module: &'static str,
    differences: Vec<String>,
}

impl ModuleDescription {
    /// A module that does nothing.
    pub fn new(name: &'static str, purpose: &'static str) -> Self {
        Self {
            name,
            purpose,
            published: &[],
            categories: Vec::new(),
            imports: Vec::new(),
            subscriptions: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// It publishes the events of a contract.
    #[must_use]
    pub fn publishes(self, published: &'static [PublishedEvent]) -> Self {
        Self { published, ..self }
    }

    /// It decides on aggregates of a kind, and so writes to their streams.
    #[must_use]
    pub fn decides<D: Decider>(mut self) -> Self {
        self.categories.push(StreamCategory {
            name: D::CATEGORY,
            written: D::Event::types(),
            readable: D::Event::readable_types(),
        });
        self
    }

    /// It records what a legacy system says of aggregates of a kind.
    #[must_use]
    pub fn imports<D: LegacyAggregate>(mut self) -> Self {
        self.imports.push(StatedCommand::of::<D>());
        self
    }

    /// It keeps a read model.
    #[must_use]
    pub fn projects<P: Projection>(mut self) -> Self {
        self.subscriptions.push(Identity::of_projection::<P>());
        self
    }

    /// It runs a policy or a reactor.
    #[must_use]
    pub fn reacts<R: Reaction>(mut self) -> Self {
        self.subscriptions.push(Identity::of_reaction::<R>());
        self
    }

    /// Its database has these tables.
    #[must_use]
    pub fn keeps(self, tables: Vec<String>) -> Self {
        Self { tables, ..self }
    }

    /// The subscriptions that read events of a type.
    pub fn readers_of<'s>(&'s self, event_type: &'s str) -> impl Iterator<Item = &'s Identity> {
        self.subscriptions.iter().filter(move |subscription| subscription.reads(event_type))
    }

    /// Fails where what the module runs is not what is described.
    pub fn expect<'s>(
        &self,
        running: impl IntoIterator<Item = &'s dyn Subscription>,
    ) -> Result<(), Misdescribed> {
        let told = |identity: &Identity| {
            let Identity { name, kind, types, .. } = identity;
            format!("the {} {name} of {}", kind.as_str(), types.join(", "))
        };
        let described: BTreeSet<String> = self.subscriptions.iter().map(told).collect();
        let running: BTreeSet<String> =
            running.into_iter().map(|subscription| told(subscription.identity())).collect();
        let undescribed = running.difference(&described).map(|one| format!("{one} is undescribed"));
        let missing = described.difference(&running).map(|one| format!("{one} does not run"));
        let differences: Vec<String> = undescribed.chain(missing).collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(Misdescribed { module: self.name, differences })
    }
}
