//! `/admin/…` on the second listener: operations on a running system.

mod access;
mod erase;
mod erasing;
mod guard;
mod jobs;
mod modules;
mod parked;
pub mod placement;
mod state;
mod subscriptions;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

pub use self::access::Access;
pub use self::state::{Admin, Running, States};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::scope("/admin")
            .wrap(from_fn(guard::guard))
            .configure(placement::routes)
            .configure(subscriptions::routes)
            .configure(parked::routes)
            .configure(modules::routes)
            .service(erase::erase),
    );
}
