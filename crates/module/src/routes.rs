//! How the routes of a module reach the application.

use std::sync::Arc;

use utoipa_actix_web::service_config::ServiceConfig;

/// Adds the routes of a module to the application, without what their handlers need at run time.
pub type Routes = fn(&mut ServiceConfig<'_>);

/// Adds a module's routes, and what their handlers need, to the application.
pub type Configure = Arc<dyn Fn(&mut ServiceConfig<'_>) + Send + Sync>;
