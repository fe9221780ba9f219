//! customers
mod domain;
mod handlers;
mod lookup;
mod projections;
mod queries;
mod sync;
pub const NAME: &str = "customers";
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/sqlite/customers");
