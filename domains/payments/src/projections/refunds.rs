//! The read model of refunds: one row per refund, folded from its payment's events.

use billing_contract::InvoiceId;
use chrono::{DateTime, Utc};
use database::{DatabaseError, Transaction};
use kernel::event::RecordedEvent;
use payments_contract::{
    PaymentId, PaymentRefunded, RefundId, RefundProposed, RefundReason, RefundRequested,
    RefundScope,
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::Event;
use crate::queries::{PaymentRow, refund, upsert_refund};

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RefundStatus)]
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
#[schema(as = RefundCause)]
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
#[schema(as = RefundedLine)]
pub struct RefundedLine {
    /// The line's place in the invoice, from 1.
    #[schema(minimum = 1)]
    pub line: u32,
    /// How many of it.
    #[schema(value_type = String, example = "1")]
    pub quantity: Decimal,
}

/// What of a refund is neither filtered nor sorted by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefundDetails {
    /// What led to it.
    pub cause: RefundCause,
    /// How much; none while the rest or lines are requested and no credit note is issued.
    pub amount: Option<Decimal>,
    /// ISO 4217 code.
    pub currency: String,
    /// The lines that were asked for.
    pub lines: Vec<RefundedLine>,
    /// The credit note that it pays out.
    pub credit_note_id: Option<InvoiceId>,
    /// The provider's own reference.
    pub reference: Option<String>,
    /// Why it failed or was refused.
    pub code: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
}

/// A refund as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct RefundRow {
    /// Its id.
    pub id: RefundId,
    /// The payment.
    pub payment_id: PaymentId,
    /// Where its first event stands in the log.
    pub position: u64,
    /// The payment's revision at which it changed last.
    pub revision: u64,
    /// How far it is.
    pub status: RefundStatus,
    /// Everything else about it.
    pub details: RefundDetails,
}

/// Keeps the row of the refund that an event is about, if it is about one: that row.
pub(super) async fn project(
    transaction: &mut Transaction,
    payment: &PaymentRow,
    event: &Event,
    recorded: &RecordedEvent,
) -> Result<Option<RefundRow>, DatabaseError> {
    let Some(id) = refund_of(event) else { return Ok(None) };
    let known = refund(&mut *transaction, payment.id, id).await?;
    let mut row = known.unwrap_or_else(|| begun(id, payment, event, recorded));
    apply(&mut row, event);
    row.revision = recorded.revision;
    upsert_refund(transaction, &row).await?;
    Ok(Some(row))
}

fn refund_of(event: &Event) -> Option<RefundId> {
    match event {
        Event::RefundProposed(event) => Some(event.refund_id),
        Event::RefundRequested(event) => Some(event.refund_id),
        Event::RefundRefused(event) => Some(event.refund_id),
        Event::RefundFailed(event) => Some(event.refund_id),
        Event::RefundRetried(event) => Some(event.refund_id),
        Event::Refunded(event) => Some(event.refund_id),
        Event::Requested(_)
        | Event::Captured(_)
        | Event::Declined(_)
        | Event::Expired(_)
        | Event::Cancelled(_)
        | Event::CapturedLate(_)
        | Event::Imported(_)
        | Event::Revised(_) => None,
    }
}

/// A new row. What somebody proposed stays so, though it is a credit note that makes it due.
fn begun(id: RefundId, payment: &PaymentRow, event: &Event, recorded: &RecordedEvent) -> RefundRow {
    let cause = match event {
        Event::RefundRequested(refund) => (&refund.reason).into(),
        _ => RefundCause::Requested,
    };
    RefundRow {
        id,
        payment_id: payment.id,
        position: recorded.position,
        revision: recorded.revision,
        status: RefundStatus::Pending,
        details: RefundDetails {
            cause,
            amount: None,
            currency: payment.details.currency.clone(),
            lines: Vec::new(),
            credit_note_id: None,
            reference: None,
            code: None,
            requested_at: recorded.metadata.occurred_at,
        },
    }
}

fn apply(row: &mut RefundRow, event: &Event) {
    let details = &mut row.details;
    match event {
        Event::RefundProposed(RefundProposed { scope, .. }) => match scope {
            RefundScope::Rest => {}
            RefundScope::Amount { amount } => details.amount = Some(*amount),
            RefundScope::Lines { lines } => {
                let lines = lines.iter();
                details.lines = lines
                    .map(|line| RefundedLine { line: line.line, quantity: line.quantity })
                    .collect();
            }
        },
        Event::RefundRequested(RefundRequested { amount, credit_note_id, .. }) => {
            row.status = RefundStatus::Pending;
            details.amount = Some(*amount);
            details.credit_note_id = credit_note_id.map(InvoiceId::from);
        }
        Event::RefundRefused(refused) => {
            row.status = RefundStatus::Refused;
            details.code = Some(refused.code.clone());
        }
        Event::RefundFailed(failed) => {
            row.status = RefundStatus::Failed;
            details.code = Some(failed.code.clone());
        }
        Event::RefundRetried(_) => {
            row.status = RefundStatus::Pending;
            details.code = None;
        }
        Event::Refunded(PaymentRefunded { amount, provider_reference, .. }) => {
            row.status = RefundStatus::Done;
            details.code = None;
            details.amount = Some(*amount);
            details.reference = Some(provider_reference.clone());
        }
        _ => {}
    }
}
