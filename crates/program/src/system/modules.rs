//! The modules that the binary was built with.

use std::collections::BTreeSet;

use module::{AnyModule, ModuleDescription};

/// The list that the binary handed over, in its order.
#[derive(Clone, Copy)]
pub struct Modules<'m>(&'m [&'m dyn AnyModule]);

impl<'m> Modules<'m> {
    /// These modules.
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

    /// Returns what every module is.
    pub fn descriptions(self) -> Vec<ModuleDescription> {
        self.iter().map(AnyModule::description).collect()
    }

    /// Returns the names of the bounded contexts.
    pub fn names(self) -> Vec<&'static str> {
        let descriptions = self.descriptions().into_iter();
        descriptions.filter(|one| one.routes.is_some()).map(|one| one.name).collect()
    }

    /// Fails where two modules have the same name.
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
