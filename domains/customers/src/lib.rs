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
#[cfg(test)]
mod golden;
pub mod handlers;
mod http;
pub mod lookup;
pub mod projections;
pub mod queries;
pub mod sync;

use std::sync::Arc;

use ::http::Module;
use database::read_model::ReadModel;
use database::{Database, DatabaseError, Migrations};
use kernel::description::ModuleDescription;
use kernel::execution::Environment;
use kernel::projection::{Projection as _, ProjectionRunner};
use kernel::reaction::ReactionRunner;

pub use crate::http::routes;
use domain::CustomerDecider;
use domain::email::EmailDecider;
use erasure::Erasure;
use handlers::Customers;
use projections::Directory;
use sync::SyncCustomer;

/// The module's name: the first part of its event types and of its routes.
pub const NAME: &str = "customers";

const PURPOSE: &str = "Who can order: registered here, or imported from a legacy system.";

/// The tables of the module's read models.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("../../migrations/sqlite/customers"),
    postgres: sqlx::migrate!("../../migrations/postgres/customers"),
};

/// What the module is, for whoever describes or checks it without opening it.
pub fn description() -> ModuleDescription {
    ModuleDescription::new(NAME, PURPOSE)
        .publishes(customers_contract::CATALOGUE)
        .decides::<CustomerDecider>()
        .imports::<CustomerDecider>()
        .decides::<EmailDecider>()
        .projects::<Directory>()
        .reacts::<Erasure>()
        .keeps(MIGRATIONS.tables())
}

/// Opens the module's database and puts the module together, ready to run. When a customer is
/// erased, the keys of its data are destroyed, but those of the modules in `retained`.
pub async fn open(
    environment: Environment,
    database_url: &str,
    retained: &'static [&'static str],
) -> Result<Module, DatabaseError> {
    let database = Database::open(database_url, NAME, &MIGRATIONS).await?;
    let customers = Customers::new(environment.clone());
    let directory = Directory::new(environment.lookup_key.clone());
    let read_models =
        vec![ReadModel::new(directory.clone(), &["customer"], &environment, &database)];
    let (runner, progress) =
        ProjectionRunner::new(directory, environment.clone(), database.clone());
    let api = http::Api {
        environment: environment.clone(),
        database: database.clone(),
        customers: customers.clone(),
        progress: progress.clone(),
    };
    let erasure = Erasure {
        environment: environment.clone(),
        database: database.clone(),
        directory: progress.clone(),
        retained,
    };
    let erasure = ReactionRunner::new(erasure, environment.clone(), database.clone());
    Ok(Module {
        name: NAME,
        configure: http::configure(api),
        subscriptions: vec![Box::new(runner), Box::new(erasure)],
        sync_targets: vec![Arc::new(SyncCustomer::new(environment))],
        projections: vec![(Directory::NAME.to_owned(), progress)],
        read_models,
        database,
    })
}
