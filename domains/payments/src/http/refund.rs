//! `POST /api/v1/payments/{id}/refund`, `…/refunds` and `…/refunds/{refund_id}/retry`

use actix_web::post;
use actix_web::web::Data;
use payments_contract::{PaymentId, RefundId, RefundLine, RefundScope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::{Validate, ValidationError};
use web_api::{
    Acknowledgement, CommandHeaders, CommandOn, CommandProblems, CommandRequest, Done, IdOf,
    IfMatchHeader, Line, NoBody, PositiveDecimal, Problem, QuantityOfLine, ValidJson, ValidPath,
};

use super::{Api, RefundPath, problem};

/// Seed of the id of a new refund.
const REFUND: &str = "refund";

/// The reason of a refund.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "The chairs arrived broken"}))]
pub(super) struct RefundPayment {
    /// Reason in free text. It is stored encrypted, and erased with the customer.
    reason: Line<200>,
}

/// Refund a payment
///
/// Requests a refund of everything that remains of a captured payment. Billing issues the credit note
/// first; if it cannot, the refund becomes `refused` shortly afterwards. A second request changes
/// nothing.
#[utoipa::path(
    operation_id = "refund_payment", tag = "payments",
    params(CommandOn<PaymentId>),
    request_body = RefundPayment,
    responses(
        (status = 200, body = Acknowledgement,
         description = "The refund was requested; the provider carries it out once its credit note is issued"),
        CommandProblems,
    ),
)]
#[post("/{id}/refund")]
pub(super) async fn rest(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    command: CommandRequest,
    body: ValidJson<RefundPayment>,
) -> Result<Done, Problem> {
    let payload = body.payload();
    command
        .change(&**api, *id, payload, async |attempt, expected| {
            let refund = attempt.new_id_of(REFUND).into();
            let reason = body.into_inner().reason.into_inner();
            let refunded = api.payments.refund(*id, refund, reason, attempt.cause(), expected);
            refunded.await.map_err(problem)
        })
        .await
}

/// The extent and reason of a refund. Without `amount` and `lines`, it covers everything that remains.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[validate(schema(function = amount_or_lines))]
#[schema(as = CreateRefund, example = json!({"reason": "A chair arrived broken", "lines": [{"line": 1, "quantity": "1"}]}))]
pub(super) struct CreateRefund {
    /// Reason in free text. It is stored encrypted, and erased with the customer.
    reason: Line<200>,
    /// Amount including tax, in the payment's currency.
    #[serde(
        default,
        deserialize_with = "web_api::not_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    amount: Option<PositiveDecimal>,
    /// Lines of the invoice; billing computes the amount.
    #[serde(
        default,
        deserialize_with = "web_api::not_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[validate(length(min = 1, max = 200), nested)]
    #[schema(nullable = false, min_items = 1, max_items = 200)]
    lines: Option<Vec<QuantityOfLine>>,
}

fn amount_or_lines(body: &CreateRefund) -> Result<(), ValidationError> {
    if body.amount.is_some() && body.lines.is_some() {
        let expected = "expected `amount` or `lines`, not both";
        return Err(ValidationError::new("amount_or_lines").with_message(expected.into()));
    }
    Ok(())
}

impl CreateRefund {
    fn scope(&self) -> RefundScope {
        if let Some(lines) = &self.lines {
            let lines = lines.iter();
            let lines =
                lines.map(|line| RefundLine { line: line.line, quantity: line.quantity.value() });
            return RefundScope::Lines { lines: lines.collect() };
        }
        match &self.amount {
            Some(amount) => RefundScope::Amount { amount: amount.value() },
            None => RefundScope::Rest,
        }
    }
}

/// Refund part of a payment
///
/// Requests a refund of a captured payment: of everything that remains, of an amount, or of invoice
/// lines. Several refunds are possible until nothing remains. Billing issues the credit note first; if
/// it cannot, for example because a quantity exceeds what remains of a line, the refund becomes
/// `refused` shortly afterwards.
///
/// Use a refund for goods that the customer keeps. For returned goods, record a return of the order
/// (`return_order`), which refunds what was paid; doing both credits the goods twice.
#[utoipa::path(
    operation_id = "create_refund", tag = "payments",
    params(CommandOn<PaymentId>),
    request_body = CreateRefund,
    responses(
        (status = 201, description = "The refund was requested", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/refunds")]
pub(super) async fn create(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    command: CommandRequest,
    body: ValidJson<CreateRefund>,
) -> Result<Done, Problem> {
    let (id, expected) = (*id, command.if_match());
    command
        .create(&**api, body.payload(), async |attempt| {
            let refund = RefundId::from(attempt.new_id_of(REFUND));
            let (scope, reason, cause) =
                (body.scope(), body.reason.clone().into_inner(), attempt.cause());
            let proposed =
                api.payments.propose_refund(id, refund, scope, reason, cause, expected).await;
            Ok((refund, proposed.map_err(problem)?))
        })
        .await
}

/// Retry a failed refund
///
/// Retries a refund that the provider refused. If the refund is pending or done, nothing changes; if it
/// was refused because it has no credit note, the answer is 409.
#[utoipa::path(
    operation_id = "retry_refund", tag = "payments",
    params(
        IdOf<PaymentId>,
        ("refund_id" = Uuid, Path, description = "The refund"),
        CommandHeaders, IfMatchHeader
    ),
    responses(
        (status = 200, description = "The provider is asked again", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/refunds/{refund_id}/retry")]
pub(super) async fn retry(
    api: Data<Api>,
    path: ValidPath<RefundPath>,
    command: CommandRequest,
    body: NoBody,
) -> Result<Done, Problem> {
    let RefundPath { id, refund_id } = *path;
    command
        .change(&**api, refund_id, body.payload(), async |attempt, expected| {
            let retried = api.payments.retry_refund(id, refund_id, attempt.cause(), expected);
            retried.await.map_err(problem)
        })
        .await
}
