//! `POST /api/v1/orders/{id}/…`: what is done with an order.

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

/// Why an order is cancelled.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CancelOrder)]
pub(super) struct CancelOrderBody {
    /// Reason in plain words. It is stored encrypted, and erased with the customer.
    reason: Line<500>,
}

/// Cancel an order
///
/// An order that awaits its payment or is confirmed is cancelled; money that was paid goes back.
/// Cancelling twice changes nothing. What is fulfilled can no longer be cancelled.
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

/// What comes back of an order, and why.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReturnOrder)]
pub(super) struct ReturnOrderBody {
    /// Reason in plain words. It is stored encrypted, and erased with the customer.
    reason: Line<500>,
    /// What comes back; without it everything that is still with the customer.
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
/// Records that what was delivered came back: everything, or some lines. Its invoice is credited, and
/// what was paid goes back. Returning everything twice changes nothing. A refund that was requested for the
/// same goods before (`create_refund`) adds to this until nothing of the invoice is left.
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
/// An order is confirmed by itself when its invoice is paid; this confirms it without waiting. It is
/// then carried out whatever becomes of the payment, and its invoice stays due. Confirming twice
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
/// Records that everything ordered was delivered. Only a confirmed order can be fulfilled.
/// Fulfilling twice changes nothing.
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
