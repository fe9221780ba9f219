//! Taking back some of an invoice that still stands: what was returned, or what somebody wants to be
//! paid back. The credit note is an invoice before the law and refers to the one it changes (CGI
//! article 289, I-5); how base and tax are cut stands in [`kernel::money::crediting`].

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

/// The credit note that would be issued: its id and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCreditNote {
    /// The credit note.
    pub credit_note_id: InvoiceId,
    /// Its number.
    pub number: String,
}

/// What was delivered came back.
#[derive(Debug, Clone)]
pub struct CreditReturn {
    /// Of which lines of the invoice how many.
    pub lines: Vec<RefundLine>,
    /// Whether nothing is with the customer any more.
    pub complete: bool,
    /// The credit note over it.
    pub note: NewCreditNote,
    /// The refund, should money have to go back.
    pub refund_id: RefundId,
}

/// Somebody wants to be paid back.
#[derive(Debug, Clone)]
pub struct CreditRefund {
    /// The payment whose money is to go back.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// How much.
    pub scope: RefundScope,
    /// The credit note over it.
    pub note: NewCreditNote,
}

/// Why a credit cannot be cut out of an invoice.
enum Uncut {
    Denied(DenialReason),
    TooLarge,
}

impl From<TooLarge> for Uncut {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

/// Credits what came back, as far as it is not credited already: whoever was paid back before the
/// goods came is not paid twice.
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
        over_lines(account, &lines, Beyond::IsLeftOut).map_err(|uncut| match uncut {
            Uncut::Denied(_) => Refusal::NoSuchLine,
            Uncut::TooLarge => Refusal::TotalTooLarge,
        })?
    };
    if credit.total().is_zero() {
        return Ok(vec![]);
    }
    Ok(credited(account, credit, CreditReason::OrderReturned, note, refund_id))
}

/// Credits what somebody wants to be paid back, or says why not.
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
            Err(Uncut::Denied(DenialReason::ExceedsInvoice))
        }
        _ => Err(Uncut::Denied(DenialReason::NotPaid)),
    };
    match outcome {
        Ok(credit) if credit.total().is_zero() => {
            Ok(vec![denied(account, payment_id, refund_id, DenialReason::NothingToCredit)])
        }
        Ok(credit) => Ok(credited(account, credit, CreditReason::RefundRequested, note, refund_id)),
        Err(Uncut::Denied(reason)) => Ok(vec![denied(account, payment_id, refund_id, reason)]),
        Err(Uncut::TooLarge) => Err(Refusal::TotalTooLarge),
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

/// What has to go back now, if anything.
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

fn cut(account: &Account, scope: &RefundScope) -> Result<Credit, Uncut> {
    match scope {
        RefundScope::Rest => Ok(account.rest()),
        RefundScope::Amount { amount } if *amount == account.due() => Ok(account.rest()),
        RefundScope::Amount { amount } => sum(account, *amount),
        RefundScope::Lines { lines } => over_lines(account, lines, Beyond::IsDenied),
    }
}

fn sum(account: &Account, amount: Decimal) -> Result<Credit, Uncut> {
    if amount > account.due() {
        return Err(Uncut::Denied(DenialReason::ExceedsInvoice));
    }
    let vat = over_sum(&account.rates_left(), amount, currency(account)?)?;
    Ok(Credit { lines: Vec::new(), vat: vat.into_iter().map(vat_total).collect() })
}

/// What becomes of lines that come to more than what earlier credit notes over sums left of a rate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    IsDenied,
    IsLeftOut,
}

fn over_lines(account: &Account, wanted: &[RefundLine], beyond: Beyond) -> Result<Credit, Uncut> {
    let currency = currency(account)?;
    let mut lines: Vec<CreditedLine> = Vec::with_capacity(wanted.len());
    let mut bases: BTreeMap<Decimal, Decimal> = BTreeMap::new();
    for RefundLine { line, quantity } in wanted.iter().copied() {
        let left = account.line_left(line).ok_or(Uncut::Denied(DenialReason::NoSuchLine))?;
        let taken = lines.iter().filter(|one| one.line == line);
        let (quantity_left, net_left) =
            taken.fold(left, |(quantity, net), taken| (quantity - taken.quantity, net - taken.net));
        if quantity > quantity_left {
            return Err(Uncut::Denied(DenialReason::ExceedsLine));
        }
        let invoiced = &account.invoice.lines[line as usize - 1];
        let net = if quantity == quantity_left {
            net_left
        } else {
            let exact = exact::product(quantity, invoiced.unit_price).ok_or(Uncut::TooLarge)?;
            currency.round(exact)?.min(net_left)
        };
        *bases.entry(invoiced.vat_rate.normalize()).or_default() += net;
        lines.push(CreditedLine { line, quantity, net });
    }
    let mut vat: Vec<RateTotal> = Vec::with_capacity(bases.len());
    for left in account.rates_left() {
        let Some(base) = bases.get(&left.rate).copied() else { continue };
        if base > left.base {
            if beyond == Beyond::IsDenied {
                return Err(Uncut::Denied(DenialReason::ExceedsInvoice));
            }
            // It is no longer over whole lines.
            lines.clear();
        }
        vat.push(over_base(left, base, currency)?);
    }
    Ok(Credit { lines, vat: vat.into_iter().map(vat_total).collect() })
}

fn currency(account: &Account) -> Result<Currency, Uncut> {
    // An invoice is issued in a currency that is known.
    Currency::from_code(&account.invoice.currency).ok_or(Uncut::TooLarge)
}
