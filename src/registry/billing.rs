//! Invoices and credit notes, which the law has kept for a while whatever is erased.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use billing::BillingSettings;
use customers_contract::CustomerId;
use database::Database;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Module, Problem};
use kernel::description::ModuleDescription;
use kernel::execution::Environment;
use kernel::outage::Outage;
use tokio_util::sync::CancellationToken;

use super::{Api, Registered, Retained};
use crate::configuration::Configuration;

/// How often it is looked for documents that need not be retained any more. That changes with the
/// year.
const LOOK_FOR_ENDED_EVERY: Duration = Duration::from_secs(3600);
/// How soon again when that failed.
const AGAIN: Duration = Duration::from_secs(60);
static UNENDED: Outage = Outage::new("what need not be retained any more cannot be ended");

pub(super) struct Billing;

#[async_trait]
impl Registered for Billing {
    fn name(&self) -> &'static str {
        billing::NAME
    }

    fn description(&self) -> ModuleDescription {
        billing::description()
    }

    fn api(&self) -> Option<Api> {
        Some(Api { about: "Invoices and credit notes", routes: Arc::new(billing::routes) })
    }

    async fn open(&self, with: Environment, settings: &Configuration) -> anyhow::Result<Module> {
        let database = settings.database_url(self.name())?;
        Ok(billing::open(with, &database, settings.billing.clone()).await?)
    }

    fn erasure(&self) -> Option<&'static str> {
        Some(billing::retention::ERASURE)
    }

    async fn retained(
        &self,
        environment: &Environment,
        settings: &Configuration,
        database: &Database,
        customer_id: CustomerId,
    ) -> Result<Option<Retained>, Problem> {
        let until = billing::retention::retained(database, &settings.billing, customer_id);
        let documents_until = until.await?;
        let ended_at = billing::retention::ended_at(environment, customer_id).await?;
        Ok(Some(Retained { documents_until, ended_at }))
    }

    fn upkeep(
        &self,
        environment: Environment,
        settings: &Configuration,
        database: Database,
        shutdown: CancellationToken,
    ) -> Option<BoxFuture<'static, ()>> {
        let settings = settings.billing.clone();
        Some(end_retentions(environment, settings, database, shutdown).boxed())
    }
}

/// Sees now and then what need not be retained any more.
async fn end_retentions(
    environment: Environment,
    settings: BillingSettings,
    database: Database,
    shutdown: CancellationToken,
) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let (environment, database) = (environment.clone(), database.clone());
        let ended = billing::retention::end_all_over(environment, database, settings.clone());
        pause = match ended.await {
            Ok(()) => {
                UNENDED.ends("billing");
                LOOK_FOR_ENDED_EVERY
            }
            Err(error) => {
                UNENDED.occurs("billing", &*error);
                AGAIN
            }
        };
    }
}
