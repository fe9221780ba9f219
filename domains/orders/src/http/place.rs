//! `POST /api/v1/orders`

use actix_web::post;
use actix_web::web::Data;
use customers_contract::CustomerId;
use orders_contract::{OrderId, OrderLine};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;
use web_api::{
    Acknowledgement, CommandHeaders, CommandProblems, CommandRequest, CurrencyCode, Done, Line,
    PaymentMethod, PositiveDecimal, Problem, ValidJson,
};

use super::input::{UnitPrice, VatRate};
use super::not_placed;
use crate::domain::PlaceOrder;
use crate::handlers::Orders;

/// A new order.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlaceOrder)]
pub(super) struct PlaceOrderBody {
    /// Customer who places the order.
    #[schema(value_type = Uuid)]
    customer_id: CustomerId,
    /// ISO 4217 currency code.
    currency: CurrencyCode,
    /// Payment method: `<provider>` or `<provider>:<parameter of the provider>`. A payment with an unknown
    /// method is declined.
    payment_method: PaymentMethod,
    /// Ordered lines.
    #[validate(length(min = 1, max = 200))]
    #[schema(min_items = 1, max_items = 200)]
    lines: Vec<NewLine>,
}

/// A line of a new order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrderLine)]
pub(super) struct NewLine {
    /// The article's code.
    sku: Line<64>,
    /// Description of the article.
    description: Line<500>,
    /// Ordered quantity: more than zero, at most 6 decimals.
    quantity: PositiveDecimal,
    /// Unit price before tax, in the order's currency: not negative, at most 4 decimals.
    unit_price: UnitPrice,
    /// VAT rate in percent: 0 to 100, at most 2 decimals.
    vat_rate: VatRate,
}

impl From<&NewLine> for OrderLine {
    fn from(line: &NewLine) -> Self {
        Self {
            sku: line.sku.to_string(),
            description: line.description.to_string(),
            quantity: line.quantity.value(),
            unit_price: *line.unit_price,
            vat_rate: *line.vat_rate,
        }
    }
}

/// Place an order
///
/// The order awaits its payment: an invoice is issued and charged automatically. The order is confirmed when
/// the invoice is paid, and cancelled when the payment fails.
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
        (status = 201, description = "The order was placed", body = Acknowledgement),
        CommandProblems,
    ),
)]
#[post("")]
pub(super) async fn place(
    orders: Data<Orders>,
    command: CommandRequest,
    body: ValidJson<PlaceOrderBody>,
) -> Result<Done, Problem> {
    command
        .create(&**orders, body.payload(), async |attempt| {
            let id = OrderId::from(attempt.new_id());
            let request = PlaceOrder {
                order_id: id,
                customer_id: body.customer_id,
                currency: *body.currency,
                payment_method: body.payment_method.to_string(),
                lines: body.lines.iter().map(Into::into).collect(),
            };
            let placed = orders.place(request, attempt.cause()).await;
            Ok((id, placed.map_err(not_placed)?))
        })
        .await
}
