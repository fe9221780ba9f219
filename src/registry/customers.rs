//! Who buys.

use std::sync::Arc;

use async_trait::async_trait;
use customers::domain::Refusal;
use customers_contract::CustomerId;
use http::{Module, Problem};
use kernel::description::ModuleDescription;
use kernel::execution::{Cause, Environment};

use super::{Api, Registered};
use crate::configuration::Configuration;

/// The modules that retain what they know of an erased customer for as long as the law says, and
/// destroy it by themselves. By name: they may run elsewhere.
pub(super) const RETAINING: &[&str] = &["billing"];

pub(super) struct Customers;

#[async_trait]
impl Registered for Customers {
    fn name(&self) -> &'static str {
        customers::NAME
    }

    fn description(&self) -> ModuleDescription {
        customers::description()
    }

    fn api(&self) -> Option<Api> {
        Some(Api { about: "Who buys", routes: Arc::new(customers::routes) })
    }

    async fn open(&self, with: Environment, settings: &Configuration) -> anyhow::Result<Module> {
        let database = settings.database_url(self.name())?;
        Ok(customers::open(with, &database, RETAINING).await?)
    }

    async fn erase(
        &self,
        environment: &Environment,
        customer_id: CustomerId,
        cause: &Cause,
    ) -> Result<bool, Problem> {
        let customers = customers::handlers::Customers::new(environment.clone());
        customers.erase(customer_id, cause).await.map_err(|error| {
            Problem::from_execute(error, |refusal| match refusal {
                Refusal::NoSuchCustomer => Problem::not_found("There is no such customer."),
                Refusal::AlreadyRegistered
                | Refusal::CustomerClosed
                | Refusal::CustomerErased
                | Refusal::EmailTaken
                | Refusal::OwnedByLegacy
                | Refusal::OwnedByBascule => Problem::unexpected_refusal(refusal),
            })
        })?;
        Ok(true)
    }

    fn erasure(&self) -> Option<&'static str> {
        Some(customers::erasure::NAME)
    }
}
