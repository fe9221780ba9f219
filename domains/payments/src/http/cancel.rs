//! `POST /api/v1/payments/{id}/cancel`

use actix_web::post;
use actix_web::web::Data;
use payments_contract::PaymentId;
use web_api::{
    Acknowledgement, CommandOn, CommandProblems, CommandRequest, Done, NoBody, Problem, ValidPath,
};

use super::{Api, problem};

/// Cancel a payment
///
/// Cancels a payment that the provider has not decided yet. If the provider captures the money
/// nevertheless, it is refunded. Cancelling twice changes nothing.
#[utoipa::path(
    operation_id = "cancel_payment", tag = "payments",
    params(CommandOn<PaymentId>),
    responses(
        (status = 200, description = "The payment is cancelled", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/cancel")]
pub(super) async fn cancel(
    api: Data<Api>,
    id: ValidPath<PaymentId>,
    command: CommandRequest,
    body: NoBody,
) -> Result<Done, Problem> {
    command
        .change(&**api, *id, body.payload(), async |attempt, expected| {
            api.payments.cancel(*id, attempt.cause(), expected).await.map_err(problem)
        })
        .await
}
