//! `POST /api/v1/billing/invoices/{id}/…`: what becomes of an invoice that is due and unpaid.

use actix_web::post;
use actix_web::web::Data;
use billing_contract::InvoiceId;
use kernel::execution::ExecuteError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;
use web_api::{
    Acknowledgement, CommandOn, CommandProblems, CommandRequest, Done, NoBody, PaymentMethod,
    Problem, ValidJson, ValidPath,
};

use crate::domain::Refusal;
use crate::handlers::Billing;

/// How an invoice is to be paid.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CollectInvoice)]
pub(super) struct CollectInvoiceBody {
    /// As the payment provider understands it: `<provider>` or
    /// `<provider>:<what the provider wants>`. An unknown one is declined when it is charged.
    payment_method: PaymentMethod,
}

/// Collect an open invoice
///
/// Requests a further payment of what is open on an invoice whose last payment failed. Only the
/// invoice of an order that was confirmed before it was paid comes to that; any other is voided when
/// its payment fails.
#[utoipa::path(
    operation_id = "collect_invoice",
    tag = "billing",
    params(CommandOn<InvoiceId>),
    request_body(content = CollectInvoiceBody, example = json!({ "payment_method": "sandbox:ok" })),
    responses(
        (status = 200, description = "A payment is requested", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/collect")]
pub(super) async fn collect(
    billing: Data<Billing>,
    id: ValidPath<InvoiceId>,
    command: CommandRequest,
    body: ValidJson<CollectInvoiceBody>,
) -> Result<Done, Problem> {
    command
        .change(&**billing, *id, body.payload(), async |attempt, expected| {
            let method = body.into_inner().payment_method.into_inner();
            billing.collect(*id, method, attempt.cause(), expected).await.map_err(not_done)
        })
        .await
}

/// Void an open invoice
///
/// Gives up the money that is open on an invoice whose order is carried out: a credit note over what
/// is left of it is issued, and a payment under way is cancelled. Voiding twice changes nothing. An
/// order that awaits its payment is cancelled instead, which voids its invoice.
#[utoipa::path(
    operation_id = "void_invoice",
    tag = "billing",
    params(CommandOn<InvoiceId>),
    responses(
        (status = 200, description = "The invoice is voided", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/void")]
pub(super) async fn void(
    billing: Data<Billing>,
    id: ValidPath<InvoiceId>,
    command: CommandRequest,
    body: NoBody,
) -> Result<Done, Problem> {
    command
        .change(&**billing, *id, body.payload(), async |attempt, expected| {
            billing.write_off(*id, attempt.cause(), expected).await.map_err(not_done)
        })
        .await
}

fn not_done(error: ExecuteError<Refusal>) -> Problem {
    Problem::from_execute(error, refused)
}

/// How a refusal is answered.
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
        // Only the policies and the import are refused so.
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
            let answered = not_done(ExecuteError::Refused(refusal));
            assert_eq!(answered.kind(), ProblemKind::Internal, "{answered:?}");
        }
    }
}
