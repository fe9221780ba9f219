//! Older versions of events: no longer written, read for ever.
//!
//! In version 1 reasons were stored in the clear, and events did not say whose payment it was.

use event_contract::Published;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{PaymentDeclined, PaymentId, RefundReason, RefundRequested};

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

impl From<RefundReasonV1> for RefundReason {
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

impl From<RefundRequestedV1> for RefundRequested {
    fn from(old: RefundRequestedV1) -> Self {
        let RefundRequestedV1 { payment_id, invoice_id, amount, currency, reason } = old;
        let customer_id = None;
        Self { payment_id, invoice_id, customer_id, amount, currency, reason: reason.into() }
    }
}
