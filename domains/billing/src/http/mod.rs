//! The routes under `/api/v1/billing/invoices`: a file per kind of request. Policies issue and settle
//! documents; the commands here decide about an invoice whose payment failed.

mod change;
mod read;

use database::Database;
use kernel::decider::Decider as _;
use kernel::execution::Environment;
use utoipa_actix_web::service_config::ServiceConfig;
use web_api::{CarriesOut, Problem};

use crate::domain::{InvoiceDecider, Refusal};
use crate::handlers::{Billing, Error};

const CATEGORY: &str = InvoiceDecider::CATEGORY;

/// Adds the module's routes. They read [`Billing`] from the application's data; the OpenAPI document
/// is generated without it.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(
        utoipa_actix_web::scope("/api/v1/billing/invoices")
            .service(read::list)
            .service(read::history)
            .service(change::collect)
            .service(change::void)
            .service(read::get_one),
    );
}

/// The database and environment of the commands.
impl CarriesOut for Billing {
    const CATEGORY: &'static str = CATEGORY;

    fn database(&self) -> &Database {
        &self.database
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Returns the problem for the error of a command.
fn problem(error: Error) -> Problem {
    Problem::from_execute(error, refused)
}

fn refused(refusal: Refusal) -> Problem {
    let text = refusal.to_string();
    match refusal {
        Refusal::NoSuchInvoice => Problem::not_found("There is no such invoice."),
        Refusal::OwnedByLegacy => Problem::owned_by_legacy(text),
        Refusal::IsCreditNote => Problem::refused("is-credit-note", text),
        Refusal::AlreadyPaid => Problem::refused("already-paid", text),
        Refusal::NothingOpen => Problem::refused("nothing-open", text),
        Refusal::CollectionUnderWay => Problem::refused("collection-under-way", text),
        Refusal::OrderAwaitsPayment => Problem::refused("order-awaits-payment", text),
        // Only policies and the import get these refusals.
        Refusal::AlreadyIssued
        | Refusal::UnknownCurrency
        | Refusal::TotalTooLarge
        | Refusal::TotalsDisagree { .. }
        | Refusal::AmountDiffers { .. }
        | Refusal::PaidByAnother
        | Refusal::AlreadyVoided
        | Refusal::NoSuchLine
        | Refusal::NotPaid
        | Refusal::OwnedByBascule
        | Refusal::IncompleteReport { .. } => Problem::unexpected_refusal(refusal),
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;
    use web_api::ProblemKind;

    use super::*;

    #[test]
    fn a_refusal_that_no_route_can_provoke_is_a_defect() {
        for refusal in [
            Refusal::AlreadyIssued,
            Refusal::UnknownCurrency,
            Refusal::TotalTooLarge,
            Refusal::TotalsDisagree { computed: Decimal::ONE, stated: Decimal::TWO },
            Refusal::AmountDiffers { expected: "1 EUR".to_owned(), found: "2 EUR".to_owned() },
            Refusal::PaidByAnother,
            Refusal::AlreadyVoided,
            Refusal::NoSuchLine,
            Refusal::NotPaid,
            Refusal::OwnedByBascule,
            Refusal::IncompleteReport { field: "date" },
        ] {
            let answered = problem(Error::Refused(refusal));
            assert_eq!(answered.kind(), ProblemKind::Internal, "{answered:?}");
        }
    }
}
