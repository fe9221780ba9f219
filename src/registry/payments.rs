//! Payments and refunds.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use http::Module;
use kernel::description::ModuleDescription;
use kernel::execution::Environment;

use super::{Api, Registered};
use crate::configuration::Configuration;

pub(super) struct Payments;

#[async_trait]
impl Registered for Payments {
    fn name(&self) -> &'static str {
        payments::NAME
    }

    fn description(&self) -> ModuleDescription {
        payments::description()
    }

    fn api(&self) -> Option<Api> {
        Some(Api { about: "Payments and refunds", routes: Arc::new(payments::routes) })
    }

    async fn open(&self, with: Environment, settings: &Configuration) -> anyhow::Result<Module> {
        let database = settings.database_url(self.name())?;
        let ledger = match &settings.payments.sandbox.ledger {
            Some(url) => url.reveal().to_owned(),
            None => settings.beside_the_store("sandbox")?.context(
                "the tables of sandbox cannot be beside a store that is reached over the network: \
                 say where they are, with [payments.sandbox] ledger",
            )?,
        };
        Ok(payments::open(with, &database, &ledger, settings.payments.clone()).await?)
    }

    fn erasure(&self) -> Option<&'static str> {
        Some(payments::erasure::NAME)
    }
}
