//! The voiding of an invoice. The invoice is never deleted and keeps its number: a credit note over its
//! whole remaining amount takes it back (CGI article 289, I-5: a document that changes an invoice
//! refers to it and is itself an invoice).

use billing_contract::{
    CreditNoteIssued, InvoiceId, InvoiceIssued, InvoiceLine, InvoiceVoided, VatTotal, VoidReason,
};
use rust_decimal::Decimal;

use super::account::Credit;
use super::crediting::NewCreditNote;
use super::{DocumentNumber, Event, Invoice, Refusal, collecting};

/// An invoice to be voided.
#[derive(Debug, Clone)]
pub struct VoidInvoice {
    /// Reason of the voiding.
    pub reason: VoidReason,
    /// Credit note that voids the invoice, issued in the same unit of work.
    pub note: NewCreditNote,
}

/// A credit note to be issued.
#[derive(Debug, Clone)]
pub struct IssueCreditNote {
    /// Credit note.
    pub credit_note_id: InvoiceId,
    /// Number and day of issue.
    pub number: DocumentNumber,
    /// Credited invoice, as issued.
    pub of: InvoiceIssued,
    /// Credited part of the invoice.
    pub credit: Credit,
    /// Amount to be refunded to the customer.
    pub to_refund: Decimal,
}

/// Returns whether the reason is a failed payment.
pub(super) fn is_of_payment(reason: VoidReason) -> bool {
    match reason {
        VoidReason::PaymentDeclined | VoidReason::PaymentExpired | VoidReason::PaymentCancelled => {
            true
        }
        VoidReason::OrderCancelled | VoidReason::WrittenOff => false,
    }
}

pub(super) fn void(invoice: &Invoice, request: VoidInvoice) -> Result<Vec<Event>, Refusal> {
    let account = match (invoice, request.reason) {
        (Invoice::Issued(account), VoidReason::WrittenOff) => {
            if !collecting::stands(account) {
                return Err(Refusal::OrderAwaitsPayment);
            }
            account
        }
        (Invoice::Issued(account), _) | (Invoice::Paid(account), VoidReason::OrderCancelled) => {
            account
        }
        // The invoice holds the money of another payment.
        (Invoice::Paid(_), _) => return Err(Refusal::AlreadyPaid),
        // The first reason remains.
        (Invoice::Voided { .. }, _) => return Ok(vec![]),
        // Nothing remains to be taken back.
        (Invoice::Credited(_), _) => return Ok(vec![]),
        (Invoice::NotIssued, _) => return Err(Refusal::NoSuchInvoice),
        (Invoice::CreditNote(_), _) => return Err(Refusal::IsCreditNote),
        (Invoice::OwnedByLegacy(_), _) => return Err(Refusal::OwnedByLegacy),
    };
    let document = &account.invoice;
    Ok(vec![
        InvoiceVoided {
            invoice_id: document.invoice_id,
            order_ids: document.order_ids.clone(),
            credit_note_id: request.note.credit_note_id,
            credit_note_number: request.note.number,
            reason: request.reason,
        }
        .into(),
    ])
}

/// Returns the credit note that has to be issued together with events of an invoice, if there is one.
pub fn credit_note_for(
    before: &Invoice,
    events: &[Event],
    number: DocumentNumber,
) -> Option<IssueCreditNote> {
    let account = before.account()?;
    let mut to_refund = Decimal::ZERO;
    let mut credit = None;
    for event in events {
        match event {
            Event::Voided(voided) => {
                credit = Some((voided.credit_note_id, account.rest()));
                let mut after = account.clone();
                after.void(voided.credit_note_id);
                to_refund = after.overpaid();
            }
            Event::Credited(credited) => {
                let (lines, vat) = (credited.lines.clone(), credited.vat.clone());
                credit = Some((credited.credit_note_id, Credit { lines, vat }));
            }
            Event::RefundDue(due) => to_refund = due.amount,
            _ => {}
        }
    }
    let (credit_note_id, credit) = credit?;
    let of = account.invoice.clone();
    Some(IssueCreditNote { credit_note_id, number, of, credit, to_refund })
}

pub(super) fn credit(document: &Invoice, note: IssueCreditNote) -> Result<Vec<Event>, Refusal> {
    match document {
        Invoice::NotIssued => {}
        Invoice::Issued(_)
        | Invoice::Paid(_)
        | Invoice::Credited(_)
        | Invoice::Voided { .. }
        | Invoice::CreditNote(_) => return Err(Refusal::AlreadyIssued),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    }
    let IssueCreditNote { credit_note_id, number, of, credit, to_refund } = note;
    let lines = lines(&of, &credit);
    Ok(vec![
        CreditNoteIssued {
            invoice_id: credit_note_id,
            number: number.text,
            issue_date: number.issue_date,
            total_net: negative(credit.net()),
            total_vat: negative(credit.tax()),
            total: negative(credit.total()),
            vat: credit
                .vat
                .into_iter()
                .map(|tax| VatTotal {
                    rate: tax.rate,
                    base: negative(tax.base),
                    amount: negative(tax.amount),
                })
                .collect(),
            lines,
            credits: of.invoice_id,
            credits_number: of.number,
            order_ids: of.order_ids,
            customer_id: of.customer_id,
            bill_to: of.bill_to,
            currency: of.currency,
            to_refund: (!to_refund.is_zero()).then_some(to_refund),
        }
        .into(),
    ])
}

/// Returns the credited lines; one per VAT rate if the credit is over an amount.
fn lines(of: &InvoiceIssued, credit: &Credit) -> Vec<InvoiceLine> {
    if credit.lines.is_empty() {
        return credit.vat.iter().map(|rate| of_sum(of, rate)).collect();
    }
    let taken_back = credit.lines.iter().filter_map(|taken| {
        let line = of.lines.get(taken.line as usize - 1)?.clone();
        let (quantity, net) = (negative(taken.quantity), negative(taken.net));
        Some(InvoiceLine { quantity, net, ..line })
    });
    taken_back.collect()
}

fn of_sum(of: &InvoiceIssued, rate: &VatTotal) -> InvoiceLine {
    InvoiceLine {
        sku: String::new(),
        description: format!("Credit on invoice {}", of.number),
        quantity: Decimal::NEGATIVE_ONE,
        unit_price: rate.base,
        vat_rate: rate.rate.unwrap_or_default(),
        net: negative(rate.base),
    }
}

/// Returns the amount with the opposite sign. A zero stays `0.00`: a decimal can carry a sign on zero.
fn negative(amount: Decimal) -> Decimal {
    if amount.is_zero() { amount } else { -amount }
}
