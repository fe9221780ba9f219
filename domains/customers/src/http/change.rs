//! `POST /api/v1/customers/{id}/change-contact`, `…/change-address` and `…/close`

use actix_web::post;
use actix_web::web::Data;
use kernel::sync::Patch;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;
use web_api::{
    Acknowledgement, CommandHeaders, CommandProblems, CommandRequest, Done, IfMatchHeader, Problem,
    ValidJson, ValidPath,
};

use super::input::{NewAddress, mail_domain, telephone};
use super::{Api, CATEGORY, problem};
use crate::domain::ContactChange;

/// How to reach a customer from now on.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeContact {
    /// Full name, or the firm's; without it the name stays.
    #[validate(length(min = 1, max = 200), custom(function = "web_api::text::line"))]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "Ada Martin"
    )]
    name: Option<String>,
    /// Where to write to; unique among the open customers registered here.
    #[validate(email, length(max = 254), custom(function = "mail_domain"))]
    #[schema(format = Email, max_length = 254, example = "ada@exemple.fr")]
    email: String,
    /// Telephone number; without it the number stays, null takes it away.
    #[serde(default, deserialize_with = "stated")]
    #[validate(custom(function = "telephone"))]
    #[schema(
        value_type = Option<String>,
        pattern = r"^\+?[0-9 ().-]{4,30}$",
        example = "+33 1 02 03 04 05"
    )]
    phone: Option<Option<String>>,
}

/// What is stated, be it null; a field that is absent is not asked.
fn stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<ChangeContact> for ContactChange {
    fn from(change: ChangeContact) -> Self {
        Self {
            name: change.name.map(Into::into),
            email: change.email.into(),
            phone: match change.phone {
                None => Patch::Keep,
                Some(None) => Patch::Clear,
                Some(Some(phone)) => Patch::Set(phone.into()),
            },
        }
    }
}

/// Where a customer lives from now on.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeAddress {
    /// The whole address.
    #[validate(nested)]
    address: NewAddress,
}

/// Why a customer is closed.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CloseCustomer {
    /// Reason in plain words. It is stored encrypted, and erased with the customer.
    #[validate(length(min = 1, max = 500), custom(function = "web_api::text::line"))]
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "at the customer's request"
    )]
    reason: String,
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
            let done = api.customers.close(id, reason, attempt.cause(), expected).await;
            Ok(Done::changed(id, done.map_err(problem)?))
        })
        .await
}
