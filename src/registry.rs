//! What this program is built with: the one place that names the modules. Whatever deals with modules
//! elsewhere goes through the list, and so does not know which there are.
//!
//! In the system each has a cargo feature, and `bascule extract --scaffold` takes the lines of the others
//! out of a service's workspace. So a `#[cfg(feature = "…")]` stands alone before one line: here, and
//! where a file makes sense with one of them only.

#[cfg(feature = "billing")]
mod billing;
#[cfg(feature = "import")]
pub mod capture;
#[cfg(feature = "customers")]
mod customers;
#[cfg(feature = "orders")]
mod orders;
#[cfg(feature = "payments")]
mod payments;

use async_trait::async_trait;
use chrono::NaiveDate;
use customers_contract::CustomerId;
use database::Database;
use futures::future::BoxFuture;
use http::{Configure, Module, Problem};
use kernel::description::ModuleDescription;
use kernel::event::Position;
use kernel::execution::{Cause, Environment};
use tokio_util::sync::CancellationToken;

use crate::configuration::Configuration;

/// Everything that is registered.
static REGISTRY: &[&dyn Registered] = &[
    // In the order in which things happen to an order.
    #[cfg(feature = "customers")]
    &customers::Customers,
    #[cfg(feature = "orders")]
    &orders::Orders,
    #[cfg(feature = "billing")]
    &billing::Billing,
    #[cfg(feature = "payments")]
    &payments::Payments,
    #[cfg(feature = "import")]
    &capture::Capture,
];

/// A module as the rest of the program knows it, or something that is described and runs like one.
#[async_trait]
pub trait Registered: Sync {
    /// What it goes by.
    fn name(&self) -> &'static str;

    /// What it publishes, listens to and keeps.
    fn description(&self) -> ModuleDescription;

    /// What it serves to clients: what all bounded contexts do, and nothing else does.
    fn api(&self) -> Option<Api> {
        None
    }

    /// Opens it on its tables, with its settings.
    async fn open(&self, with: Environment, settings: &Configuration) -> anyhow::Result<Module>;

    /// Decides that a customer is erased, which is one module's to decide: `false` where it is not.
    async fn erase(&self, _: &Environment, _: CustomerId, _: &Cause) -> Result<bool, Problem> {
        Ok(false)
    }

    /// The subscription that does what the erasure of a customer asks of it.
    fn erasure(&self) -> Option<&'static str> {
        None
    }

    /// What it retains of an erased customer, where the law has it do so. Asked with its tables.
    async fn retained(
        &self,
        _: &Environment,
        _: &Configuration,
        _: &Database,
        _: CustomerId,
    ) -> Result<Option<Retained>, Problem> {
        Ok(None)
    }

    /// What goes on beside its subscriptions for as long as the process serves, on its tables.
    fn upkeep(
        &self,
        _: Environment,
        _: &Configuration,
        _: Database,
        _: CancellationToken,
    ) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// What people may try first, given where the API is and which modules run there.
    fn first_steps(&self, _api: &str, _runs: &dyn Fn(&str) -> bool) -> Option<String> {
        None
    }
}

/// What a bounded context serves to clients.
pub struct Api {
    /// What it is about, in a few words.
    pub about: &'static str,
    /// Its routes, without what their handlers need at run time.
    pub routes: Configure,
}

/// What a module retains of an erased customer.
pub struct Retained {
    /// The last day on which the law has the customer's documents kept; `None` when none are.
    pub documents_until: Option<NaiveDate>,
    /// Where in the log that has ended, if it has.
    pub ended_at: Option<Position>,
}

/// Everything that is registered.
pub fn all() -> impl Iterator<Item = &'static dyn Registered> {
    REGISTRY.iter().copied()
}

/// What is registered under a name.
pub fn find(name: &str) -> Option<&'static dyn Registered> {
    all().find(|one| one.name() == name)
}

/// The names of the modules.
pub fn modules() -> Vec<&'static str> {
    all().filter(|one| one.api().is_some()).map(Registered::name).collect()
}

#[cfg(test)]
#[cfg(feature = "system")]
mod tests;
