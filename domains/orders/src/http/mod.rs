//! The module's routes, and the answers to refusals. Each handler parses, calls and answers.

mod change;
mod input;
mod place;
mod read;

use actix_web::http::StatusCode;
use database::Database;
use kernel::decider::Decider as _;
use kernel::execution::Environment;
use utoipa_actix_web::service_config::ServiceConfig;
use web_api::{CarriesOut, Problem};

use crate::domain::{OrderDecider, Refusal};
use crate::handlers::{Error, Orders, PlaceError};

const CATEGORY: &str = OrderDecider::CATEGORY;

/// Adds the module's routes. Their data is registered separately, so that the OpenAPI document can be made
/// without a store.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(
        utoipa_actix_web::scope("/api/v1/orders")
            .service(place::place)
            .service(read::list)
            .service(read::history)
            .service(change::cancel)
            .service(change::confirm)
            .service(change::fulfil)
            .service(change::take_back)
            .service(read::get_one),
    );
}

/// The stores with which the routes execute commands.
impl CarriesOut for Orders {
    const CATEGORY: &'static str = CATEGORY;

    fn database(&self) -> &Database {
        &self.database
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }
}

fn no_such_order() -> Problem {
    Problem::not_found("There is no such order.")
}

/// Returns the problem that answers a refusal.
fn refused(refusal: Refusal) -> Problem {
    let text = refusal.to_string();
    match refusal {
        Refusal::NoSuchOrder => no_such_order(),
        Refusal::OwnedByLegacy => Problem::owned_by_legacy(text),
        Refusal::AlreadyPlaced => Problem::refused("already-placed", text),
        Refusal::NotConfirmed => Problem::refused("not-confirmed", text),
        Refusal::AlreadyCancelled => Problem::refused("already-cancelled", text),
        Refusal::AlreadyFulfilled => Problem::refused("already-fulfilled", text),
        Refusal::NotFulfilled => Problem::refused("not-fulfilled", text),
        Refusal::NoSuchLine { .. } | Refusal::ExceedsDelivery { .. } => {
            Problem::refused("return-exceeds-delivery", text)
        }
        // The request is invalid, whatever the state of the order.
        Refusal::NothingToPay => {
            Problem::refused("nothing-to-pay", text).with_status(StatusCode::UNPROCESSABLE_ENTITY)
        }
        Refusal::TotalTooLarge => {
            Problem::refused("total-too-large", text).with_status(StatusCode::UNPROCESSABLE_ENTITY)
        }
        // Only the policy and the import can get these refusals.
        Refusal::AlreadyConfirmed | Refusal::OwnedByBascule | Refusal::IncompleteReport { .. } => {
            Problem::unexpected_refusal(refusal)
        }
    }
}

fn not_done(error: Error) -> Problem {
    Problem::from_execute(error, refused)
}

fn not_placed(error: PlaceError) -> Problem {
    match error {
        PlaceError::CustomerUnknown => Problem::refused("customer-unknown", error.to_string()),
        PlaceError::CustomerClosed => Problem::refused("customer-closed", error.to_string()),
        PlaceError::Backlogged(backlogged) => Problem::backlog(backlogged),
        PlaceError::StaleReadModel { position } => Problem::stale_read(position),
        PlaceError::Read(error) => error.into(),
        PlaceError::Load(error) => error.into(),
        PlaceError::Database(error) => error.into(),
        PlaceError::Execute(error) => not_done(error),
    }
}

#[cfg(test)]
mod tests {
    use web_api::ProblemKind;

    use super::*;

    #[test]
    fn a_refusal_that_no_route_can_provoke_is_a_defect() {
        for refusal in [
            Refusal::AlreadyConfirmed,
            Refusal::OwnedByBascule,
            Refusal::IncompleteReport { field: "status" },
        ] {
            let answered = not_done(Error::Refused(refusal));
            assert_eq!(answered.kind(), ProblemKind::Internal, "{answered:?}");
        }
    }
}
