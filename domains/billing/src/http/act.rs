//! `POST /api/v1/billing/invoices/{id}/…`: what becomes of an invoice that is due and unpaid.

use actix_web::post;
use actix_web::web::Data;
use billing_contract::InvoiceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;
use web_api::{
    Acknowledgement, CommandOn, CommandProblems, CommandRequest, Done, NoBody, PaymentMethod,
    Problem, ValidJson, ValidPath,
};

use super::problem;
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
            billing.collect(*id, method, attempt.cause(), expected).await.map_err(problem)
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
            billing.write_off(*id, attempt.cause(), expected).await.map_err(problem)
        })
        .await
}
