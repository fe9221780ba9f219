//! The module's routes, and the answers to refusals. Each handler parses, calls and answers.

mod change;
mod input;
mod read;
mod register;

use database::Database;
use kernel::decider::Decider;
use kernel::execution::Environment;
use kernel::projection::Progress;
use utoipa_actix_web::service_config::ServiceConfig;
use web_api::{CarriesOut, Problem};

use crate::domain::{CustomerDecider, Refusal};
use crate::handlers::{Customers, Error};

const CATEGORY: &str = CustomerDecider::CATEGORY;

/// The data of the routes.
pub(crate) struct Api {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    pub(crate) customers: Customers,
    /// Progress of the directory.
    pub(crate) progress: Progress,
}

/// The stores with which the routes execute commands.
impl CarriesOut for Api {
    const CATEGORY: &'static str = CATEGORY;

    fn database(&self) -> &Database {
        &self.database
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Adds the module's routes. Their data is registered separately, so that the OpenAPI document can be made
/// without a store.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(
        utoipa_actix_web::scope("/api/v1/customers")
            .service(register::register)
            .service(read::list)
            .service(read::history)
            .service(change::contact)
            .service(change::address)
            .service(change::close)
            .service(read::get_one),
    );
}

/// Returns the problem that answers a command that was not executed.
fn problem(error: Error) -> Problem {
    Problem::from_execute(error, |refusal| {
        let text = refusal.to_string();
        match refusal {
            Refusal::NoSuchCustomer => Problem::not_found("There is no such customer."),
            Refusal::AlreadyRegistered => Problem::refused("already-registered", text),
            Refusal::CustomerClosed => Problem::refused("customer-closed", text),
            Refusal::CustomerErased => Problem::refused("customer-erased", text),
            Refusal::EmailTaken => Problem::refused("email-taken", text),
            Refusal::OwnedByLegacy => Problem::owned_by_legacy(text),
            // Only the import can get this refusal.
            Refusal::OwnedByBascule => Problem::unexpected_refusal(refusal),
        }
    })
}

#[cfg(test)]
mod tests {
    use web_api::ProblemKind;

    use super::*;

    #[test]
    fn a_refusal_that_no_route_can_provoke_is_a_defect() {
        let answered = problem(Error::Refused(Refusal::OwnedByBascule));
        assert_eq!(answered.kind(), ProblemKind::Internal, "{answered:?}");
    }
}
