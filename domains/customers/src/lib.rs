//! Customers: registered here, or imported from a legacy system.
//!
//! ```text
//! POST /api/v1/customers… ─► Customers ─┬► customer-<id>      customers.CustomerRegistered, …
//!                                       └► email-<digest>     one open customer per address
//! POST /admin/…/erase ─────► Customers ──► customer-<id>      customers.CustomerErased
//! customers.SyncCustomer ──► SyncCustomer ► customer-<id>     customers.CustomerImported, …Revised
//! every customers.Customer… ─► Directory ─► the customers as the API shows them
//! customers.CustomerErased ─► Erasure ────► keys destroyed, tables scrubbed
//! ```
//!
//! `domain` makes the decisions, `handlers` execute commands, `sync` imports customers of a legacy system,
//! `projections` and `queries` write and read the directory, `view` defines the customers that the API
//! shows, `http` contains the routes, `erasure` is the only reaction: no event of another module changes a
//! customer.
//!
//! An e-mail address is unique among the open customers registered here. It is claimed in a stream named
//! by a keyed digest of the normalised address (see [`domain::email`]). The claim is appended together with
//! the customer's event, so that the event store accepts only one of two concurrent registrations.

pub mod domain;
pub mod erasure;
pub mod handlers;
mod http;
pub mod lookup;
pub mod projections;
pub mod queries;
pub mod sync;
pub mod view;

use async_trait::async_trait;
use database::Migrations;
use event_contract::PublishedEvent;
use kernel::execution::Cause;
use module::{ErasesCustomers, Module, NoSettings, OpenError, Opened, Opening, Routes};
use uuid::Uuid;
use web_api::Problem;

pub use crate::http::routes;
use domain::email::EmailDecider;
use domain::{CustomerDecider, Refusal};
use erasure::Erasure;
use handlers::Customers;
use projections::Directory;

/// The module's name: the first part of its event types and of its routes.
pub const NAME: &str = "customers";

/// Names of the modules that retain data of an erased customer for as long as the law requires, and
/// destroy it themselves. They may run in another process.
pub const RETAINING: &[&str] = &["billing"];

/// The module of customers.
#[derive(Debug, Clone, Copy)]
pub struct CustomersModule;

/// The tables of the module's read models.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/customers"),
    postgres: sqlx::migrate!("../../migrations/postgres/customers"),
};

impl Module for CustomersModule {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Customers: registered here, or imported from a legacy system.";
    const EVENTS: &'static [PublishedEvent] = customers_contract::CATALOGUE;
    type Settings = NoSettings;
    type Deciders = (CustomerDecider, EmailDecider);
    type Imports = (CustomerDecider,);
    type Projections = (Directory,);
    type Reactions = (Erasure,);
    const ROUTES: Option<Routes> = Some(routes);

    fn migrations(&self) -> &'static Migrations {
        &MIGRATIONS
    }

    async fn open(&self, on: Opening<'_, Self>) -> Result<Opened<Self>, OpenError> {
        let directory = on.projection(Directory::new(on.environment.lookup_key.clone()));
        let Opening { environment, database, .. } = on;
        let customers = Customers::new(environment.clone());
        let api = http::Api {
            environment: environment.clone(),
            database: database.clone(),
            customers: customers.clone(),
            progress: directory.progress(),
        };
        let erasure = Erasure { environment, database, directory: directory.progress() };
        Ok(Opened::new((directory,), (erasure,))
            .with_data(api)
            .erasing_by::<Erasure>()
            .deciding_erasure(customers))
    }
}

#[async_trait]
impl ErasesCustomers for Customers {
    async fn erase(&self, customer_id: Uuid, cause: &Cause) -> Result<(), Problem> {
        let erased = Customers::erase(self, customer_id.into(), cause).await;
        erased.map(drop).map_err(|error| {
            Problem::from_execute(error, |refusal| match refusal {
                Refusal::NoSuchCustomer => Problem::not_found("There is no such customer."),
                Refusal::AlreadyRegistered
                | Refusal::CustomerClosed
                | Refusal::CustomerErased
                | Refusal::EmailTaken
                | Refusal::OwnedByLegacy
                | Refusal::OwnedByBascule => Problem::unexpected_refusal(refusal),
            })
        })
    }
}
