//! Older versions of events: no longer written, read for ever.
//!
//! In version 2 of a refund's request a payment had one refund, in full, without an id of its own.
//!
//! In version 1 reasons were stored in the clear, and events did not say whose payment it was.

use event_contract::{Personal, Published, Upcaster};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{PaymentDeclined, PaymentId, RefundId, RefundReason, RefundRequested};

/// Version 1 of [`PaymentDeclined`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentDeclinedV1 {
    /// The payment.
    pub payment_id: PaymentId,
    /// The invoice it was for.
    pub invoice_id: Uuid,
    /// What the provider said.
    pub reason: String,
}

impl Published for PaymentDeclinedV1 {
    const TYPE: &'static str = "payments.PaymentDeclined.v1";
}

impl From<PaymentDeclinedV1> for PaymentDeclined {
    fn from(old: PaymentDeclinedV1) -> Self {
        let PaymentDeclinedV1 { payment_id, invoice_id, reason } = old;
        Self { payment_id, invoice_id, customer_id: None, reason: reason.into() }
    }
}

/// [`RefundReason`] as version 1 of [`RefundRequested`] had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum RefundReasonV1 {
    /// The invoice was voided.
    InvoiceVoided,
    /// The money was taken after the payment had been given up or cancelled.
    CapturedLate,
    /// Somebody asked for it.
    Requested {
        /// In their words.
        reason: String,
    },
}

impl From<RefundReasonV1> for RefundReasonV2 {
    fn from(old: RefundReasonV1) -> Self {
        match old {
            RefundReasonV1::InvoiceVoided => Self::InvoiceVoided,
            RefundReasonV1::CapturedLate => Self::CapturedLate,
            RefundReasonV1::Requested { reason } => Self::Requested { reason: reason.into() },
        }
    }
}

/// Version 1 of [`RefundRequested`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRequestedV1 {
    /// The payment.
    pub payment_id: PaymentId,
    /// The invoice it was for.
    pub invoice_id: Uuid,
    /// What is to go back.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// Why.
    pub reason: RefundReasonV1,
}

impl Published for RefundRequestedV1 {
    const TYPE: &'static str = "payments.RefundRequested.v1";
}

impl From<RefundRequestedV1> for RefundRequestedV2 {
    fn from(old: RefundRequestedV1) -> Self {
        let RefundRequestedV1 { payment_id, invoice_id, amount, currency, reason } = old;
        let customer_id = None;
        Self { payment_id, invoice_id, customer_id, amount, currency, reason: reason.into() }
    }
}

/// [`RefundReason`] as version 2 of [`RefundRequested`] had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum RefundReasonV2 {
    /// The invoice was voided.
    InvoiceVoided,
    /// The money was taken after the payment had been given up or cancelled.
    CapturedLate,
    /// Somebody asked for it.
    Requested {
        /// In their words, which may speak of the customer.
        reason: Personal<String>,
    },
}

impl From<RefundReasonV2> for RefundReason {
    fn from(old: RefundReasonV2) -> Self {
        match old {
            RefundReasonV2::InvoiceVoided => Self::InvoiceVoided,
            RefundReasonV2::CapturedLate => Self::CapturedLate,
            RefundReasonV2::Requested { reason } => Self::Requested { reason },
        }
    }
}

/// Version 2 of [`RefundRequested`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRequestedV2 {
    /// The payment.
    pub payment_id: PaymentId,
    /// The invoice it was for.
    pub invoice_id: Uuid,
    /// Who paid, where the request says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// What is to go back.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// Why.
    pub reason: RefundReasonV2,
}

impl Published for RefundRequestedV2 {
    const TYPE: &'static str = "payments.RefundRequested.v2";
    const UPCASTER: Option<Upcaster<Self>> = Some(Upcaster::from::<RefundRequestedV1>());
    fn data_subject(&self) -> Option<Uuid> {
        Some(self.customer_id.unwrap_or(self.payment_id))
    }
}

/// The id of the one refund that a payment had before refunds had ids.
pub fn only_refund_of(payment_id: PaymentId) -> RefundId {
    Uuid::new_v5(&payment_id, b"refund")
}

impl From<RefundRequestedV2> for RefundRequested {
    fn from(old: RefundRequestedV2) -> Self {
        let RefundRequestedV2 { payment_id, invoice_id, customer_id, amount, currency, reason } =
            old;
        let refund_id = only_refund_of(payment_id);
        Self {
            payment_id,
            refund_id,
            invoice_id,
            customer_id,
            amount,
            currency,
            reason: reason.into(),
            credit_note_id: None,
        }
    }
}
