//! A refund as the API shows it.

use billing_contract::InvoiceId;
use chrono::{DateTime, Utc};
use payments_contract::{PaymentId, RefundId, RefundReason};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::queries::refunds::RefundRow;

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Its credit note is to be issued, or the provider is to pay it out.
    Pending,
    /// The money is back.
    Done,
    /// The provider refuses. The money is still owed: retry it.
    Failed,
    /// No credit note could be issued over it, so that nothing goes back.
    Refused,
}

impl RefundStatus {
    /// Its name, as in the column and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// What led to a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundCause {
    /// Somebody asked for it.
    Requested,
    /// The invoice was voided.
    InvoiceVoided,
    /// Some of the invoice was credited, as of what was returned.
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

/// A line of the invoice that somebody wants to be paid back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefundedLine {
    /// The line's place in the invoice, from 1.
    #[schema(minimum = 1)]
    pub line: u32,
    /// How many of it.
    #[schema(value_type = String, example = "1")]
    pub quantity: Decimal,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Refund)]
pub struct RefundView {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: RefundId,
    /// The payment whose money goes back.
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
    /// How far it is.
    status: RefundStatus,
    /// What led to it.
    cause: RefundCause,
    /// How much goes back: the requested sum until the credit note is issued, then what it comes to. Absent
    /// while the rest or lines are requested and no credit note is issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = "decimal", example = "59.88")]
    amount: Option<Decimal>,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    currency: String,
    /// The lines of the invoice that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<RefundedLine>,
    /// The credit note that it pays out, where it was issued for this refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    credit_note_id: Option<InvoiceId>,
    /// The provider's own reference, once the money is back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<String>,
    /// Why it failed, as the provider's code, or was refused: `not_paid`, `exceeds_invoice`,
    /// `no_such_line`, `exceeds_line`, `nothing_to_credit`, `nothing_left`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<String>,
    /// When it was asked for.
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
