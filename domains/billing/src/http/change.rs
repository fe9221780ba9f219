//! `POST /api/v1/billing/invoices/{id}/collect` and `…/void`

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

/// The payment method for an invoice.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CollectInvoice)]
pub(super) struct CollectInvoiceBody {
    /// Payment method in the payment provider's terms: `<provider>` or `<provider>:<the provider's own
    /// text>`. The provider declines an unknown method when it is charged.
    payment_method: PaymentMethod,
}

/// Collect an open invoice
///
/// Requests a further payment of the open amount of an invoice whose last payment failed. Only an
/// invoice whose order was confirmed before it was paid stays open; any other invoice is voided when
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
/// Gives up the open amount of an invoice whose order is carried out: billing issues a credit note over
/// the remaining amount, and a pending payment is cancelled. Voiding twice changes nothing. If the
/// order still awaits its payment, cancel the order instead; that voids its invoice.
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
