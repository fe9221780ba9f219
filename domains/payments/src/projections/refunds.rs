//! The read model of refunds: one row per refund, folded from its payment's events.

use billing_contract::InvoiceId;
use database::{DatabaseError, Transaction};
use kernel::event::RecordedEvent;
use payments_contract::{PaymentRefunded, RefundId, RefundProposed, RefundRequested, RefundScope};

use crate::domain::Event;
use crate::queries::payments::PaymentRow;
use crate::queries::refunds::{self, RefundDetails, RefundRow};
use crate::view::{RefundCause, RefundStatus, RefundedLine};

/// Maintains the row of the refund that an event is about. Returns that row, if there is one.
pub(super) async fn project(
    transaction: &mut Transaction,
    payment: &PaymentRow,
    event: &Event,
    recorded: &RecordedEvent,
) -> Result<Option<RefundRow>, DatabaseError> {
    let Some(id) = refund_of(event) else { return Ok(None) };
    let known = refunds::find(&mut *transaction, payment.id, id).await?;
    let mut row = known.unwrap_or_else(|| begun(id, payment, event, recorded));
    apply(&mut row, event);
    row.revision = recorded.revision;
    refunds::upsert(transaction, &row).await?;
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

/// Returns a new row. A proposed refund keeps its cause, although a credit note makes it due.
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
