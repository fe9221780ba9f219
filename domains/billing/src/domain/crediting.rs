//! Credit notes over part of an invoice, for returns and proposed refunds. By law a credit note is an
//! invoice and refers to the one that it changes (CGI article 289, I-5). [`kernel::money::crediting`]
//! computes base and tax.

use std::collections::BTreeMap;

use billing_contract::{
    CreditReason, CreditedLine, DenialReason, InvoiceCredited, InvoiceId, RefundDenied, RefundDue,
};
use kernel::money::crediting::{over_base, over_sum};
use kernel::money::{Currency, RateTotal, TooLarge, exact};
use payments_contract::{PaymentId, RefundId, RefundLine, RefundScope};
use rust_decimal::Decimal;

use super::account::{Account, Credit, vat_total};
use super::{Event, Invoice, Refusal};

/// The id and number of a credit note that may be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCreditNote {
    /// Credit note.
    pub credit_note_id: InvoiceId,
    /// Number of the credit note.
    pub number: String,
}

/// A return to be credited.
#[derive(Debug, Clone)]
pub struct CreditReturn {
    /// Returned quantities of invoice lines.
    pub lines: Vec<RefundLine>,
    /// Whether the customer has returned everything.
    pub complete: bool,
    /// Credit note over the return.
    pub note: NewCreditNote,
    /// Refund, if money has to be refunded.
    pub refund_id: RefundId,
}

/// A proposed refund to be credited.
#[derive(Debug, Clone)]
pub struct CreditRefund {
    /// Payment to be refunded.
    pub payment_id: PaymentId,
    /// Refund.
    pub refund_id: RefundId,
    /// Extent of the refund.
    pub scope: RefundScope,
    /// Credit note over the refund.
    pub note: NewCreditNote,
}

/// The reason why a credit cannot be computed.
enum CreditError {
    Denied(DenialReason),
    TooLarge,
}

impl From<TooLarge> for CreditError {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

/// Credits a return as far as it is not credited yet: goods that were refunded before their return are
/// not credited twice.
pub(super) fn credit_return(
    invoice: &Invoice,
    request: CreditReturn,
) -> Result<Vec<Event>, Refusal> {
    let account = match invoice {
        Invoice::Issued(account) | Invoice::Paid(account) => account,
        Invoice::Credited(_) | Invoice::Voided { .. } => return Ok(vec![]),
        Invoice::NotIssued => return Err(Refusal::NoSuchInvoice),
        Invoice::CreditNote(_) => return Err(Refusal::IsCreditNote),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    };
    let CreditReturn { lines, complete, note, refund_id } = request;
    let credit = if complete {
        account.rest()
    } else {
        let available = |line: &RefundLine| {
            let (left, _) = account.line_left(line.line)?;
            let quantity = line.quantity.min(left);
            (!quantity.is_zero()).then_some(RefundLine { line: line.line, quantity })
        };
        let lines: Vec<RefundLine> = lines.iter().filter_map(available).collect();
        over_lines(account, &lines, Excess::IsLeftOut).map_err(|error| match error {
            CreditError::Denied(_) => Refusal::NoSuchLine,
            CreditError::TooLarge => Refusal::TotalTooLarge,
        })?
    };
    if credit.total().is_zero() {
        return Ok(vec![]);
    }
    Ok(credited(account, credit, CreditReason::OrderReturned, note, refund_id))
}

/// Credits a proposed refund, or denies it.
pub(super) fn credit_refund(
    invoice: &Invoice,
    request: CreditRefund,
) -> Result<Vec<Event>, Refusal> {
    let CreditRefund { payment_id, refund_id, scope, note } = request;
    let account = match invoice {
        Invoice::Issued(account)
        | Invoice::Paid(account)
        | Invoice::Credited(account)
        | Invoice::Voided { account, .. } => account,
        Invoice::NotIssued => return Err(Refusal::NoSuchInvoice),
        Invoice::CreditNote(_) => return Err(Refusal::IsCreditNote),
        Invoice::OwnedByLegacy(_) => return Err(Refusal::OwnedByLegacy),
    };
    let outcome = match invoice {
        Invoice::Paid(_) if account.payment_id == Some(payment_id) => cut(account, &scope),
        Invoice::Credited(_) | Invoice::Voided { .. } => {
            Err(CreditError::Denied(DenialReason::ExceedsInvoice))
        }
        _ => Err(CreditError::Denied(DenialReason::NotPaid)),
    };
    match outcome {
        Ok(credit) if credit.total().is_zero() => {
            Ok(vec![denied(account, payment_id, refund_id, DenialReason::NothingToCredit)])
        }
        Ok(credit) => Ok(credited(account, credit, CreditReason::RefundRequested, note, refund_id)),
        Err(CreditError::Denied(reason)) => {
            Ok(vec![denied(account, payment_id, refund_id, reason)])
        }
        Err(CreditError::TooLarge) => Err(Refusal::TotalTooLarge),
    }
}

fn denied(
    account: &Account,
    payment_id: PaymentId,
    refund_id: RefundId,
    reason: DenialReason,
) -> Event {
    RefundDenied {
        invoice_id: account.invoice.invoice_id,
        payment_id: payment_id.as_uuid(),
        refund_id: refund_id.as_uuid(),
        reason,
    }
    .into()
}

fn credited(
    account: &Account,
    credit: Credit,
    reason: CreditReason,
    note: NewCreditNote,
    refund_id: RefundId,
) -> Vec<Event> {
    let invoice = &account.invoice;
    let amount = credit.total();
    let event = InvoiceCredited {
        invoice_id: invoice.invoice_id,
        order_ids: invoice.order_ids.clone(),
        credit_note_id: note.credit_note_id,
        credit_note_number: note.number,
        reason,
        lines: credit.lines,
        vat: credit.vat,
        amount,
        due: account.due() - amount,
    };
    let mut after = account.clone();
    after.credit(&event);
    let mut events = vec![event.into()];
    events.extend(refund_due(&after, refund_id, Some(note.credit_note_id)));
    events
}

/// Returns the refund that is due now, if there is one.
pub(super) fn refund_due(
    account: &Account,
    refund_id: RefundId,
    credit_note_id: Option<InvoiceId>,
) -> Option<Event> {
    let amount = account.overpaid();
    let payment_id = account.payment_id.filter(|_| !amount.is_zero())?;
    let due = RefundDue {
        invoice_id: account.invoice.invoice_id,
        payment_id: payment_id.as_uuid(),
        refund_id: refund_id.as_uuid(),
        credit_note_id,
        amount,
        currency: account.invoice.currency.clone(),
    };
    Some(due.into())
}

fn cut(account: &Account, scope: &RefundScope) -> Result<Credit, CreditError> {
    match scope {
        RefundScope::Rest => Ok(account.rest()),
        RefundScope::Amount { amount } if *amount == account.due() => Ok(account.rest()),
        RefundScope::Amount { amount } => sum(account, *amount),
        RefundScope::Lines { lines } => over_lines(account, lines, Excess::IsDenied),
    }
}

fn sum(account: &Account, amount: Decimal) -> Result<Credit, CreditError> {
    if amount > account.due() {
        return Err(CreditError::Denied(DenialReason::ExceedsInvoice));
    }
    let vat = over_sum(&account.rates_left(), amount, currency(account)?)?;
    Ok(Credit { lines: Vec::new(), vat: vat.into_iter().map(vat_total).collect() })
}

/// The treatment of lines whose amount exceeds what earlier credit notes over amounts left of a VAT
/// rate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excess {
    IsDenied,
    IsLeftOut,
}

fn over_lines(
    account: &Account,
    wanted: &[RefundLine],
    excess: Excess,
) -> Result<Credit, CreditError> {
    let currency = currency(account)?;
    let mut lines: Vec<CreditedLine> = Vec::with_capacity(wanted.len());
    let mut bases: BTreeMap<Decimal, Decimal> = BTreeMap::new();
    for RefundLine { line, quantity } in wanted.iter().copied() {
        let left = account.line_left(line).ok_or(CreditError::Denied(DenialReason::NoSuchLine))?;
        let taken = lines.iter().filter(|one| one.line == line);
        let (quantity_left, net_left) =
            taken.fold(left, |(quantity, net), taken| (quantity - taken.quantity, net - taken.net));
        if quantity > quantity_left {
            return Err(CreditError::Denied(DenialReason::ExceedsLine));
        }
        let invoiced = &account.invoice.lines[line as usize - 1];
        let net = if quantity == quantity_left {
            net_left
        } else {
            let exact =
                exact::product(quantity, invoiced.unit_price).ok_or(CreditError::TooLarge)?;
            currency.round(exact)?.min(net_left)
        };
        *bases.entry(invoiced.vat_rate.normalize()).or_default() += net;
        lines.push(CreditedLine { line, quantity, net });
    }
    let mut vat: Vec<RateTotal> = Vec::with_capacity(bases.len());
    for left in account.rates_left() {
        let Some(base) = bases.get(&left.rate).copied() else { continue };
        if base > left.base {
            if excess == Excess::IsDenied {
                return Err(CreditError::Denied(DenialReason::ExceedsInvoice));
            }
            // The credit no longer covers whole lines.
            lines.clear();
        }
        vat.push(over_base(left, base, currency)?);
    }
    Ok(Credit { lines, vat: vat.into_iter().map(vat_total).collect() })
}

fn currency(account: &Account) -> Result<Currency, CreditError> {
    // Invoices are issued only in known currencies.
    Currency::from_code(&account.invoice.currency).ok_or(CreditError::TooLarge)
}
