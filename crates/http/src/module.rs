//! What a bounded context hands to the composition root.

use std::sync::Arc;

use database::Database;
use database::read_model::ReadModel;
use kernel::projection::Progress;
use kernel::subscription::Subscription;
use kernel::sync::SyncTarget;
use utoipa_actix_web::service_config::ServiceConfig;

/// Adds a module's routes, and what their handlers need, to the application.
pub type Configure = Arc<dyn Fn(&mut ServiceConfig<'_>) + Send + Sync>;

/// A bounded context, ready to run.
pub struct Module {
    /// Its name: the first part of its event types and of its routes.
    pub name: &'static str,
    /// Adds its routes and their data.
    pub configure: Configure,
    /// Its projections, policies and reactors.
    pub subscriptions: Vec<Box<dyn Subscription>>,
    /// Its entrances for imported aggregates.
    pub sync_targets: Vec<Arc<dyn SyncTarget>>,
    /// How far each of its projections has come, by name.
    pub projections: Vec<(String, Progress)>,
    /// Its read models, for whoever looks after them.
    pub read_models: Vec<ReadModel>,
    /// Its database.
    pub database: Database,
}
