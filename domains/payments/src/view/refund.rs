//! A refund as the API shows it.

use billing_contract::InvoiceId;
use chrono::{DateTime, Utc};
use payments_contract::{PaymentId, RefundId, RefundReason};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::queries::refunds::RefundRow;

/// The status of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Billing has to issue the credit note, or the provider has to refund the money.
    Pending,
    /// The money was refunded.
    Done,
    /// The provider refused. The money is still owed: retry the refund.
    Failed,
    /// Billing could not issue a credit note, so nothing is refunded.
    Refused,
}

impl RefundStatus {
    /// Returns the name in the API and in the read model.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// The cause of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundCause {
    /// The refund was requested.
    Requested,
    /// The invoice was voided.
    InvoiceVoided,
    /// Part of the invoice was credited, for example after a return.
    InvoiceCredited,
    /// The money was captured after the payment was over.
    CapturedLate,
}

impl From<&RefundReason> for RefundCause {
    fn from(reason: &RefundReason) -> Self {
        match reason {
            RefundReason::Requested { .. } => Self::Requested,
            RefundReason::InvoiceVoided => Self::InvoiceVoided,
            RefundReason::InvoiceCredited => Self::InvoiceCredited,
            RefundReason::CapturedLate => Self::CapturedLate,
        }
    }
}

/// An invoice line to be refunded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefundedLine {
    /// Number of the invoice line, counted from 1.
    #[schema(minimum = 1)]
    pub line: u32,
    /// Quantity.
    #[schema(value_type = String, example = "1")]
    pub quantity: Decimal,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Refund)]
pub struct RefundView {
    /// Id of the refund.
    #[schema(value_type = Uuid)]
    id: RefundId,
    /// Refunded payment.
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
    /// Status of the refund.
    status: RefundStatus,
    /// Cause of the refund.
    cause: RefundCause,
    /// Amount of the refund: the requested amount until the credit note is issued, then the credited
    /// one. Absent while a refund of the rest or of lines has no credit note.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = "decimal", example = "59.88")]
    amount: Option<Decimal>,
    /// ISO 4217 currency code.
    #[schema(example = "EUR")]
    currency: String,
    /// Requested lines of the invoice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<RefundedLine>,
    /// Credit note that the refund pays out, if it was issued for this refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    credit_note_id: Option<InvoiceId>,
    /// The provider's reference of the refund, once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<String>,
    /// Code of the reason why the refund failed (the provider's code) or was refused: `not_paid`,
    /// `exceeds_invoice`, `no_such_line`, `exceeds_line`, `nothing_to_credit`, `nothing_left`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<String>,
    /// Time of the request.
    requested_at: DateTime<Utc>,
}

impl From<RefundRow> for RefundView {
    fn from(row: RefundRow) -> Self {
        let details = row.details;
        Self {
            id: row.id,
            payment_id: row.payment_id,
            status: row.status,
            cause: details.cause,
            amount: details.amount,
            currency: details.currency,
            lines: details.lines,
            credit_note_id: details.credit_note_id,
            reference: details.reference,
            code: details.code,
            requested_at: details.requested_at,
        }
    }
}
