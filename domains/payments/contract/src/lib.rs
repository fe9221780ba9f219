//! The events and ids that the payments module publishes, and nothing else.
//!
//! Reasons in free text are personal data of the customer. If an event does not name the customer, a
//! key of the payment encrypts them.

use chrono::{DateTime, NaiveDate, Utc};
use event_contract::{LegacyReference, Personal};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

event_contract::published! {
    /// Every version of every event that this module publishes or has published.
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

/// A payment was requested; the reactor calls the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRequested {
    /// Payment.
    pub payment_id: PaymentId,
    /// Invoice to be settled.
    pub invoice_id: Uuid,
    /// Amount to be collected.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Payment method, in the provider's terms.
    pub method: String,
    /// Moment after which the payment expires.
    pub deadline: DateTime<Utc>,
    /// Customer who owes the invoice.
    pub customer_id: Uuid,
}

/// The provider captured the money in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCaptured {
    /// Payment.
    pub payment_id: PaymentId,
    /// Invoice that the payment settles.
    pub invoice_id: Uuid,
    /// Captured amount.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// The provider's reference of the capture.
    pub provider_reference: String,
}

/// The provider declined the payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentDeclined {
    /// Payment.
    pub payment_id: PaymentId,
    /// Invoice that was to be settled.
    pub invoice_id: Uuid,
    /// Customer who owes the invoice.
    pub customer_id: Uuid,
    /// Reason stated by the provider.
    pub reason: Personal<String>,
}

/// The deadline passed, and the provider confirmed that it captured nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentExpired {
    /// Payment.
    pub payment_id: PaymentId,
    /// Invoice that was to be settled.
    pub invoice_id: Uuid,
}

/// A payment was cancelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCancelled {
    /// Payment.
    pub payment_id: PaymentId,
    /// Invoice that was to be settled.
    pub invoice_id: Uuid,
}

/// The provider captured the money of a payment that had expired, been declined or been cancelled. A
/// refund follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCapturedLate {
    /// Payment.
    pub payment_id: PaymentId,
    /// Invoice that was to be settled.
    pub invoice_id: Uuid,
    /// Captured amount.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// The provider's reference of the capture.
    pub provider_reference: String,
}

/// A quantity of one invoice line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundLine {
    /// Number of the invoice line, counted from 1.
    pub line: u32,
    /// Quantity.
    pub quantity: Decimal,
}

/// What a refund covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum RefundScope {
    /// Everything that remains.
    Rest,
    /// An amount including tax.
    Amount {
        /// Amount in the payment's currency.
        amount: Decimal,
    },
    /// Quantities of invoice lines.
    Lines {
        /// Lines and their quantities.
        lines: Vec<RefundLine>,
    },
}

/// A refund was proposed. Billing issues its credit note first and publishes the amount due, or denies
/// the refund.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundProposed {
    /// Payment.
    pub payment_id: PaymentId,
    /// Refund.
    pub refund_id: RefundId,
    /// Invoice that the payment settled.
    pub invoice_id: Uuid,
    /// Customer who paid.
    pub customer_id: Uuid,
    /// Extent of the refund.
    pub scope: RefundScope,
    /// Reason in free text; it may mention the customer.
    pub reason: Personal<String>,
}

/// The cause of a refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum RefundReason {
    /// The invoice was voided.
    InvoiceVoided,
    /// A credit note took back part of the invoice.
    InvoiceCredited,
    /// The provider captured the money after the payment had expired, been declined or been cancelled.
    CapturedLate,
    /// The refund was requested.
    Requested {
        /// Reason in free text; it may mention the customer.
        reason: Personal<String>,
    },
}

/// A refund is due; the reactor calls the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRequested {
    /// Payment.
    pub payment_id: PaymentId,
    /// Refund.
    pub refund_id: RefundId,
    /// Invoice of the payment.
    pub invoice_id: Uuid,
    /// Customer who paid.
    pub customer_id: Uuid,
    /// Amount to be refunded.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Cause of the refund.
    pub reason: RefundReason,
    /// Credit note that the refund pays out; absent if billing did not ask for the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_note_id: Option<Uuid>,
}

/// A proposed refund was refused, because billing cannot issue a credit note over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRefused {
    /// Payment.
    pub payment_id: PaymentId,
    /// Refund.
    pub refund_id: RefundId,
    /// Code of the reason, such as `exceeds_invoice`.
    pub code: String,
}

/// The provider refused a refund. The money is still owed until the refund is retried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundFailed {
    /// Payment.
    pub payment_id: PaymentId,
    /// Refund.
    pub refund_id: RefundId,
    /// The provider's code of the reason.
    pub code: String,
}

/// A failed refund is retried; the reactor calls the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRetried {
    /// Payment.
    pub payment_id: PaymentId,
    /// Refund.
    pub refund_id: RefundId,
    /// Amount to be refunded.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
}

/// The provider refunded the money.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRefunded {
    /// Payment.
    pub payment_id: PaymentId,
    /// Refund.
    pub refund_id: RefundId,
    /// Invoice of the payment.
    pub invoice_id: Uuid,
    /// Refunded amount.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// The provider's reference of the refund.
    pub provider_reference: String,
}

/// The status of an imported payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportedPaymentStatus {
    /// The money arrived.
    Captured,
    /// The legacy system cancelled the payment.
    Cancelled,
}

/// A payment in a legacy system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedPayment {
    /// Status of the payment.
    pub status: ImportedPaymentStatus,
    /// Reason of the cancellation in free text; it may mention the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_reason: Option<Personal<String>>,
    /// Invoice that the payment settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice_id: Option<Uuid>,
    /// Customer who paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// Day of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// Amount paid.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Whether the legacy system has matched the payment with what it settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciled: Option<bool>,
    /// Codes of irregularities, such as `foreign_currency`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A payment of a legacy system was imported. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentImported {
    /// Payment.
    pub payment_id: PaymentId,
    /// Origin in the legacy system.
    pub legacy: LegacyReference,
    /// State in the legacy system.
    pub state: ImportedPayment,
}

/// An imported payment changed in the legacy system. For projections only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRevised {
    /// Payment.
    pub payment_id: PaymentId,
    /// Origin in the legacy system.
    pub legacy: LegacyReference,
    /// Complete state in the legacy system after the change.
    pub state: ImportedPayment,
    /// Names of the fields that changed.
    pub changed: Vec<String>,
}
