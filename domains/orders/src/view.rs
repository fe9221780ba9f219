//! An order as the API shows it.

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

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Its invoice is not paid yet.
    AwaitingPayment,
    /// Will be carried out.
    Confirmed,
    /// Everything was delivered. Some of it may have come back since.
    Fulfilled,
    /// Everything that was delivered came back.
    Returned,
    /// Will not be carried out.
    Cancelled,
}

impl OrderStatus {
    /// The name it has in the API and in the read model.
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

/// What led to a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderCancellationCause)]
pub enum CancellationCause {
    /// Somebody asked for it.
    Requested,
    /// The payment was declined.
    PaymentDeclined,
    /// The payment did not arrive in time.
    PaymentExpired,
    /// The payment was cancelled.
    PaymentCancelled,
    /// The legacy system says so.
    Legacy,
}

/// Why an order was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderCancellation)]
pub struct Cancellation {
    /// What led to it.
    pub cause: CancellationCause,
    /// In the words of the request, or of the import; absent when it was erased.
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

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderLine)]
pub struct LineView {
    /// The article's code; may be empty on imported orders.
    #[schema(example = "CH-1")]
    pub sku: String,
    /// What it is, for people.
    #[schema(example = "Chaise")]
    pub description: String,
    /// How many, with the decimals it was given with.
    #[schema(value_type = String, example = "2")]
    pub quantity: Decimal,
    /// Unit of measure, where the legacy system has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub unit: Option<String>,
    /// Price of one before tax, with the decimals it was given with.
    #[schema(value_type = String, example = "49.90")]
    pub unit_price: Decimal,
    /// VAT rate in percent, of orders placed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "20")]
    pub vat_rate: Option<Decimal>,
    /// VAT rates in percent, of imported orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Vec<String>>)]
    pub vat_rates: Option<Vec<Decimal>>,
    /// How many of it came back, once some did.
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
    /// Identifies the order.
    #[schema(value_type = Uuid)]
    pub id: OrderId,
    /// Where it stands.
    pub status: OrderStatus,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cancellation: Option<Cancellation>,
    /// Who ordered. An imported order may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    pub customer_id: Option<CustomerId>,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    pub currency: String,
    /// How it is to be paid, of orders placed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "sandbox:ok")]
    pub payment_method: Option<String>,
    /// What was ordered.
    pub lines: Vec<LineView>,
    /// Sum before tax, of an order placed here rounded to the currency's minor unit. An imported order may
    /// not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "99.80")]
    pub total_net: Option<Decimal>,
    /// Sum of the taxes. An imported order may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "19.96")]
    pub total_vat: Option<Decimal>,
    /// Sum to be paid. An imported order may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "119.76")]
    pub total: Option<Decimal>,
    /// The number people know an imported order by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub number: Option<String>,
    /// The customer's own reference on an imported order; absent when it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reference: Option<String>,
    /// The day an imported order was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub date: Option<NaiveDate>,
    /// Free text on an imported order; absent when it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub note: Option<String>,
    /// Lines of an imported order that only say something; absent when they were erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub comments: Option<Vec<String>>,
    /// Which system owns it.
    pub owner: Owner,
    /// Where an imported order comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub legacy: Option<Legacy>,
    /// When it was placed. Of an imported order the start of its `date` in UTC, or, where the legacy
    /// system does not say, when its first change was made that was captured.
    pub placed_at: DateTime<Utc>,
    /// Counts the events of this order from 0. The `ETag` begins with it.
    #[schema(minimum = 0)]
    pub revision: u64,
}

/// Shows nothing of its content: notes and comments may speak of people.
impl std::fmt::Debug for OrderView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("OrderView");
        fields.field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

impl OrderView {
    /// An order that was placed here.
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

    /// The same, with what came back.
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

    /// Whether it holds what somebody said in their own words.
    pub fn says_something(&self) -> bool {
        let reason =
            self.cancellation.as_ref().and_then(|cancellation| cancellation.reason.as_ref());
        let said = [reason, self.reference.as_ref(), self.note.as_ref()];
        said.iter().any(Option::is_some) || self.comments.is_some()
    }

    /// The same, without what people said in it.
    pub fn silenced(self) -> Self {
        let without_words = |cancellation| Cancellation { reason: None, ..cancellation };
        let cancellation = self.cancellation.map(without_words);
        Self { cancellation, reference: None, note: None, comments: None, ..self }
    }

    /// An order of a legacy system.
    pub fn imported(order: &OrderImported, placed_at: DateTime<Utc>, revision: u64) -> Self {
        Self::of_legacy(order.order_id, &order.legacy, &order.state, placed_at, revision)
    }

    /// An order as the legacy system has it now.
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

/// The value, unless there is none or it was erased.
fn known<T: Clone>(value: Option<&Personal<T>>) -> Option<T> {
    value.and_then(Personal::known).cloned()
}
