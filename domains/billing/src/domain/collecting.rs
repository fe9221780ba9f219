//! The collection of an invoice whose order is carried out before it is paid.

use billing_contract::{
    CollectionFailed, CollectionFailure, CollectionRequested, InvoiceDeferred, VoidReason,
};
use payments_contract::PaymentId;

use super::crediting::NewCreditNote;
use super::voiding::{VoidInvoice, void};
use super::{Account, Event, Invoice, Refusal};

/// A failed payment.
#[derive(Debug, Clone)]
pub struct FailedCollection {
    /// Failed payment.
    pub payment_id: PaymentId,
    /// Reason of the failure.
    pub cause: CollectionFailure,
    /// Credit note that voids the invoice, if the invoice does not stay due.
    pub note: NewCreditNote,
}

/// A request for a further payment.
#[derive(Debug, Clone)]
pub struct Collect {
    /// Payment method, in the payment provider's terms.
    pub payment_method: String,
}

/// Keeps the invoice due even if its payment fails.
pub(super) fn defer(invoice: &Invoice) -> Result<Vec<Event>, Refusal> {
    match invoice {
        Invoice::Issued(account) if !account.deferred => {
            let invoice = &account.invoice;
            let order_ids = invoice.order_ids.clone();
            Ok(vec![InvoiceDeferred { invoice_id: invoice.invoice_id, order_ids }.into()])
        }
        // No payment is awaited, or the invoice is deferred already.
        Invoice::Issued(_) | Invoice::Paid(_) | Invoice::Credited(_) | Invoice::Voided { .. } => {
            Ok(vec![])
        }
        Invoice::NotIssued => Err(Refusal::NoSuchInvoice),
        Invoice::CreditNote(_) => Err(Refusal::IsCreditNote),
        Invoice::OwnedByLegacy(_) => Err(Refusal::OwnedByLegacy),
    }
}

/// Voids an invoice whose order waits for the failed payment. If the order is carried out, the invoice
/// stays due.
pub(super) fn fail(invoice: &Invoice, failed: FailedCollection) -> Result<Vec<Event>, Refusal> {
    let FailedCollection { payment_id, cause, note } = failed;
    match invoice {
        Invoice::Issued(account) if stands(account) => {
            if account.collecting.is_none() {
                return Ok(vec![]);
            }
            let invoice_id = account.invoice.invoice_id;
            let payment_id = payment_id.as_uuid();
            Ok(vec![CollectionFailed { invoice_id, payment_id, cause }.into()])
        }
        // The payment was cancelled because nothing is due any more.
        Invoice::Credited(_) => Ok(vec![]),
        _ => void(invoice, VoidInvoice { reason: reason(cause), note }),
    }
}

/// Requests a further payment of the open amount.
pub(super) fn collect(invoice: &Invoice, request: Collect) -> Result<Vec<Event>, Refusal> {
    let account = match invoice {
        Invoice::Issued(account) => account,
        Invoice::Paid(_) => return Err(Refusal::AlreadyPaid),
        Invoice::Credited(_) | Invoice::Voided { .. } => return Err(Refusal::NothingOpen),
        Invoice::NotIssued => return Err(Refusal::NoSuchInvoice),
        Invoice::CreditNote(_) => return Err(Refusal::IsCreditNote),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    };
    if account.collecting.is_some() {
        return Err(Refusal::CollectionUnderWay);
    }
    let invoice = &account.invoice;
    Ok(vec![
        CollectionRequested {
            invoice_id: invoice.invoice_id,
            attempt: account.attempts + 1,
            customer_id: invoice.customer_id,
            amount: account.open(),
            currency: invoice.currency.clone(),
            payment_method: request.payment_method,
        }
        .into(),
    ])
}

/// Returns whether the invoice stays due even if its payment fails: its order does not wait for it.
pub(super) fn stands(account: &Account) -> bool {
    account.deferred || account.was_paid()
}

fn reason(cause: CollectionFailure) -> VoidReason {
    match cause {
        CollectionFailure::Declined => VoidReason::PaymentDeclined,
        CollectionFailure::Expired => VoidReason::PaymentExpired,
        CollectionFailure::Cancelled => VoidReason::PaymentCancelled,
    }
}
