//! Payments and refunds of an invoice.

use billing_contract::{CreditNoteSettled, InvoiceId, InvoicePaid, InvoiceRefunded};
use payments_contract::{PaymentId, RefundId};
use rust_decimal::Decimal;

use super::crediting::refund_due;
use super::{Account, Event, Invoice, Refusal};

/// A received payment.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Payment.
    pub payment_id: PaymentId,
    /// Received amount.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Refund, if the payment exceeds the amount due.
    pub refund_id: RefundId,
    /// Whether the provider captured the money after the payment was over; payments refunds it on its
    /// own.
    pub is_late: bool,
}

/// A refund that was paid out.
#[derive(Debug, Clone)]
pub struct Repayment {
    /// Refunded payment.
    pub payment_id: PaymentId,
    /// Refund.
    pub refund_id: RefundId,
    /// Refunded amount.
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: String,
}

/// The settlement of a credit note whose money was refunded.
#[derive(Debug, Clone)]
pub struct SettleCreditNote {
    /// Credit note.
    pub credit_note_id: InvoiceId,
    /// Payment through which the money was refunded.
    pub payment_id: PaymentId,
}

/// Records a payment of exactly the requested amount. If credit notes reduced the amount due in the
/// meantime, the excess is refunded.
pub(super) fn pay(invoice: &Invoice, receipt: Receipt) -> Result<Vec<Event>, Refusal> {
    if let Invoice::Voided { account, .. } = invoice {
        return receive_after_voiding(account, receipt);
    }
    let Receipt { payment_id, amount, currency, refund_id, is_late } = receipt;
    if is_late {
        // Late money never settles a valid invoice: another payment may.
        return Ok(vec![]);
    }
    let account = match invoice {
        // The payment was recorded before.
        Invoice::Issued(account) | Invoice::Paid(account) | Invoice::Credited(account)
            if account.payment_id == Some(payment_id) =>
        {
            return Ok(vec![]);
        }
        Invoice::Issued(account) => account,
        Invoice::Credited(account) if account.collecting.is_some() => account,
        Invoice::Paid(_) | Invoice::Credited(_) => return Err(Refusal::PaidByAnother),
        Invoice::NotIssued | Invoice::Voided { .. } => return Err(Refusal::NoSuchInvoice),
        Invoice::CreditNote(_) => return Err(Refusal::IsCreditNote),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    };
    let expected = account.collecting.unwrap_or_else(|| account.open());
    if amount != expected || currency != account.invoice.currency {
        return Err(differs(account, expected, amount, &currency));
    }
    let paid = paid(account, payment_id, amount);
    let mut after = account.clone();
    after.receive(&paid);
    let mut events = vec![paid.into()];
    events.extend(refund_due(&after, refund_id, None));
    Ok(events)
}

/// Records money for a voided invoice: it is owed to the customer until payments has refunded it.
fn receive_after_voiding(account: &Account, receipt: Receipt) -> Result<Vec<Event>, Refusal> {
    let Receipt { payment_id, amount, currency, .. } = receipt;
    if account.payment_id == Some(payment_id) {
        return Ok(vec![]);
    }
    if !account.held().is_zero() {
        return Err(Refusal::AlreadyVoided);
    }
    if currency != account.invoice.currency {
        return Err(differs(account, account.invoice.total, amount, &currency));
    }
    Ok(vec![paid(account, payment_id, amount).into()])
}

fn paid(account: &Account, payment_id: PaymentId, amount: Decimal) -> InvoicePaid {
    InvoicePaid {
        invoice_id: account.invoice.invoice_id,
        order_ids: account.invoice.order_ids.clone(),
        payment_id: payment_id.as_uuid(),
        amount,
    }
}

pub(super) fn refund(invoice: &Invoice, repayment: Repayment) -> Result<Vec<Event>, Refusal> {
    let account = match invoice {
        Invoice::Issued(account) if !account.was_paid() => return Err(Refusal::NotPaid),
        Invoice::Issued(account)
        | Invoice::Paid(account)
        | Invoice::Credited(account)
        | Invoice::Voided { account, .. } => account,
        Invoice::NotIssued => return Err(Refusal::NoSuchInvoice),
        Invoice::CreditNote(_) => return Err(Refusal::IsCreditNote),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    };
    let held = account.held();
    // The money was captured too late to be recorded as paid, or was refunded before.
    if held.is_zero() {
        return Ok(vec![]);
    }
    let Repayment { payment_id, refund_id, amount, currency } = repayment;
    // The money of another payment was never on this invoice.
    if account.payment_id != Some(payment_id) {
        return Err(Refusal::PaidByAnother);
    }
    if amount > held || currency != account.invoice.currency {
        return Err(differs(account, held, amount, &currency));
    }
    Ok(vec![
        InvoiceRefunded {
            invoice_id: account.invoice.invoice_id,
            payment_id: payment_id.as_uuid(),
            amount,
            refund_id: refund_id.as_uuid(),
        }
        .into(),
    ])
}

/// Records that the money of a credit note was refunded.
pub(super) fn settle(note: &Invoice, request: SettleCreditNote) -> Result<Vec<Event>, Refusal> {
    match note {
        Invoice::CreditNote(note) if note.settled => Ok(vec![]),
        Invoice::CreditNote(_) => {
            let SettleCreditNote { credit_note_id: invoice_id, payment_id } = request;
            let payment_id = payment_id.as_uuid();
            Ok(vec![CreditNoteSettled { invoice_id, payment_id }.into()])
        }
        Invoice::OwnedByLegacy(_) => Err(Refusal::OwnedByLegacy),
        _ => Err(Refusal::NoSuchInvoice),
    }
}

fn differs(account: &Account, expected: Decimal, found: Decimal, currency: &str) -> Refusal {
    Refusal::AmountDiffers {
        expected: format!("{expected} {}", account.invoice.currency),
        found: format!("{found} {currency}"),
    }
}
