//! What the payments module publishes: its events and ids, nothing else.
//!
//! Reasons in somebody's words are personal data of the customer who is to pay; where an event does not
//! name the customer, they are sealed for the payment.

use chrono::{DateTime, NaiveDate, Utc};
use event_contract::{LegacyReference, Personal};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

event_contract::published! {
    /// Every version of every event that this module publishes or ever published.
    pub const CATALOGUE;

    "payments.PaymentRequested.v1": PaymentRequested;
    "payments.PaymentCaptured.v1": PaymentCaptured;
    "payments.PaymentDeclined.v1": PaymentDeclined, about |event| event.customer_id;
    "payments.PaymentExpired.v1": PaymentExpired;
    "payments.PaymentCancelled.v1": PaymentCancelled;
    "payments.PaymentCapturedLate.v1": PaymentCapturedLate;
    "payments.RefundProposed.v1": RefundProposed, about |event| event.customer_id;
    "payments.RefundRequested.v1": RefundRequested, about |event| event.customer_id;
    "payments.RefundRefused.v1": RefundRefused;
    "payments.RefundFailed.v1": RefundFailed;
    "payments.RefundRetried.v1": RefundRetried;
    "payments.PaymentRefunded.v1": PaymentRefunded;
    "payments.PaymentImported.v1": PaymentImported,
        about |event| event.state.customer_id.unwrap_or(event.payment_id.as_uuid());
    "payments.PaymentRevised.v1": PaymentRevised,
        about |event| event.state.customer_id.unwrap_or(event.payment_id.as_uuid());
}

event_contract::id! {
    /// Identifies a payment.
    pub PaymentId of "payment";
    /// Identifies a refund.
    pub RefundId of "refund";
}

/// A payment was asked for; the provider is to be called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRequested {
    /// The payment.
    pub payment_id: PaymentId,
    /// The invoice to be settled.
    pub invoice_id: Uuid,
    /// What is to be paid.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// How, as the provider understands it.
    pub method: String,
    /// After this moment the payment is given up.
    pub deadline: DateTime<Utc>,
    /// Who is to pay.
    pub customer_id: Uuid,
}

/// The provider took the money in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCaptured {
    /// The payment.
    pub payment_id: PaymentId,
    /// The invoice it settles.
    pub invoice_id: Uuid,
    /// What was taken.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// The provider's own reference.
    pub provider_reference: String,
}

/// The provider refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentDeclined {
    /// The payment.
    pub payment_id: PaymentId,
    /// The invoice it was for.
    pub invoice_id: Uuid,
    /// Who was to pay.
    pub customer_id: Uuid,
    /// What the provider said.
    pub reason: Personal<String>,
}

/// The deadline passed; the provider confirmed that nothing was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentExpired {
    /// The payment.
    pub payment_id: PaymentId,
    /// The invoice it was for.
    pub invoice_id: Uuid,
}

/// The payment is no longer wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCancelled {
    /// The payment.
    pub payment_id: PaymentId,
    /// The invoice it was for.
    pub invoice_id: Uuid,
}

/// The provider turned out to have taken the money of a payment that was given up or cancelled. A
/// refund follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCapturedLate {
    /// The payment.
    pub payment_id: PaymentId,
    /// The invoice it was for.
    pub invoice_id: Uuid,
    /// What was taken.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// The provider's own reference.
    pub provider_reference: String,
}

/// A quantity of one of the invoice's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundLine {
    /// The line's place in the invoice, from 1.
    pub line: u32,
    /// How many of it.
    pub quantity: Decimal,
}

/// What somebody wants to be paid back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum RefundScope {
    /// All that is left.
    Rest,
    /// A sum with tax.
    Amount {
        /// In the payment's currency.
        amount: Decimal,
    },
    /// Some of what was invoiced.
    Lines {
        /// Of which lines how many.
        lines: Vec<RefundLine>,
    },
}

/// Somebody wants money of a payment to go back. Its credit note comes first: billing issues it and
/// says what goes back, or says why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundProposed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// The invoice that was paid.
    pub invoice_id: Uuid,
    /// Who paid.
    pub customer_id: Uuid,
    /// How much.
    pub scope: RefundScope,
    /// Why, in somebody's words, which may speak of the customer.
    pub reason: Personal<String>,
}

/// Why money goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum RefundReason {
    /// The invoice was voided.
    InvoiceVoided,
    /// A credit note took back some of the invoice.
    InvoiceCredited,
    /// The money was taken after the payment had been given up or cancelled.
    CapturedLate,
    /// Somebody asked for it.
    Requested {
        /// In their words, which may speak of the customer.
        reason: Personal<String>,
    },
}

/// The money is to go back; the provider is to be called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRequested {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// The invoice it was for.
    pub invoice_id: Uuid,
    /// Who paid.
    pub customer_id: Uuid,
    /// What is to go back.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// Why.
    pub reason: RefundReason,
    /// The credit note that it pays out, where billing asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_note_id: Option<Uuid>,
}

/// A proposed refund does not come about: no credit note can be issued over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRefused {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// Why, as a code such as `exceeds_invoice`.
    pub code: String,
}

/// The provider will not give the money back. It is still owed: somebody tries again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// Why, as the provider's code.
    pub code: String,
}

/// A refund that failed is tried again; the provider is to be called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRetried {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// What is to go back.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
}

/// The provider gave the money back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRefunded {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// The invoice it was for.
    pub invoice_id: Uuid,
    /// What went back.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// The provider's own reference of the refund.
    pub provider_reference: String,
}

/// Where an imported payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportedPaymentStatus {
    /// The money came.
    Captured,
    /// The legacy system took the payment back.
    Cancelled,
}

/// A payment as a legacy system has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedPayment {
    /// Where it stands.
    pub status: ImportedPaymentStatus,
    /// Why it was taken back, in words that may speak of the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_reason: Option<Personal<String>>,
    /// The invoice it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice_id: Option<Uuid>,
    /// Who paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// When it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// What came.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// Whether the legacy system has matched it with what it settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciled: Option<bool>,
    /// What is irregular about it, in short words such as `foreign_currency`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A payment of a legacy system was seen for the first time. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentImported {
    /// The payment.
    pub payment_id: PaymentId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says.
    pub state: ImportedPayment,
}

/// An imported payment changed in the legacy system. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRevised {
    /// The payment.
    pub payment_id: PaymentId,
    /// Where it comes from.
    pub legacy: LegacyReference,
    /// What the legacy system says now, in full.
    pub state: ImportedPayment,
    /// Which fields of it changed.
    pub changed: Vec<String>,
}
