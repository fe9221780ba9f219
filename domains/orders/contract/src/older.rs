//! Older versions of events: no longer written, read for ever.
//!
//! In version 2 of a cancellation a payment could not be cancelled.
//!
//! In version 1 the reasons for a cancellation and the customer's own reference were stored in the
//! clear, and a cancellation did not say whose order it was.

use chrono::NaiveDate;
use event_contract::{LegacyReference, Personal, Published, Upcaster};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    CancellationReason, ImportedOrder, ImportedOrderLine, ImportedOrderStatus, OrderCancelled,
    OrderId, OrderImported, OrderRevised,
};

/// [`CancellationReason`] as version 1 of [`OrderCancelled`] had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum CancellationReasonV1 {
    /// Somebody asked for it.
    Requested {
        /// In their words.
        reason: String,
    },
    /// The payment was declined.
    PaymentDeclined,
    /// The payment did not arrive in time.
    PaymentExpired,
}

impl From<CancellationReasonV1> for CancellationReasonV2 {
    fn from(old: CancellationReasonV1) -> Self {
        match old {
            CancellationReasonV1::Requested { reason } => Self::Requested { reason: reason.into() },
            CancellationReasonV1::PaymentDeclined => Self::PaymentDeclined,
            CancellationReasonV1::PaymentExpired => Self::PaymentExpired,
        }
    }
}

/// Version 1 of [`OrderCancelled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCancelledV1 {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub reason: CancellationReasonV1,
}

impl Published for OrderCancelledV1 {
    const TYPE: &'static str = "orders.OrderCancelled.v1";
}

/// [`CancellationReason`] as version 2 of [`OrderCancelled`] had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum CancellationReasonV2 {
    /// Somebody asked for it.
    Requested {
        /// In their words, which may speak of the customer.
        reason: Personal<String>,
    },
    /// The payment was declined.
    PaymentDeclined,
    /// The payment did not arrive in time.
    PaymentExpired,
}

impl From<CancellationReasonV2> for CancellationReason {
    fn from(old: CancellationReasonV2) -> Self {
        match old {
            CancellationReasonV2::Requested { reason } => Self::Requested { reason },
            CancellationReasonV2::PaymentDeclined => Self::PaymentDeclined,
            CancellationReasonV2::PaymentExpired => Self::PaymentExpired,
        }
    }
}

/// Version 2 of [`OrderCancelled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCancelledV2 {
    /// The order.
    pub order_id: OrderId,
    /// Who had ordered; not stated where it was stored as version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// Why.
    pub reason: CancellationReasonV2,
}

impl Published for OrderCancelledV2 {
    const TYPE: &'static str = "orders.OrderCancelled.v2";
    const UPCASTER: Option<Upcaster<Self>> = Some(Upcaster::from::<OrderCancelledV1>());
    fn data_subject(&self) -> Option<Uuid> {
        self.customer_id
    }
}

impl From<OrderCancelledV2> for OrderCancelled {
    fn from(old: OrderCancelledV2) -> Self {
        let OrderCancelledV2 { order_id, customer_id, reason } = old;
        Self { order_id, customer_id, reason: reason.into() }
    }
}

impl From<OrderCancelledV1> for OrderCancelledV2 {
    fn from(OrderCancelledV1 { order_id, reason }: OrderCancelledV1) -> Self {
        Self { order_id, customer_id: None, reason: reason.into() }
    }
}

/// [`ImportedOrder`] as version 1 of the events had it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedOrderV1 {
    /// Where it stands.
    pub status: ImportedOrderStatus,
    /// Why it is cancelled, where the legacy system took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_reason: Option<String>,
    /// The number people know it by; an order cancelled early may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The customer's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
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

impl From<ImportedOrderV1> for ImportedOrder {
    fn from(old: ImportedOrderV1) -> Self {
        Self {
            status: old.status,
            cancelled_reason: old.cancelled_reason.map(Personal::Known),
            number: old.number,
            reference: old.reference.map(Personal::Known),
            date: old.date,
            note: old.note,
            customer_id: old.customer_id,
            currency: old.currency,
            lines: old.lines,
            comments: old.comments,
            total_net: old.total_net,
            total_vat: old.total_vat,
            total: old.total,
            flags: old.flags,
        }
    }
}

/// Version 1 of [`OrderImported`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderImportedV1 {
    /// The order.
    pub order_id: OrderId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system said.
    pub state: ImportedOrderV1,
}

impl Published for OrderImportedV1 {
    const TYPE: &'static str = "orders.OrderImported.v1";
    fn data_subject(&self) -> Option<Uuid> {
        Some(self.state.customer_id.unwrap_or(self.order_id))
    }
}

impl From<OrderImportedV1> for OrderImported {
    fn from(OrderImportedV1 { order_id, legacy, state }: OrderImportedV1) -> Self {
        Self { order_id, legacy, state: state.into() }
    }
}

/// Version 1 of [`OrderRevised`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRevisedV1 {
    /// The order.
    pub order_id: OrderId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system said then, in full.
    pub state: ImportedOrderV1,
    /// Which fields of it changed.
    pub changed: Vec<String>,
}

impl Published for OrderRevisedV1 {
    const TYPE: &'static str = "orders.OrderRevised.v1";
    fn data_subject(&self) -> Option<Uuid> {
        Some(self.state.customer_id.unwrap_or(self.order_id))
    }
}

impl From<OrderRevisedV1> for OrderRevised {
    fn from(old: OrderRevisedV1) -> Self {
        let OrderRevisedV1 { order_id, legacy, state, changed } = old;
        Self { order_id, legacy, state: state.into(), changed }
    }
}
