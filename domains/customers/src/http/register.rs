//! `POST /api/v1/customers`

use actix_web::post;
use actix_web::web::Data;
use customers_contract::CustomerId;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;
use web_api::{
    Acknowledgement, CommandHeaders, CommandProblems, CommandRequest, Done, Email, Line, Problem,
    Telephone, ValidJson, VatNumber,
};

use super::input::NewAddress;
use super::{Api, problem};
use crate::domain::Registration;
use crate::view::Kind;

/// A new customer.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterCustomer {
    /// Kind of the customer.
    kind: Kind,
    /// Full name of the person, or name of the company.
    name: Line<200>,
    /// E-mail address, unique among the open customers registered in this system. Addresses that differ only in
    /// case or in the spelling of an internationalised domain (`exämple.fr`, `xn--exmple-cua.fr`) are the same.
    email: Email,
    /// Telephone number.
    phone: Option<Telephone>,
    /// Postal address.
    address: NewAddress,
    /// VAT identification number.
    vat_number: Option<VatNumber>,
}

impl RegisterCustomer {
    fn into_registration(self, customer_id: CustomerId) -> Registration {
        Registration {
            customer_id,
            kind: self.kind.into(),
            name: self.name.into_inner().into(),
            email: self.email.into_inner().into(),
            phone: self.phone.map(|phone| phone.into_inner().into()),
            address: customers_contract::Address::from(self.address).into(),
            vat_number: self.vat_number.map(|number| number.into_inner().into()),
        }
    }
}

/// Register a customer
///
/// Refused with `/problems/refused/email-taken` if another open customer registered in this system has the
/// e-mail address.
#[utoipa::path(
    operation_id = "register_customer",
    tag = "customers",
    params(CommandHeaders),
    request_body(
        content = RegisterCustomer,
        example = json!({
            "kind": "person", "name": "Ada Martin", "email": "ada@exemple.fr",
            "address": {
                "line1": "1 rue de la Paix", "postal_code": "75002", "city": "Paris",
                "country": "FR"
            }
        })
    ),
    responses(
        (status = 201, description = "The customer was registered", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("")]
pub(super) async fn register(
    api: Data<Api>,
    command: CommandRequest,
    body: ValidJson<RegisterCustomer>,
) -> Result<Done, Problem> {
    let payload = body.payload();
    command
        .create(&**api, payload, async |attempt| {
            let id = attempt.new_id().into();
            let registration = body.into_inner().into_registration(id);
            let registered = api.customers.register(registration, attempt.cause()).await;
            Ok((id, registered.map_err(problem)?))
        })
        .await
}
