//! Orders as the API shows them.

use chrono::{DateTime, NaiveDate, Utc};
use customers_contract::CustomerId;
use event_contract::{LegacyReference, Personal};
use orders_contract::{
    CancellationReason, ImportedOrder, ImportedOrderLine, ImportedOrderStatus, OrderId,
    OrderImported, OrderLine, OrderPlaced, OrderReturned,
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web_api::listing::start_of;
use web_api::{Legacy, Owner};

/// Status of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// The invoice is not paid yet.
    AwaitingPayment,
    /// The order is paid, or was confirmed before the payment.
    Confirmed,
    /// All lines were delivered. Some of the goods may be returned.
    Fulfilled,
    /// All goods are returned.
    Returned,
    /// The order is cancelled.
    Cancelled,
}

impl OrderStatus {
    /// Returns the name in the API and in the read model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingPayment => "awaiting_payment",
            Self::Confirmed => "confirmed",
            Self::Fulfilled => "fulfilled",
            Self::Returned => "returned",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<ImportedOrderStatus> for OrderStatus {
    fn from(status: ImportedOrderStatus) -> Self {
        match status {
            ImportedOrderStatus::Confirmed => Self::Confirmed,
            ImportedOrderStatus::Fulfilled => Self::Fulfilled,
            ImportedOrderStatus::Cancelled => Self::Cancelled,
        }
    }
}

/// Cause of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderCancellationCause)]
pub enum CancellationCause {
    /// The cancellation was requested.
    Requested,
    /// The payment was declined.
    PaymentDeclined,
    /// The payment did not arrive in time.
    PaymentExpired,
    /// The payment was cancelled.
    PaymentCancelled,
    /// The legacy system cancelled the order.
    Legacy,
}

/// The cancellation of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderCancellation)]
pub struct Cancellation {
    /// Cause of the cancellation.
    pub cause: CancellationCause,
    /// Reason as free text, from the request or the import; absent once it is erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

impl From<&CancellationReason> for Cancellation {
    fn from(reason: &CancellationReason) -> Self {
        match reason {
            CancellationReason::Requested { reason } => {
                Self { cause: CancellationCause::Requested, reason: reason.known().cloned() }
            }
            CancellationReason::PaymentDeclined => {
                Self { cause: CancellationCause::PaymentDeclined, reason: None }
            }
            CancellationReason::PaymentExpired => {
                Self { cause: CancellationCause::PaymentExpired, reason: None }
            }
            CancellationReason::PaymentCancelled => {
                Self { cause: CancellationCause::PaymentCancelled, reason: None }
            }
        }
    }
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderLine)]
pub struct LineView {
    /// The article's code; may be empty on imported orders.
    #[schema(example = "CH-1")]
    pub sku: String,
    /// Description of the article.
    #[schema(example = "Chaise")]
    pub description: String,
    /// Ordered quantity, with the decimals of the request or import.
    #[schema(value_type = String, example = "2")]
    pub quantity: Decimal,
    /// Unit of measure, if the legacy system has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub unit: Option<String>,
    /// Unit price before tax, in the order's currency, with the decimals of the request or import.
    #[schema(value_type = String, example = "49.90")]
    pub unit_price: Decimal,
    /// VAT rate in percent; only for orders placed in this system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "20")]
    pub vat_rate: Option<Decimal>,
    /// VAT rates in percent; only for imported orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Vec<String>>)]
    pub vat_rates: Option<Vec<Decimal>>,
    /// Returned quantity; absent if nothing is returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "1")]
    pub returned: Option<Decimal>,
    /// The line's key in the legacy system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub legacy_id: Option<String>,
}

impl From<&OrderLine> for LineView {
    fn from(line: &OrderLine) -> Self {
        Self {
            sku: line.sku.clone(),
            description: line.description.clone(),
            quantity: line.quantity,
            unit: None,
            unit_price: line.unit_price,
            vat_rate: Some(line.vat_rate),
            vat_rates: None,
            returned: None,
            legacy_id: None,
        }
    }
}

impl From<&ImportedOrderLine> for LineView {
    fn from(line: &ImportedOrderLine) -> Self {
        Self {
            sku: line.sku.clone(),
            description: line.description.clone(),
            quantity: line.quantity,
            unit: line.unit.clone(),
            unit_price: line.unit_price,
            vat_rate: None,
            vat_rates: Some(line.vat_rates.clone()),
            returned: None,
            legacy_id: line.legacy_id.clone(),
        }
    }
}

/// An order.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderView {
    /// The order's id.
    #[schema(value_type = Uuid)]
    pub id: OrderId,
    /// Status of the order.
    pub status: OrderStatus,
    /// Cancellation; absent if the order is not cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cancellation: Option<Cancellation>,
    /// Customer who placed the order. An imported order may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    pub customer_id: Option<CustomerId>,
    /// ISO 4217 currency code.
    #[schema(example = "EUR")]
    pub currency: String,
    /// Payment method, in the notation of the payment provider; only for orders placed in this system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "sandbox:ok")]
    pub payment_method: Option<String>,
    /// Ordered lines.
    pub lines: Vec<LineView>,
    /// Total before tax, rounded to the currency's minor unit if the order was placed in this system. An
    /// imported order may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "99.80")]
    pub total_net: Option<Decimal>,
    /// Total VAT. An imported order may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "19.96")]
    pub total_vat: Option<Decimal>,
    /// Total including VAT. An imported order may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "119.76")]
    pub total: Option<Decimal>,
    /// Order number of an imported order in the legacy system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub number: Option<String>,
    /// The customer's own reference on an imported order; absent once it is erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reference: Option<String>,
    /// Date of an imported order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub date: Option<NaiveDate>,
    /// Free text on an imported order; absent once it is erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub note: Option<String>,
    /// Texts of an imported order's comment lines, which have no article; absent once they are erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub comments: Option<Vec<String>>,
    /// System that owns the order.
    pub owner: Owner,
    /// Origin of an imported order in the legacy system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub legacy: Option<Legacy>,
    /// Time at which the order was placed. For an imported order, the start of its `date` in UTC or, without
    /// a date, the time of its first captured change.
    pub placed_at: DateTime<Utc>,
    /// Revision: the number of the order's last event, from 0. The `ETag` begins with it.
    #[schema(minimum = 0)]
    pub revision: u64,
}

/// Shows no content: notes and comments may contain personal data.
impl std::fmt::Debug for OrderView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("OrderView");
        fields.field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

impl OrderView {
    /// Returns the view of an order placed in this system.
    pub fn placed(order: &OrderPlaced, placed_at: DateTime<Utc>, revision: u64) -> Self {
        Self {
            id: order.order_id,
            status: OrderStatus::AwaitingPayment,
            cancellation: None,
            customer_id: Some(order.customer_id.into()),
            currency: order.currency.clone(),
            payment_method: Some(order.payment_method.clone()),
            lines: order.lines.iter().map(Into::into).collect(),
            total_net: Some(order.total_net),
            total_vat: Some(order.total_vat),
            total: Some(order.total),
            number: None,
            reference: None,
            date: None,
            note: None,
            comments: None,
            owner: Owner::Bascule,
            legacy: None,
            placed_at,
            revision,
        }
    }

    /// Returns the view with the returned quantities.
    #[must_use]
    pub fn returned(mut self, returned: &OrderReturned) -> Self {
        for (number, line) in (1_u32..).zip(&mut self.lines) {
            let back = returned.lines.iter().filter(|back| back.line == number);
            let back: Decimal = back.map(|back| back.quantity).sum();
            if !back.is_zero() {
                line.returned = Some(line.returned.unwrap_or_default() + back);
            }
        }
        let status = if returned.complete { OrderStatus::Returned } else { self.status };
        Self { status, ..self }
    }

    /// Returns whether the order contains free text, which may contain personal data.
    pub fn has_free_text(&self) -> bool {
        let reason =
            self.cancellation.as_ref().and_then(|cancellation| cancellation.reason.as_ref());
        let texts = [reason, self.reference.as_ref(), self.note.as_ref()];
        texts.iter().any(Option::is_some) || self.comments.is_some()
    }

    /// Returns the view without free text.
    #[must_use]
    pub fn without_free_text(self) -> Self {
        let without_reason = |cancellation| Cancellation { reason: None, ..cancellation };
        let cancellation = self.cancellation.map(without_reason);
        Self { cancellation, reference: None, note: None, comments: None, ..self }
    }

    /// Returns the view of an imported order.
    pub fn imported(order: &OrderImported, placed_at: DateTime<Utc>, revision: u64) -> Self {
        Self::of_legacy(order.order_id, &order.legacy, &order.state, placed_at, revision)
    }

    /// Returns the view of an order in this state of the legacy system.
    pub fn of_legacy(
        id: OrderId,
        legacy: &LegacyReference,
        state: &ImportedOrder,
        placed_at: DateTime<Utc>,
        revision: u64,
    ) -> Self {
        let status = state.status.into();
        let cancellation = (status == OrderStatus::Cancelled).then(|| Cancellation {
            cause: CancellationCause::Legacy,
            reason: known(state.cancelled_reason.as_ref()),
        });
        Self {
            id,
            status,
            cancellation,
            customer_id: state.customer_id.map(CustomerId::from),
            currency: state.currency.clone(),
            payment_method: None,
            lines: state.lines.iter().map(Into::into).collect(),
            total_net: state.total_net,
            total_vat: state.total_vat,
            total: state.total,
            number: state.number.clone(),
            reference: known(state.reference.as_ref()),
            date: state.date,
            note: known(state.note.as_ref()),
            comments: known(state.comments.as_ref()),
            owner: Owner::Legacy,
            legacy: Some(Legacy::new(legacy, &state.flags)),
            placed_at: state.date.map_or(placed_at, start_of),
            revision,
        }
    }
}

/// Returns the value, or `None` if there is none or it was erased.
fn known<T: Clone>(value: Option<&Personal<T>>) -> Option<T> {
    value.and_then(Personal::known).cloned()
}
