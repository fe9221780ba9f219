//! `POST /api/v1/orders`

use actix_web::post;
use actix_web::web::Data;
use kernel::money::Currency;
use orders_contract::OrderLine;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};
use web_api::{
    Acknowledgement, CommandHeaders, CommandProblems, CommandRequest, Done, NonNegativeDecimal,
    Percentage, PositiveDecimal, Problem, ValidJson,
};

use super::{CATEGORY, not_placed};
use crate::domain::PlaceOrder;
use crate::handlers::Orders;

/// A new order.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlaceOrder)]
pub(super) struct PlaceOrderBody {
    /// The customer who orders.
    customer_id: Uuid,
    /// ISO 4217 code.
    #[validate(custom(function = "web_api::text::currency"))]
    #[schema(min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
    /// How it is to be paid, as the payment provider understands it: `<provider>` or
    /// `<provider>:<what the provider wants>`. An unknown one is declined when it is charged.
    #[validate(length(min = 1, max = 64), custom(function = "web_api::text::payment_method"))]
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[a-z0-9_-]+(:[A-Za-z0-9_-]+)?$",
        example = "sandbox:ok"
    )]
    payment_method: String,
    /// What is ordered.
    #[validate(length(min = 1, max = 200), nested)]
    #[schema(min_items = 1, max_items = 200)]
    lines: Vec<NewLine>,
}

/// A line of a new order.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrderLine)]
pub(super) struct NewLine {
    /// The article's code.
    #[validate(length(min = 1, max = 64), custom(function = "web_api::text::line"))]
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "CH-1"
    )]
    sku: String,
    /// What it is, for people.
    #[validate(length(min = 1, max = 500), custom(function = "web_api::text::line"))]
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "Chaise"
    )]
    description: String,
    /// How many: more than zero, at most 6 decimals.
    quantity: PositiveDecimal,
    /// Price of one before tax: not negative, at most 4 decimals.
    #[validate(custom(function = at_most_four_decimals))]
    #[schema(
        value_type = String,
        min_length = 1,
        max_length = 20,
        pattern = r"^[0-9]{1,15}(\.[0-9]{1,4})?$",
        example = "49.90"
    )]
    unit_price: NonNegativeDecimal,
    /// VAT rate in percent: 0 to 100, at most 2 decimals.
    #[validate(custom(function = at_most_two_decimals))]
    #[schema(
        value_type = String,
        min_length = 1,
        max_length = 6,
        pattern = r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)$",
        example = "20"
    )]
    vat_rate: Percentage,
}

impl From<&NewLine> for OrderLine {
    fn from(line: &NewLine) -> Self {
        Self {
            sku: line.sku.clone(),
            description: line.description.clone(),
            quantity: line.quantity.value(),
            unit_price: line.unit_price.value(),
            vat_rate: line.vat_rate.value(),
        }
    }
}

fn at_most_four_decimals(price: &NonNegativeDecimal) -> Result<(), ValidationError> {
    check_decimals(price.value(), 4, "expected at most 4 decimals")
}

fn at_most_two_decimals(rate: &Percentage) -> Result<(), ValidationError> {
    check_decimals(rate.value(), 2, "expected at most 2 decimals")
}

fn check_decimals(
    value: Decimal,
    most: u32,
    expected: &'static str,
) -> Result<(), ValidationError> {
    if value.scale() <= most {
        return Ok(());
    }
    Err(ValidationError::new("decimals").with_message(expected.into()))
}

/// Place an order
///
/// The order awaits its payment: an invoice is issued and charged by itself, and the order is
/// confirmed when it is paid or cancelled when it is not.
#[utoipa::path(
    operation_id = "place_order",
    tag = "orders",
    params(CommandHeaders),
    request_body(content = PlaceOrderBody, example = json!({
        "customer_id": "0197b19f-1200-7a51-8c44-0f9e8d7c6b5a",
        "currency": "EUR",
        "payment_method": "sandbox:ok",
        "lines": [{
            "sku": "CH-1",
            "description": "Chaise",
            "quantity": "2",
            "unit_price": "49.90",
            "vat_rate": "20"
        }]
    })),
    responses(
        (status = 201, description = "The order was placed", body = Acknowledgement,
         headers(("Location" = String, description = "The order"),
                 ("ETag" = String, description = "Its revision"),
                 ("Bascule-Position" = String, description = "For Bascule-Min-Position"))),
        CommandProblems,
    ),
)]
#[post("")]
pub(super) async fn place(
    orders: Data<Orders>,
    command: CommandRequest,
    body: ValidJson<PlaceOrderBody>,
) -> Result<Done, Problem> {
    // Validated already, but for the type system.
    let currency = Currency::in_use(&body.currency)
        .ok_or_else(|| Problem::invalid_field("currency", "currency", "unknown currency"))?;
    command
        .once(&orders.database, &orders.environment, CATEGORY, body.payload(), async |attempt| {
            let id = attempt.new_id();
            let request = PlaceOrder {
                order_id: id,
                customer_id: body.customer_id,
                currency,
                payment_method: body.payment_method.clone(),
                lines: body.lines.iter().map(Into::into).collect(),
            };
            let placed = orders.place(request, attempt.cause()).await;
            Ok(Done::created(id, placed.map_err(not_placed)?))
        })
        .await
}
