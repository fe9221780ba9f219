//! The modules that the binary was built with.

use std::collections::BTreeSet;

use module::{AnyModule, ModuleDescription};

/// The list of modules, in the order of the binary.
#[derive(Clone, Copy)]
pub struct Modules<'m>(&'m [&'m dyn AnyModule]);

impl<'m> Modules<'m> {
    /// Returns the list of these modules.
    pub fn of(modules: &'m [&'m dyn AnyModule]) -> Self {
        Self(modules)
    }

    /// Returns the list.
    pub fn list(self) -> &'m [&'m dyn AnyModule] {
        self.0
    }

    /// Returns every module.
    pub fn iter(self) -> impl Iterator<Item = &'m dyn AnyModule> {
        self.0.iter().copied()
    }

    /// Returns the description of every module.
    pub fn descriptions(self) -> Vec<ModuleDescription> {
        self.iter().map(AnyModule::description).collect()
    }

    /// Returns the names of the bounded contexts.
    pub fn names(self) -> Vec<&'static str> {
        let descriptions = self.descriptions().into_iter();
        descriptions.filter(|one| one.routes.is_some()).map(|one| one.name).collect()
    }

    /// Fails if two modules have the same name.
    pub fn expect_distinct(self) -> anyhow::Result<()> {
        let mut names = BTreeSet::new();
        for module in self.iter() {
            let name = module.name();
            anyhow::ensure!(
                names.insert(name),
                "the binary was built with two modules named {name}"
            );
        }
        Ok(())
    }
}
