//! Money that comes and goes on an invoice.

use billing_contract::{InvoiceIssued, InvoicePaid, InvoiceRefunded};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Event, Invoice, Refusal, Settlement};

/// Money that came.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The payment.
    pub payment_id: Uuid,
    /// What came.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
}

/// Money that went back.
#[derive(Debug, Clone)]
pub struct Repayment {
    /// The payment it came with.
    pub payment_id: Uuid,
    /// What went back.
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
}

pub(super) fn pay(invoice: &Invoice, receipt: Receipt) -> Result<Vec<Event>, Refusal> {
    let document = match invoice {
        Invoice::Issued(document) | Invoice::Refunded(document) => document,
        // Told twice, paid once.
        Invoice::Paid(_, paid) if paid.payment_id == receipt.payment_id => return Ok(vec![]),
        Invoice::Paid(..) => return Err(Refusal::PaidByAnother),
        Invoice::Voided { .. } => return Err(Refusal::AlreadyVoided),
        Invoice::NotIssued => return Err(Refusal::NoSuchInvoice),
        Invoice::CreditNote(_) => return Err(Refusal::IsCreditNote),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    };
    let Receipt { payment_id, amount, currency } = receipt;
    whole_sum(document, document.total, amount, &currency)?;
    Ok(vec![
        InvoicePaid {
            invoice_id: document.invoice_id,
            order_ids: document.order_ids.clone(),
            payment_id,
            amount,
        }
        .into(),
    ])
}

pub(super) fn refund(invoice: &Invoice, repayment: Repayment) -> Result<Vec<Event>, Refusal> {
    let (document, held) = match invoice {
        Invoice::Paid(document, held) => (document, held),
        Invoice::Voided { invoice: document, held: Some(held) } => (document, held),
        // The money came too late to be recorded as paid, or has gone back already.
        Invoice::Voided { held: None, .. } | Invoice::Refunded(_) => return Ok(vec![]),
        Invoice::Issued(_) => return Err(Refusal::NotPaid),
        Invoice::NotIssued => return Err(Refusal::NoSuchInvoice),
        Invoice::CreditNote(_) => return Err(Refusal::IsCreditNote),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    };
    let Settlement { payment_id, amount } = *held;
    // Another payment's money never was on this invoice: it does not go from it either.
    if payment_id != repayment.payment_id {
        return Err(Refusal::PaidByAnother);
    }
    whole_sum(document, amount, repayment.amount, &repayment.currency)?;
    Ok(vec![InvoiceRefunded { invoice_id: document.invoice_id, payment_id, amount }.into()])
}

fn whole_sum(
    document: &InvoiceIssued,
    expected: Decimal,
    found: Decimal,
    currency: &str,
) -> Result<(), Refusal> {
    if expected == found && document.currency == currency {
        return Ok(());
    }
    Err(Refusal::AmountDiffers {
        expected: format!("{expected} {}", document.currency),
        found: format!("{found} {currency}"),
    })
}
