//! Money that goes back, always in full.

use event_contract::Personal;
use payments_contract::{PaymentRefunded, RefundReason, RefundRequested};

use super::{Event, Payment, Refusal, Taken};

/// Somebody wants the money back. Asking twice changes nothing.
pub(super) fn ask_back(payment: &Payment, reason: Personal<String>) -> Result<Vec<Event>, Refusal> {
    match payment {
        Payment::Captured(taken) => Ok(vec![give_back(taken, RefundReason::Requested { reason })]),
        Payment::RefundPending(_) | Payment::Refunded(_) => Ok(vec![]),
        Payment::Pending(_) => Err(Refusal::NothingToRefund("pending")),
        Payment::Declined(_) => Err(Refusal::NothingToRefund("declined")),
        Payment::Expired(_) => Err(Refusal::NothingToRefund("expired")),
        Payment::Cancelled(_) => Err(Refusal::NothingToRefund("cancelled")),
        Payment::NotRequested => Err(Refusal::NoSuchPayment),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
    }
}

/// The provider gave the money back.
pub(super) fn record(payment: &Payment, reference: String) -> Result<Vec<Event>, Refusal> {
    match payment {
        Payment::RefundPending(Taken { request, .. }) => Ok(vec![
            PaymentRefunded {
                payment_id: request.payment_id,
                invoice_id: request.invoice_id,
                amount: request.amount,
                currency: request.currency.clone(),
                provider_reference: reference,
            }
            .into(),
        ]),
        Payment::Refunded(_) => Ok(vec![]),
        Payment::Captured(_)
        | Payment::Pending(_)
        | Payment::Declined(_)
        | Payment::Expired(_)
        | Payment::Cancelled(_) => Err(Refusal::NoRefundRequested),
        Payment::NotRequested => Err(Refusal::NoSuchPayment),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
    }
}

/// The whole sum is to go back.
pub(super) fn give_back(Taken { request, .. }: &Taken, reason: RefundReason) -> Event {
    RefundRequested {
        payment_id: request.payment_id,
        invoice_id: request.invoice_id,
        customer_id: request.customer_id,
        amount: request.amount,
        currency: request.currency.clone(),
        reason,
    }
    .into()
}
