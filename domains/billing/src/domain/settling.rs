//! Money that comes and goes on an invoice.

use billing_contract::{CreditNoteSettled, InvoiceId, InvoicePaid, InvoiceRefunded};
use payments_contract::{PaymentId, RefundId};
use rust_decimal::Decimal;

use super::crediting::refund_due;
use super::{Account, Event, Invoice, Refusal};

/// Money that came.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The payment.
    pub payment_id: PaymentId,
    /// What came.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// The refund, should more have come than is due.
    pub refund_id: RefundId,
    /// Whether the payment was over when the money came: payments gives it back.
    pub is_late: bool,
}

/// Money that went back.
#[derive(Debug, Clone)]
pub struct Repayment {
    /// The payment it came with.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// What went back.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
}

/// The money of a credit note went back.
#[derive(Debug, Clone)]
pub struct SettleCreditNote {
    /// The credit note.
    pub credit_note_id: InvoiceId,
    /// The payment that the money went back by.
    pub payment_id: PaymentId,
}

/// The sum that was asked for settles the invoice. What credit notes took off meanwhile is too much
/// then and has to go back.
pub(super) fn pay(invoice: &Invoice, receipt: Receipt) -> Result<Vec<Event>, Refusal> {
    if let Invoice::Voided { account, .. } = invoice {
        return receive_in_vain(account, receipt);
    }
    let Receipt { payment_id, amount, currency, refund_id, is_late } = receipt;
    if is_late {
        // It never counts for an invoice that stands: another payment may.
        return Ok(vec![]);
    }
    let account = match invoice {
        // Told twice, paid once.
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

/// Money that came though the invoice no longer stands: it is owed until payments has given it back.
fn receive_in_vain(account: &Account, receipt: Receipt) -> Result<Vec<Event>, Refusal> {
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
    // The money came too late to be recorded as paid, or has gone back already.
    if held.is_zero() {
        return Ok(vec![]);
    }
    let Repayment { payment_id, refund_id, amount, currency } = repayment;
    // Another payment's money never was on this invoice: it does not go from it either.
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

/// Records that a credit note's money went back.
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
