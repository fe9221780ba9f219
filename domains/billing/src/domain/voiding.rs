//! Voiding an invoice. It is never deleted and keeps its number: a credit note over its whole sum
//! takes it back (CGI article 289, I-5: a document that changes an invoice refers to it and is
//! itself an invoice).

use billing_contract::{
    CreditNoteIssued, InvoiceId, InvoiceIssued, InvoiceLine, InvoiceVoided, VatTotal, VoidReason,
};
use rust_decimal::Decimal;

use super::{DocumentNumber, Event, Invoice, Refusal};

/// Why an invoice is voided, and by which credit note.
#[derive(Debug, Clone)]
pub struct VoidInvoice {
    /// Why.
    pub reason: VoidReason,
    /// The credit note that voids it, issued together with this.
    pub credit_note_id: InvoiceId,
    /// That credit note's number.
    pub credit_note_number: String,
}

/// The credit note to be issued.
#[derive(Debug, Clone)]
pub struct CreditNote {
    /// The credit note.
    pub credit_note_id: InvoiceId,
    /// Its number and day.
    pub number: DocumentNumber,
    /// The invoice it voids, as that was issued.
    pub voids: InvoiceIssued,
}

pub(super) fn void(invoice: &Invoice, request: VoidInvoice) -> Result<Vec<Event>, Refusal> {
    let document = match (invoice, request.reason) {
        (Invoice::Issued(document) | Invoice::Refunded(document), _) => document,
        (Invoice::Paid(document, _), VoidReason::OrderCancelled) => document,
        // The money is there: that a payment failed as well changes nothing.
        (Invoice::Paid(..), VoidReason::PaymentDeclined | VoidReason::PaymentExpired) => {
            return Err(Refusal::AlreadyPaid);
        }
        // The first reason stands.
        (Invoice::Voided { .. }, _) => return Ok(vec![]),
        (Invoice::NotIssued, _) => return Err(Refusal::NoSuchInvoice),
        (Invoice::CreditNote(_), _) => return Err(Refusal::IsCreditNote),
        (Invoice::OwnedByLegacy(_), _) => return Err(Refusal::OwnedByLegacy),
    };
    Ok(vec![
        InvoiceVoided {
            invoice_id: document.invoice_id,
            order_ids: document.order_ids.clone(),
            credit_note_id: request.credit_note_id,
            credit_note_number: request.credit_note_number,
            reason: request.reason,
        }
        .into(),
    ])
}

pub(super) fn credit(document: &Invoice, note: CreditNote) -> Result<Vec<Event>, Refusal> {
    match document {
        Invoice::NotIssued => {}
        Invoice::Issued(_)
        | Invoice::Paid(..)
        | Invoice::Refunded(_)
        | Invoice::Voided { .. }
        | Invoice::CreditNote(_) => return Err(Refusal::AlreadyIssued),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    }
    let CreditNote { credit_note_id, number, voids } = note;
    Ok(vec![
        CreditNoteIssued {
            invoice_id: credit_note_id,
            number: number.text,
            issue_date: number.issue_date,
            credits: voids.invoice_id,
            credits_number: voids.number,
            order_ids: voids.order_ids,
            customer_id: voids.customer_id,
            bill_to: voids.bill_to,
            currency: voids.currency,
            lines: voids.lines.into_iter().map(taken_back).collect(),
            total_net: negative(voids.total_net),
            vat: voids
                .vat
                .into_iter()
                .map(|tax| VatTotal {
                    rate: tax.rate,
                    base: negative(tax.base),
                    amount: negative(tax.amount),
                })
                .collect(),
            total_vat: negative(voids.total_vat),
            total: negative(voids.total),
        }
        .into(),
    ])
}

fn taken_back(line: InvoiceLine) -> InvoiceLine {
    InvoiceLine { quantity: negative(line.quantity), net: negative(line.net), ..line }
}

/// Zero stays `0.00`: a decimal can carry a sign on zero, which nobody wants to read.
fn negative(amount: Decimal) -> Decimal {
    if amount.is_zero() { amount } else { -amount }
}
