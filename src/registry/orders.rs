//! What is bought.

use std::sync::Arc;

use async_trait::async_trait;
use http::Module;
use kernel::description::ModuleDescription;
use kernel::execution::Environment;

use super::{Api, Registered};
use crate::configuration::Configuration;

/// What must run for an order to be placed and paid.
pub(super) const SAGA: [&str; 4] = ["customers", "orders", "billing", "payments"];

pub(super) struct Orders;

#[async_trait]
impl Registered for Orders {
    fn name(&self) -> &'static str {
        orders::NAME
    }

    fn description(&self) -> ModuleDescription {
        orders::description()
    }

    fn api(&self) -> Option<Api> {
        Some(Api { about: "What is bought", routes: Arc::new(orders::routes) })
    }

    async fn open(&self, with: Environment, settings: &Configuration) -> anyhow::Result<Module> {
        let database = settings.database_url(self.name())?;
        Ok(orders::open(with, &database).await?)
    }

    fn erasure(&self) -> Option<&'static str> {
        Some(orders::erasure::NAME)
    }

    fn first_steps(&self, api: &str, runs: &dyn Fn(&str) -> bool) -> Option<String> {
        SAGA.into_iter().all(runs).then(|| {
            format!(
                r#"Place an order and watch it being confirmed and paid:

CUSTOMER=$(curl -fsS {api}/api/v1/customers -H 'Content-Type: application/json' -d '{{"kind":"person","name":"Ada Martin","email":"ada-'$RANDOM$RANDOM'@exemple.fr","address":{{"line1":"1 rue de la Paix","postal_code":"75002","city":"Paris","country":"FR"}}}}' | sed -E 's/.*"id":"([^"]+)".*/\1/')
ORDER=$(curl -fsS {api}/api/v1/orders -H 'Content-Type: application/json' -d '{{"customer_id":"'$CUSTOMER'","currency":"EUR","payment_method":"sandbox:ok","lines":[{{"sku":"CH-1","description":"Chaise","quantity":"2","unit_price":"49.90","vat_rate":"20"}}]}}' | sed -E 's/.*"id":"([^"]+)".*/\1/')
until curl -fsS {api}/api/v1/orders/$ORDER | grep '"status":"confirmed"'; do sleep 0.2; done; curl -fsS "{api}/api/v1/billing/invoices?order_id=$ORDER"
"#
            )
        })
    }
}
