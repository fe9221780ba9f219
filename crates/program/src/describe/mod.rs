//! Descriptions generated from the code alone, without a store.

pub mod asyncapi;
pub mod canvas;
pub mod contracts;
pub mod openapi;
pub mod page;

use event_contract::PublishedEvent;
use module::ModuleDescription;

use crate::system::modules::Modules;

/// The descriptions of all modules, in the order of the binary's list.
pub struct Descriptions(pub Vec<ModuleDescription>);

impl From<Modules<'_>> for Descriptions {
    fn from(modules: Modules<'_>) -> Self {
        Self(modules.descriptions())
    }
}

impl Descriptions {
    /// Returns the bounded contexts, which are the modules with routes.
    pub fn served(&self) -> impl Iterator<Item = &ModuleDescription> {
        self.0.iter().filter(|module| module.routes.is_some())
    }

    /// Returns every version of every event that any module publishes.
    pub fn catalogue(&self) -> Vec<&'static PublishedEvent> {
        self.0.iter().flat_map(|module| module.published).collect()
    }

    /// Returns the names of the modules that read events of a type, without the module that publishes
    /// them.
    pub fn consumers_of(&self, event_type: &str) -> Vec<&'static str> {
        let reads = |module: &&ModuleDescription| module.readers_of(event_type).next().is_some();
        let readers = self.0.iter().filter(reads).map(|module| module.name);
        readers.filter(|name| *name != publisher_of(event_type)).collect()
    }
}

/// Returns the module that publishes an event type, which is the first part of the type.
fn publisher_of(event_type: &str) -> &str {
    event_type.split('.').next().unwrap_or(event_type)
}
