//! The erasure steps of the modules that run in this process.

use std::sync::Arc;

use database::Database;
use kernel::event::Position;
use module::{ErasesCustomers, RetainsDocuments};

use crate::system::erasure::Step;
use crate::system::opening::System;

/// The erasure steps of the modules that run in this process.
pub struct Erasing {
    pub(super) decides: Option<Arc<dyn ErasesCustomers>>,
    pub(super) follows: Vec<Follows>,
}

/// The step of one module.
pub(super) struct Follows {
    pub(super) module: &'static str,
    pub(super) database: Database,
    pub(super) subscription: Option<&'static str>,
    pub(super) retains: Option<Arc<dyn RetainsDocuments>>,
}

impl Erasing {
    /// Collects the steps of the modules of an open system.
    pub fn of(system: &System) -> Self {
        let modules = system.modules.iter();
        let follows = modules.clone().map(|module| Follows {
            module: module.name,
            database: module.database.clone(),
            subscription: module.erasure,
            retains: module.retains.clone(),
        });
        let follows = follows.collect();
        Self { decides: modules.clone().find_map(|module| module.erases.clone()), follows }
    }

    /// Returns the step that a module takes when a customer is erased at a position.
    pub(super) fn step(&self, module: &str, position: Position) -> Option<Step<'_>> {
        let follows = self.follows.iter().find(|follows| follows.module == module)?;
        Some(Step { subscription: follows.subscription?, database: &follows.database, position })
    }
}
