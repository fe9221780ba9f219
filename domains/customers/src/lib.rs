//! Customers: who can order. Registered here, or imported from a legacy system.
//!
//! ```text
//! POST /api/v1/customers… ─► Customers ─┬► customer-<id>      customers.CustomerRegistered, …
//!                                       └► email-<digest>     one open customer per address
//! POST /admin/…/erase ─────► Customers ──► customer-<id>      customers.CustomerErased
//! customers.SyncCustomer ──► SyncCustomer ► customer-<id>     customers.CustomerImported, …Revised
//! every customers.Customer… ─► Directory ─► what the API shows
//! customers.CustomerErased ─► Erasure ────► keys destroyed, files cleaned
//! ```
//!
//! `domain` decides, `handlers` carry commands in, `sync` takes the legacy system's word,
//! `projections` and `queries` keep and read the directory, `http` answers, `erasure` is the only
//! policy: nothing that other modules do changes a customer.
//!
//! An e-mail address is unique among the open customers registered here. It is claimed in a stream
//! named by a keyed digest of the normalised address (see [`domain::email`]), appended together
//! with the customer's event: of two concurrent registrations the event store lets one through.

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

/// The modules that retain what they know of an erased customer for as long as the law says, and
/// destroy it by themselves. By name: they may run elsewhere.
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
    const ABOUT: &'static str = "Who can order: registered here, or imported from a legacy system.";
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
