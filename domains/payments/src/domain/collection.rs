//! The course of a payment from its request to the provider's final answer.

use event_contract::Personal;
use kernel::decider::Context;
use payments_contract::{
    PaymentCancelled, PaymentCaptured, PaymentCapturedLate, PaymentDeclined, PaymentExpired,
    PaymentRequested, RefundReason,
};

use super::{Event, Payment, Refusal, Taken};

/// Requests a payment. Repeating the same request changes nothing.
pub(super) fn request(payment: &Payment, request: PaymentRequested) -> Result<Vec<Event>, Refusal> {
    match payment {
        Payment::NotRequested => Ok(vec![request.into()]),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
        Payment::Pending(known)
        | Payment::Declined(known)
        | Payment::Expired(known)
        | Payment::Cancelled(known)
        | Payment::Captured(Taken { request: known, .. }) => {
            if *known == request {
                Ok(vec![])
            } else {
                Err(Refusal::AlreadyRequested)
            }
        }
    }
}

/// Cancels a payment that the provider has not decided yet.
pub(super) fn cancel(payment: &Payment) -> Result<Vec<Event>, Refusal> {
    match payment {
        Payment::Pending(request) => Ok(vec![cancelled(request)]),
        Payment::Cancelled(_) => Ok(vec![]), // asking twice changes nothing
        Payment::Captured(taken) if taken.left().is_zero() => Err(Refusal::AlreadyRefunded),
        Payment::Captured(_) => Err(Refusal::AlreadyCaptured),
        Payment::Declined(_) => Err(Refusal::AlreadyOver("declined")),
        Payment::Expired(_) => Err(Refusal::AlreadyOver("expired")),
        Payment::NotRequested => Err(Refusal::NoSuchPayment),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
    }
}

/// Cancels or refunds a payment, because its invoice was voided.
pub(super) fn withdraw(payment: &Payment) -> Result<Vec<Event>, Refusal> {
    match payment {
        Payment::Pending(request) => Ok(vec![cancelled(request)]),
        Payment::Captured(taken) => {
            Ok(taken.give_back_rest(RefundReason::InvoiceVoided).into_iter().collect())
        }
        // No money was captured.
        Payment::Declined(_) | Payment::Expired(_) | Payment::Cancelled(_) => Ok(vec![]),
        Payment::NotRequested => Err(Refusal::NoSuchPayment),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
    }
}

/// Cancels a pending payment, because nothing is due any more. Captured money is refunded when billing
/// asks for it.
pub(super) fn call_off(payment: &Payment) -> Result<Vec<Event>, Refusal> {
    match payment {
        Payment::Captured(_) => Ok(vec![]),
        other => withdraw(other),
    }
}

/// Records a capture. Money captured before the payment expired counts, even after the deadline; later
/// it is refunded.
pub(super) fn record_capture(payment: &Payment, reference: String) -> Result<Vec<Event>, Refusal> {
    match payment {
        Payment::Pending(request) => Ok(vec![
            PaymentCaptured {
                payment_id: request.payment_id,
                invoice_id: request.invoice_id,
                amount: request.amount,
                currency: request.currency.clone(),
                provider_reference: reference,
            }
            .into(),
        ]),
        Payment::Expired(request) | Payment::Cancelled(request) | Payment::Declined(request) => {
            let taken = Taken::new(request.clone(), reference);
            let refund = taken.give_back_rest(RefundReason::CapturedLate);
            Ok(std::iter::once(captured_late(&taken)).chain(refund).collect())
        }
        Payment::Captured(taken) => {
            // The provider may report the capture twice: in its answer and in a later enquiry.
            if taken.reference == reference { Ok(vec![]) } else { Err(Refusal::AnotherCapture) }
        }
        Payment::NotRequested => Err(Refusal::NoSuchPayment),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
    }
}

/// Records that the provider declined the payment.
pub(super) fn record_decline(
    payment: &Payment,
    reason: Personal<String>,
) -> Result<Vec<Event>, Refusal> {
    match payment {
        Payment::Pending(request) => Ok(vec![
            PaymentDeclined {
                payment_id: request.payment_id,
                invoice_id: request.invoice_id,
                customer_id: request.customer_id,
                reason,
            }
            .into(),
        ]),
        // Nothing was captured, as recorded before.
        Payment::Declined(_) | Payment::Expired(_) | Payment::Cancelled(_) => Ok(vec![]),
        Payment::Captured(_) => Err(Refusal::AlreadyCaptured),
        Payment::NotRequested => Err(Refusal::NoSuchPayment),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
    }
}

/// Expires a payment whose deadline has passed.
pub(super) fn expire(payment: &Payment, context: &Context) -> Result<Vec<Event>, Refusal> {
    match payment {
        Payment::Pending(request) if context.now < request.deadline => {
            Err(Refusal::NotDueYet { deadline: request.deadline })
        }
        Payment::Pending(request) => Ok(vec![
            PaymentExpired { payment_id: request.payment_id, invoice_id: request.invoice_id }
                .into(),
        ]),
        Payment::Declined(_) | Payment::Expired(_) | Payment::Cancelled(_) => Ok(vec![]),
        Payment::Captured(_) => Err(Refusal::AlreadyCaptured),
        Payment::NotRequested => Err(Refusal::NoSuchPayment),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
    }
}

fn cancelled(request: &PaymentRequested) -> Event {
    PaymentCancelled { payment_id: request.payment_id, invoice_id: request.invoice_id }.into()
}

fn captured_late(Taken { request, reference, .. }: &Taken) -> Event {
    PaymentCapturedLate {
        payment_id: request.payment_id,
        invoice_id: request.invoice_id,
        amount: request.amount,
        currency: request.currency.clone(),
        provider_reference: reference.clone(),
    }
    .into()
}
