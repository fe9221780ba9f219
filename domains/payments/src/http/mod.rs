//! The routes under `/api/v1/payments`: a file per kind of request.

mod cancel;
mod read;
mod read_refunds;
mod refund;

use database::Database;
use kernel::decider::Decider;
use kernel::execution::Environment;
use kernel::projection::Progress;
use payments_contract::{PaymentId, RefundId};
use serde::Deserialize;
use utoipa_actix_web::service_config::ServiceConfig;
use web_api::{CarriesOut, Problem, Sort, SortDate};

use crate::domain::{PaymentDecider, Refusal};
use crate::handlers::{Error, Payments};

/// Dependencies of the handlers.
pub(crate) struct Api {
    pub(crate) payments: Payments,
    pub(crate) database: Database,
    pub(crate) progress: Progress,
}

/// The database and environment of the commands.
impl CarriesOut for Api {
    const CATEGORY: &'static str = CATEGORY;

    fn database(&self) -> &Database {
        &self.database
    }

    fn environment(&self) -> &Environment {
        &self.payments.environment
    }
}

const CATEGORY: &str = PaymentDecider::CATEGORY;
const NO_SUCH_PAYMENT: &str = "There is no such payment.";
const NO_SUCH_REFUND: &str = "There is no such refund.";

/// Path parameters of a refund.
#[derive(Debug, Clone, Copy, Deserialize)]
struct RefundPath {
    id: PaymentId,
    refund_id: RefundId,
}

/// The date of a payment and of a refund.
#[derive(Debug, Clone, Copy)]
struct RequestedAt;

impl SortDate for RequestedAt {
    const NAME: &'static str = "requested_at";
}

/// An alias, because the OpenAPI document needs a name of its own for the type.
type DateSort = Sort<RequestedAt>;

/// Adds the module's routes. They read `Api` from the application's data; the OpenAPI document is
/// generated without it.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(
        utoipa_actix_web::scope("/api/v1/payments")
            .service(read::list)
            .service(read::history)
            .service(read_refunds::list)
            .service(refund::rest)
            .service(refund::create)
            .service(refund::retry)
            .service(read_refunds::of_payment)
            .service(read_refunds::get_one)
            .service(cancel::cancel)
            .service(read::get_one),
    );
}

/// Returns the problem for the error of a command.
fn problem(error: Error) -> Problem {
    Problem::from_execute(error, |refusal| {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NoSuchPayment => Problem::not_found(NO_SUCH_PAYMENT),
            Refusal::OwnedByLegacy => Problem::owned_by_legacy(detail),
            Refusal::AlreadyCaptured => Problem::refused("already-captured", detail),
            Refusal::AlreadyOver(_) => Problem::refused("already-over", detail),
            Refusal::NothingToRefund(_) => Problem::refused("nothing-to-refund", detail),
            Refusal::AlreadyRefunded => Problem::refused("already-refunded", detail),
            Refusal::RefundRefused => Problem::refused("refund-refused", detail),
            Refusal::ExceedsPayment { .. } => Problem::refused("refund-exceeds-payment", detail),
            Refusal::TooPrecise { .. } => Problem::invalid_field("amount", "decimals", &detail),
            Refusal::NoRefundRequested => Problem::not_found(NO_SUCH_REFUND),
            // Only the policies, the reactor and the import get these refusals.
            Refusal::AlreadyRequested
            | Refusal::AnotherCapture
            | Refusal::NotDueYet { .. }
            | Refusal::OwnedByBascule
            | Refusal::Incomplete(_) => Problem::unexpected_refusal(refusal),
        }
    })
}

#[cfg(test)]
mod tests {
    use web_api::ProblemKind;

    use super::*;

    #[test]
    fn a_refusal_that_no_route_can_provoke_is_a_defect() {
        for refusal in [
            Refusal::AlreadyRequested,
            Refusal::AnotherCapture,
            Refusal::NotDueYet { deadline: chrono::DateTime::UNIX_EPOCH },
            Refusal::OwnedByBascule,
            Refusal::Incomplete("amount"),
        ] {
            let answered = problem(Error::Refused(refusal));
            assert_eq!(answered.kind(), ProblemKind::Internal, "{answered:?}");
        }
    }
}
