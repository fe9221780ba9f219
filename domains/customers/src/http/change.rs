//! `POST /api/v1/customers/{id}/change-contact`, `…/change-address` and `…/close`

use actix_web::post;
use actix_web::web::Data;
use kernel::sync::Patch;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;
use web_api::{
    Acknowledgement, CommandHeaders, CommandProblems, CommandRequest, Done, Email, IfMatchHeader,
    Line, Problem, Telephone, ValidJson, ValidPath,
};

use super::input::NewAddress;
use super::{Api, CATEGORY, problem};
use crate::domain::ContactChange;

/// How to reach a customer from now on.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeContact {
    /// Full name, or the firm's; without it the name stays.
    name: Option<Line<200>>,
    /// Where to write to; unique among the open customers registered here.
    email: Email,
    /// Telephone number; without it the number stays, null takes it away.
    #[serde(default, deserialize_with = "stated")]
    #[schema(value_type = Option<Telephone>)]
    phone: Option<Option<Telephone>>,
}

/// What is stated, be it null; a field that is absent is not asked.
fn stated<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Telephone>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<ChangeContact> for ContactChange {
    fn from(change: ChangeContact) -> Self {
        Self {
            name: change.name.map(|name| name.into_inner().into()),
            email: change.email.into_inner().into(),
            phone: match change.phone {
                None => Patch::Keep,
                Some(None) => Patch::Clear,
                Some(Some(phone)) => Patch::Set(phone.into_inner().into()),
            },
        }
    }
}

/// Where a customer lives from now on.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeAddress {
    /// The whole address.
    address: NewAddress,
}

/// Why a customer is closed.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CloseCustomer {
    /// Reason in plain words. It is stored encrypted, and erased with the customer.
    reason: Line<500>,
}

/// Change a customer's name, e-mail address or telephone number
///
/// Refused with `/problems/refused/email-taken` when another open customer registered here has the
/// e-mail address, with `/problems/refused/customer-closed` when the customer is closed.
#[utoipa::path(
    operation_id = "change_customer_contact",
    tag = "customers",
    params(("id" = Uuid, Path, description = "The customer"), CommandHeaders, IfMatchHeader),
    request_body(
        content = ChangeContact,
        example = json!({"email": "ada@exemple.fr", "phone": null})
    ),
    responses(
        (status = 200, description = "The contact is as asked", body = Acknowledgement,
         headers(("ETag" = String, description = "Its revision"),
                 ("Bascule-Position" = String, description = "For Bascule-Min-Position"))),
        CommandProblems,
    ),
)]
#[post("/{id}/change-contact")]
pub(super) async fn contact(
    api: Data<Api>,
    id: ValidPath<Uuid>,
    command: CommandRequest,
    body: ValidJson<ChangeContact>,
) -> Result<Done, Problem> {
    let (id, expected, payload) = (*id, command.if_match(), body.payload());
    command
        .once(&api.database, &api.environment, CATEGORY, payload, async |attempt| {
            let change = body.into_inner();
            let done =
                api.customers.change_contact(id, change.into(), attempt.cause(), expected).await;
            Ok(Done::changed(id, done.map_err(problem)?))
        })
        .await
}

/// Change a customer's postal address
///
/// Refused with `/problems/refused/customer-closed` when the customer is closed.
#[utoipa::path(
    operation_id = "change_customer_address",
    tag = "customers",
    params(("id" = Uuid, Path, description = "The customer"), CommandHeaders, IfMatchHeader),
    request_body(
        content = ChangeAddress,
        example = json!({
            "address": {
                "line1": "2 quai des Brumes", "postal_code": "76600", "city": "Le Havre",
                "country": "FR"
            }
        })
    ),
    responses(
        (status = 200, description = "The address is as asked", body = Acknowledgement,
         headers(("ETag" = String, description = "Its revision"),
                 ("Bascule-Position" = String, description = "For Bascule-Min-Position"))),
        CommandProblems,
    ),
)]
#[post("/{id}/change-address")]
pub(super) async fn address(
    api: Data<Api>,
    id: ValidPath<Uuid>,
    command: CommandRequest,
    body: ValidJson<ChangeAddress>,
) -> Result<Done, Problem> {
    let (id, expected, payload) = (*id, command.if_match(), body.payload());
    command
        .once(&api.database, &api.environment, CATEGORY, payload, async |attempt| {
            let ChangeAddress { address } = body.into_inner();
            let done =
                api.customers.change_address(id, address.into(), attempt.cause(), expected).await;
            Ok(Done::changed(id, done.map_err(problem)?))
        })
        .await
}

/// Close a customer
///
/// A closed customer can order no longer; the e-mail address can be registered again. Closing a
/// closed customer changes nothing.
#[utoipa::path(
    operation_id = "close_customer",
    tag = "customers",
    params(("id" = Uuid, Path, description = "The customer"), CommandHeaders, IfMatchHeader),
    request_body(
        content = CloseCustomer,
        example = json!({"reason": "at the customer's request"})
    ),
    responses(
        (status = 200, description = "The customer is closed", body = Acknowledgement,
         headers(("ETag" = String, description = "Its revision"),
                 ("Bascule-Position" = String, description = "For Bascule-Min-Position"))),
        CommandProblems,
    ),
)]
#[post("/{id}/close")]
pub(super) async fn close(
    api: Data<Api>,
    id: ValidPath<Uuid>,
    command: CommandRequest,
    body: ValidJson<CloseCustomer>,
) -> Result<Done, Problem> {
    let (id, expected, payload) = (*id, command.if_match(), body.payload());
    command
        .once(&api.database, &api.environment, CATEGORY, payload, async |attempt| {
            let CloseCustomer { reason } = body.into_inner();
            let done =
                api.customers.close(id, reason.into_inner(), attempt.cause(), expected).await;
            Ok(Done::changed(id, done.map_err(problem)?))
        })
        .await
}
