//! The events and ids that the orders module publishes, and nothing else.

use chrono::NaiveDate;
use event_contract::{LegacyReference, Personal};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

event_contract::published! {
    /// Every version of every event that this module publishes or ever published.
    pub const CATALOGUE;

    "orders.OrderPlaced.v1": OrderPlaced;
    "orders.OrderConfirmed.v1": OrderConfirmed;
    "orders.PaymentDeferred.v1": PaymentDeferred;
    "orders.OrderFulfilled.v1": OrderFulfilled;
    "orders.OrderReturned.v1": OrderReturned, about |event| event.customer_id;
    "orders.OrderCancelled.v1": OrderCancelled, about |event| event.customer_id;
    "orders.OrderImported.v1": OrderImported,
        about |event| event.state.customer_id.unwrap_or(event.order_id.as_uuid());
    "orders.OrderRevised.v1": OrderRevised,
        about |event| event.state.customer_id.unwrap_or(event.order_id.as_uuid());
}

event_contract::id! {
    /// Identifies an order.
    pub OrderId of "order";
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderLine {
    /// The article's code.
    pub sku: String,
    /// Description of the article.
    pub description: String,
    /// Ordered quantity, with the decimals of the request.
    pub quantity: Decimal,
    /// Unit price before tax, in the order's currency.
    pub unit_price: Decimal,
    /// VAT rate in percent.
    pub vat_rate: Decimal,
}

/// An order was placed in this system and awaits its payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// The order.
    pub order_id: OrderId,
    /// Customer who placed the order.
    pub customer_id: Uuid,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Payment method, in the notation of the payment provider.
    pub payment_method: String,
    /// Ordered lines; at least one.
    pub lines: Vec<OrderLine>,
    /// Total before tax, rounded to the currency's minor unit.
    pub total_net: Decimal,
    /// Total VAT.
    pub total_vat: Decimal,
    /// Total including VAT.
    pub total: Decimal,
}

/// An order was confirmed: it is paid, or the confirmation did not wait for the payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
}

/// An order was confirmed before it was paid. A failed payment does not cancel it, and its invoice
/// stays due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentDeferred {
    /// The order.
    pub order_id: OrderId,
}

/// All lines of an order were delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderFulfilled {
    /// The order.
    pub order_id: OrderId,
}

/// A quantity of one of the order's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineQuantity {
    /// Line number in the order, from 1.
    pub line: u32,
    /// Quantity of that line.
    pub quantity: Decimal,
}

/// The customer returned delivered goods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderReturned {
    /// The order.
    pub order_id: OrderId,
    /// Customer who placed the order.
    pub customer_id: Uuid,
    /// Number of this return among the returns of the order, from 1.
    pub number: u32,
    /// Returned quantities of this return.
    pub lines: Vec<LineQuantity>,
    /// Whether all goods of the order are returned.
    pub complete: bool,
    /// Reason as free text, which may contain data about the customer.
    pub reason: Personal<String>,
}

/// Reason for a cancellation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum CancellationReason {
    /// The cancellation was requested.
    Requested {
        /// Reason as free text, which may contain data about the customer.
        reason: Personal<String>,
    },
    /// The payment was declined.
    PaymentDeclined,
    /// The payment did not arrive in time.
    PaymentExpired,
    /// The payment was cancelled.
    PaymentCancelled,
}

/// An order was cancelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: OrderId,
    /// Customer who placed the order.
    pub customer_id: Uuid,
    /// Reason for the cancellation.
    pub reason: CancellationReason,
}

/// Status of an imported order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportedOrderStatus {
    /// The order is confirmed.
    Confirmed,
    /// All lines were delivered.
    Fulfilled,
    /// The order is cancelled.
    Cancelled,
}

/// A line of an imported order, with the values of the legacy system: nothing is recomputed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedOrderLine {
    /// The line's key in the legacy system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_id: Option<String>,
    /// The article's code; may be empty.
    pub sku: String,
    /// Description of the article.
    pub description: String,
    /// Ordered quantity.
    pub quantity: Decimal,
    /// Unit of measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Unit price before tax, in the order's currency.
    pub unit_price: Decimal,
    /// VAT rates in percent; usually one rate.
    #[serde(default)]
    pub vat_rates: Vec<Decimal>,
}

/// The state of an order in a legacy system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedOrder {
    /// Status of the order.
    pub status: ImportedOrderStatus,
    /// Reason for the cancellation, if the legacy system withdrew the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_reason: Option<Personal<String>>,
    /// Order number in the legacy system. An order that was cancelled early may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The customer's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Personal<String>>,
    /// Date of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// Free text on the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Personal<String>>,
    /// Customer who placed the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Ordered lines.
    #[serde(default)]
    pub lines: Vec<ImportedOrderLine>,
    /// Texts of comment lines, which have no article.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments: Option<Personal<Vec<String>>>,
    /// Total before tax, as the legacy system states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_net: Option<Decimal>,
    /// Total VAT, as the legacy system states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_vat: Option<Decimal>,
    /// Total including VAT, as the legacy system states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Decimal>,
    /// Flags for irregularities of the order, such as `foreign_currency`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// An order of a legacy system was imported for the first time. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderImported {
    /// The order.
    pub order_id: OrderId,
    /// Origin of the order in the legacy system.
    pub legacy: LegacyReference,
    /// State in the legacy system.
    pub state: ImportedOrder,
}

/// An imported order changed in the legacy system. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRevised {
    /// The order.
    pub order_id: OrderId,
    /// Origin of the order in the legacy system.
    pub legacy: LegacyReference,
    /// Full state in the legacy system after the change.
    pub state: ImportedOrder,
    /// Names of the changed fields of the state.
    pub changed: Vec<String>,
}
