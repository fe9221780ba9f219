//! `POST /api/v1/orders/{id}/cancel`, `…/confirm`, `…/fulfil` and `…/return`

use actix_web::post;
use actix_web::web::Data;
use orders_contract::{CancellationReason, LineQuantity, OrderId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;
use web_api::{
    Acknowledgement, CommandOn, CommandProblems, CommandRequest, Done, Line, NoBody, Problem,
    QuantityOfLine, ValidJson, ValidPath,
};

use super::not_done;
use crate::domain::ReturnOrder;
use crate::handlers::Orders;

/// A cancellation.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CancelOrder)]
pub(super) struct CancelOrderBody {
    /// Reason as free text. It is stored encrypted, and erased with the customer.
    reason: Line<500>,
}

/// Cancel an order
///
/// Cancels an order that awaits its payment or is confirmed, and refunds its payment. A fulfilled order
/// can no longer be cancelled. Repeating the command changes nothing.
#[utoipa::path(
    operation_id = "cancel_order",
    tag = "orders",
    params(CommandOn<OrderId>),
    request_body(content = CancelOrderBody, example = json!({ "reason": "Ordered twice" })),
    responses(
        (status = 200, description = "The order is cancelled", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/cancel")]
pub(super) async fn cancel(
    orders: Data<Orders>,
    id: ValidPath<OrderId>,
    command: CommandRequest,
    body: ValidJson<CancelOrderBody>,
) -> Result<Done, Problem> {
    command
        .change(&**orders, *id, body.payload(), async |attempt, expected| {
            let reason =
                CancellationReason::Requested { reason: body.reason.clone().into_inner().into() };
            orders.cancel(*id, reason, attempt.cause(), expected).await.map_err(not_done)
        })
        .await
}

/// A return of delivered goods.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReturnOrder)]
pub(super) struct ReturnOrderBody {
    /// Reason as free text. It is stored encrypted, and erased with the customer.
    reason: Line<500>,
    /// Returned quantities. Without this field, everything that the customer has is returned.
    #[serde(
        default,
        deserialize_with = "web_api::not_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[validate(length(min = 1, max = 200), nested)]
    #[schema(nullable = false, min_items = 1, max_items = 200)]
    lines: Option<Vec<QuantityOfLine>>,
}

/// Return an order
///
/// Records the return of delivered goods: all of them, or quantities of some lines. The invoice is credited
/// and the payment refunded. Repeating the return of everything changes nothing. A refund that was requested
/// before for the same goods (`create_refund`) is not deducted: both are paid, up to the invoice's total.
#[utoipa::path(
    operation_id = "return_order",
    tag = "orders",
    params(CommandOn<OrderId>),
    request_body(content = ReturnOrderBody, example = json!({
        "reason": "Arrived broken",
        "lines": [{ "line": 1, "quantity": "1" }]
    })),
    responses(
        (status = 200, description = "The return is recorded", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/return")]
pub(super) async fn take_back(
    orders: Data<Orders>,
    id: ValidPath<OrderId>,
    command: CommandRequest,
    body: ValidJson<ReturnOrderBody>,
) -> Result<Done, Problem> {
    command
        .change(&**orders, *id, body.payload(), async |attempt, expected| {
            let lines = body.lines.as_ref();
            let quantity = |line: &QuantityOfLine| LineQuantity {
                line: line.line,
                quantity: line.quantity.value(),
            };
            let lines = lines.map(|lines| lines.iter().map(quantity).collect());
            let request = ReturnOrder { lines, reason: body.reason.clone().into_inner().into() };
            orders.take_back(*id, request, attempt.cause(), expected).await.map_err(not_done)
        })
        .await
}

/// Confirm an order
///
/// Confirms an order without waiting for its payment. A failed payment then does not cancel the order, and
/// the invoice stays due. An order whose invoice is paid is confirmed automatically. Repeating the command
/// changes nothing.
#[utoipa::path(
    operation_id = "confirm_order",
    tag = "orders",
    params(CommandOn<OrderId>),
    responses(
        (status = 200, description = "The order is confirmed", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/confirm")]
pub(super) async fn confirm(
    orders: Data<Orders>,
    id: ValidPath<OrderId>,
    command: CommandRequest,
    body: NoBody,
) -> Result<Done, Problem> {
    command
        .change(&**orders, *id, body.payload(), async |attempt, expected| {
            orders.confirm(*id, attempt.cause(), expected).await.map_err(not_done)
        })
        .await
}

/// Fulfil an order
///
/// Records that all lines of the order were delivered. Only a confirmed order can be fulfilled. Repeating
/// the command changes nothing.
#[utoipa::path(
    operation_id = "fulfil_order",
    tag = "orders",
    params(CommandOn<OrderId>),
    responses(
        (status = 200, description = "The order is fulfilled", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/fulfil")]
pub(super) async fn fulfil(
    orders: Data<Orders>,
    id: ValidPath<OrderId>,
    command: CommandRequest,
    body: NoBody,
) -> Result<Done, Problem> {
    command
        .change(&**orders, *id, body.payload(), async |attempt, expected| {
            orders.fulfil(*id, attempt.cause(), expected).await.map_err(not_done)
        })
        .await
}
