//! `POST /api/v1/customers/{id}/change-contact`, `…/change-address` and `…/close`

use actix_web::post;
use actix_web::web::Data;
use customers_contract::CustomerId;
use kernel::sync::Patch;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use validator::Validate;
use web_api::{
    Acknowledgement, CommandOn, CommandProblems, CommandRequest, Done, Email, Line, Problem,
    Telephone, ValidJson, ValidPath,
};

use super::input::NewAddress;
use super::{Api, problem};
use crate::domain::ContactChange;

/// A customer's new contact.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeContact {
    /// Full name of the person, or name of the company. Without this field, the name is unchanged.
    name: Option<Line<200>>,
    /// E-mail address, unique among the open customers registered in this system.
    email: Email,
    /// Telephone number. Without this field, the number is unchanged; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Telephone>)]
    phone: Option<Option<Telephone>>,
}

/// Reads a field that is present, null included. Serde uses the default for an absent field.
fn present<'de, D: Deserializer<'de>>(
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

/// A customer's new postal address.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeAddress {
    /// The full address, which replaces the previous one.
    address: NewAddress,
}

/// The closing of a customer.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CloseCustomer {
    /// Reason as free text. It is stored encrypted, and erased with the customer.
    reason: Line<500>,
}

/// Change a customer's name, e-mail address or telephone number
///
/// Refused with `/problems/refused/email-taken` if another open customer registered in this system has the
/// e-mail address, and with `/problems/refused/customer-closed` if the customer is closed.
#[utoipa::path(
    operation_id = "change_customer_contact",
    tag = "customers",
    params(CommandOn<CustomerId>),
    request_body(
        content = ChangeContact,
        example = json!({"email": "ada@exemple.fr", "phone": null})
    ),
    responses(
        (status = 200, description = "The contact is changed", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/change-contact")]
pub(super) async fn contact(
    api: Data<Api>,
    id: ValidPath<CustomerId>,
    command: CommandRequest,
    body: ValidJson<ChangeContact>,
) -> Result<Done, Problem> {
    let payload = body.payload();
    command
        .change(&**api, *id, payload, async |attempt, expected| {
            let change = body.into_inner().into();
            let changed = api.customers.change_contact(*id, change, attempt.cause(), expected);
            changed.await.map_err(problem)
        })
        .await
}

/// Change a customer's postal address
///
/// Refused with `/problems/refused/customer-closed` if the customer is closed.
#[utoipa::path(
    operation_id = "change_customer_address",
    tag = "customers",
    params(CommandOn<CustomerId>),
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
        (status = 200, description = "The address is changed", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/change-address")]
pub(super) async fn address(
    api: Data<Api>,
    id: ValidPath<CustomerId>,
    command: CommandRequest,
    body: ValidJson<ChangeAddress>,
) -> Result<Done, Problem> {
    let payload = body.payload();
    command
        .change(&**api, *id, payload, async |attempt, expected| {
            let ChangeAddress { address } = body.into_inner();
            let address = address.into();
            let changed = api.customers.change_address(*id, address, attempt.cause(), expected);
            changed.await.map_err(problem)
        })
        .await
}

/// Close a customer
///
/// A closed customer can no longer place orders. The e-mail address can be registered again. Repeating the
/// command changes nothing.
#[utoipa::path(
    operation_id = "close_customer",
    tag = "customers",
    params(CommandOn<CustomerId>),
    request_body(
        content = CloseCustomer,
        example = json!({"reason": "at the customer's request"})
    ),
    responses(
        (status = 200, description = "The customer is closed", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("/{id}/close")]
pub(super) async fn close(
    api: Data<Api>,
    id: ValidPath<CustomerId>,
    command: CommandRequest,
    body: ValidJson<CloseCustomer>,
) -> Result<Done, Problem> {
    let payload = body.payload();
    command
        .change(&**api, *id, payload, async |attempt, expected| {
            let CloseCustomer { reason } = body.into_inner();
            let reason = reason.into_inner();
            api.customers.close(*id, reason, attempt.cause(), expected).await.map_err(problem)
        })
        .await
}
