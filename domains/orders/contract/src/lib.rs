//! What the orders module publishes: its events and ids, nothing else.

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

/// One thing ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderLine {
    /// The article's code.
    pub sku: String,
    /// What it is, for people.
    pub description: String,
    /// How many, with as many decimals as were given.
    pub quantity: Decimal,
    /// Price of one before tax, in the order's currency.
    pub unit_price: Decimal,
    /// VAT rate in percent.
    pub vat_rate: Decimal,
}

/// An order was placed here and awaits its payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: Uuid,
    /// ISO 4217 code.
    pub currency: String,
    /// How it is to be paid, as the payment provider understands it.
    pub payment_method: String,
    /// What was ordered; at least one line.
    pub lines: Vec<OrderLine>,
    /// Sum before tax, rounded to the currency's minor unit.
    pub total_net: Decimal,
    /// Sum of the taxes.
    pub total_vat: Decimal,
    /// Sum to be paid.
    pub total: Decimal,
}

/// An order will be carried out: it is paid, or was confirmed without waiting for the payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
}

/// An order was confirmed before it was paid: it is carried out whatever becomes of the payment, and
/// its invoice stays due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentDeferred {
    /// The order.
    pub order_id: OrderId,
}

/// Everything ordered was delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderFulfilled {
    /// The order.
    pub order_id: OrderId,
}

/// A quantity of one of the order's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineQuantity {
    /// The line's place in the order, from 1.
    pub line: u32,
    /// How many of it.
    pub quantity: Decimal,
}

/// Something delivered came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderReturned {
    /// The order.
    pub order_id: OrderId,
    /// Who had ordered.
    pub customer_id: Uuid,
    /// Identifies this return among those of the order, from 1.
    pub number: u32,
    /// What came back with this return.
    pub lines: Vec<LineQuantity>,
    /// Whether nothing of the order is with the customer any more.
    pub complete: bool,
    /// Why, in somebody's words, which may speak of the customer.
    pub reason: Personal<String>,
}

/// Why an order was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum CancellationReason {
    /// Somebody asked for it.
    Requested {
        /// In their words, which may speak of the customer.
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
    /// Who had ordered.
    pub customer_id: Uuid,
    /// Why.
    pub reason: CancellationReason,
}

/// Where an imported order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportedOrderStatus {
    /// Will be carried out.
    Confirmed,
    /// Everything was delivered.
    Fulfilled,
    /// Will not be carried out.
    Cancelled,
}

/// A line of an imported order: nothing about it is recomputed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedOrderLine {
    /// The line's key in the legacy system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_id: Option<String>,
    /// The article's code; may be empty.
    pub sku: String,
    /// What it is, for people.
    pub description: String,
    /// How many.
    pub quantity: Decimal,
    /// Unit of measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Price of one before tax.
    pub unit_price: Decimal,
    /// VAT rates in percent; usually one.
    #[serde(default)]
    pub vat_rates: Vec<Decimal>,
}

/// An order as a legacy system has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedOrder {
    /// Where it stands.
    pub status: ImportedOrderStatus,
    /// Why it is cancelled, where the legacy system took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_reason: Option<Personal<String>>,
    /// The number people know it by; an order cancelled early may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The customer's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Personal<String>>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// Free text on the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Personal<String>>,
    /// Who ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// ISO 4217 code.
    pub currency: String,
    /// What was ordered.
    #[serde(default)]
    pub lines: Vec<ImportedOrderLine>,
    /// Lines that only say something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments: Option<Personal<Vec<String>>>,
    /// Sum before tax, as the legacy system states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_net: Option<Decimal>,
    /// Sum of the taxes, as the legacy system states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_vat: Option<Decimal>,
    /// Sum with tax, as the legacy system states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Decimal>,
    /// What is irregular about it, in short words such as `foreign_currency`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// An order of a legacy system was seen for the first time. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderImported {
    /// The order.
    pub order_id: OrderId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says.
    pub state: ImportedOrder,
}

/// An imported order changed in the legacy system. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRevised {
    /// The order.
    pub order_id: OrderId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says now, in full.
    pub state: ImportedOrder,
    /// Which fields of it changed.
    pub changed: Vec<String>,
}
