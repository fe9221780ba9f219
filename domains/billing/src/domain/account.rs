//! The account of an invoice issued here: its credit notes, payments and refunds.
//!
//! Always, `total = credited + held + open`: each part of the invoiced amount is credited, or paid, or
//! open. `open` is negative while a refund is due.

use billing_contract::{
    CreditNoteIssued, CreditedLine, InvoiceCredited, InvoiceId, InvoiceIssued, InvoicePaid,
    InvoiceRefunded, RefundDue, VatTotal,
};
use kernel::money::RateTotal;
use payments_contract::{PaymentId, RefundId};
use rust_decimal::Decimal;

/// An invoice issued here and its money.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Invoice as issued.
    pub invoice: InvoiceIssued,
    /// Whether the invoice stays due even if its payment fails, because its order is carried out
    /// unpaid.
    pub(super) deferred: bool,
    /// Amount of the payment under way, if there is one.
    pub(super) collecting: Option<Decimal>,
    /// Number of payments requested so far.
    pub(super) attempts: u32,
    /// Payment that brought money last.
    pub(super) payment_id: Option<PaymentId>,
    /// Amount received.
    received: Decimal,
    /// Amount refunded.
    refunded: Decimal,
    /// Credit notes, oldest first.
    credits: Vec<Credit>,
    /// Credit notes whose money is not refunded yet.
    unsettled: Vec<Unsettled>,
    /// Refunds that are due and not done.
    returning: Vec<Returning>,
}

/// The part of the invoice that one credit note takes back. Its amounts are positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Credit {
    /// Credited lines; empty if the credit note is over an amount.
    pub lines: Vec<CreditedLine>,
    /// Base and tax per VAT rate.
    pub vat: Vec<VatTotal>,
}

impl Credit {
    /// Returns the total before tax.
    pub fn net(&self) -> Decimal {
        self.vat.iter().map(|rate| rate.base).sum()
    }

    /// Returns the total tax.
    pub fn tax(&self) -> Decimal {
        self.vat.iter().map(|rate| rate.amount).sum()
    }

    /// Returns the total including tax.
    pub fn total(&self) -> Decimal {
        self.net() + self.tax()
    }
}

/// A credit note whose money is not refunded yet.
#[derive(Debug, Clone, PartialEq)]
struct Unsettled {
    credit_note_id: InvoiceId,
    /// Refund that pays out the credit note; `None` if payments refunds on its own.
    refund_id: Option<RefundId>,
    amount: Decimal,
}

#[derive(Debug, Clone, PartialEq)]
struct Returning {
    refund_id: RefundId,
    amount: Decimal,
}

impl Account {
    pub(super) fn opened(invoice: InvoiceIssued) -> Self {
        Self {
            deferred: false,
            collecting: Some(invoice.total),
            attempts: 1,
            payment_id: None,
            received: zero(&invoice),
            refunded: zero(&invoice),
            credits: Vec::new(),
            unsettled: Vec::new(),
            returning: Vec::new(),
            invoice,
        }
    }

    /// Returns the invoice total minus all its credit notes.
    pub fn due(&self) -> Decimal {
        self.invoice.total - self.credits.iter().map(Credit::total).sum::<Decimal>()
    }

    /// Returns the money received and not refunded.
    pub fn held(&self) -> Decimal {
        self.received - self.refunded
    }

    /// Returns the amount still to be paid; negative while a refund is due.
    pub fn open(&self) -> Decimal {
        self.due() - self.held()
    }

    /// Returns the money that is neither due nor part of a refund under way.
    pub fn overpaid(&self) -> Decimal {
        let returning: Decimal = self.returning.iter().map(|refund| refund.amount).sum();
        (-self.open() - returning).max(zero(&self.invoice))
    }

    /// Returns whether any money was received.
    pub(super) fn was_paid(&self) -> bool {
        !self.received.is_zero()
    }

    /// Returns what remains of each VAT rate.
    pub(super) fn rates_left(&self) -> Vec<RateTotal> {
        let rates = self.invoice.vat.iter().filter_map(|tax| {
            let rate = tax.rate?;
            let taken = self.credits.iter().flat_map(|credit| &credit.vat);
            let taken = taken.filter(|taken| taken.rate == Some(rate));
            let (base, amount) = taken.fold((tax.base, tax.amount), |(base, amount), taken| {
                (base - taken.base, amount - taken.amount)
            });
            Some(RateTotal { rate, base, amount })
        });
        rates.collect()
    }

    /// Returns the remaining quantity and net amount of a line, counted from 1.
    pub(super) fn line_left(&self, line: u32) -> Option<(Decimal, Decimal)> {
        let at = usize::try_from(line.checked_sub(1)?).ok()?;
        let invoiced = self.invoice.lines.get(at)?;
        let taken = self.credits.iter().flat_map(|credit| &credit.lines);
        let taken = taken.filter(|taken| taken.line == line);
        Some(taken.fold((invoiced.quantity, invoiced.net), |(quantity, net), taken| {
            (quantity - taken.quantity, net - taken.net)
        }))
    }

    /// Returns everything that remains: by lines, unless an earlier credit note was over an amount and
    /// belongs to no line.
    pub fn rest(&self) -> Credit {
        let by_lines = self.credits.iter().all(|credit| !credit.lines.is_empty());
        let lines = if by_lines { self.lines_left() } else { Vec::new() };
        let left = self.rates_left().into_iter();
        let left =
            left.filter(|rate| self.credits.is_empty() || !(rate.base + rate.amount).is_zero());
        Credit { lines, vat: left.map(vat_total).collect() }
    }

    fn lines_left(&self) -> Vec<CreditedLine> {
        let numbers = 1_u32..;
        let lines = self.invoice.lines.iter().zip(numbers).filter_map(|(_, line)| {
            let (quantity, net) = self.line_left(line)?;
            (!quantity.is_zero()).then_some(CreditedLine { line, quantity, net })
        });
        lines.collect()
    }

    /// Returns the credit note that a refund settles.
    pub fn settled_by(&self, refund_id: RefundId, amount: Decimal) -> Option<InvoiceId> {
        let note = &self.unsettled[self.unsettled_for(refund_id)?];
        (amount >= note.amount).then_some(note.credit_note_id)
    }

    /// Returns the index of the credit note that a refund pays out: the one that requested it, or the
    /// oldest one that requested no particular refund.
    fn unsettled_for(&self, refund_id: RefundId) -> Option<usize> {
        let index_of = |wanted: Option<RefundId>| {
            self.unsettled.iter().position(|note| note.refund_id == wanted)
        };
        index_of(Some(refund_id)).or_else(|| {
            // A refund that was due without a credit note settles none.
            let is_due = self.returning.iter().any(|one| one.refund_id == refund_id);
            if is_due { None } else { index_of(None) }
        })
    }
}

/// Changes by events.
impl Account {
    pub(super) fn receive(&mut self, paid: &InvoicePaid) {
        self.received += paid.amount;
        self.payment_id = Some(paid.payment_id.into());
        self.collecting = None;
    }

    pub(super) fn give_back(&mut self, refunded: &InvoiceRefunded) {
        let refund_id = RefundId::from(refunded.refund_id);
        if let Some(at) = self.unsettled_for(refund_id) {
            self.unsettled[at].amount -= refunded.amount;
            self.unsettled.retain(|note| note.amount > Decimal::ZERO);
        }
        self.refunded += refunded.amount;
        self.returning.retain(|one| one.refund_id != refund_id);
    }

    pub(super) fn credit(&mut self, credited: &InvoiceCredited) {
        let InvoiceCredited { lines, vat, .. } = credited.clone();
        self.credits.push(Credit { lines, vat });
    }

    pub(super) fn owe(&mut self, due: &RefundDue) {
        let RefundDue { credit_note_id, amount, .. } = *due;
        let refund_id = RefundId::from(due.refund_id);
        self.returning.push(Returning { refund_id, amount });
        if let Some(credit_note_id) = credit_note_id {
            self.unsettled.push(Unsettled { credit_note_id, refund_id: Some(refund_id), amount });
        }
    }

    pub(super) fn void(&mut self, credit_note_id: InvoiceId) {
        self.credits.push(self.rest());
        self.collecting = None;
        let amount = self.overpaid();
        if !amount.is_zero() {
            self.unsettled.push(Unsettled { credit_note_id, refund_id: None, amount });
        }
    }
}

pub(super) fn vat_total(rate: RateTotal) -> VatTotal {
    VatTotal { rate: Some(rate.rate), base: rate.base, amount: rate.amount }
}

/// Returns zero with the decimals of the invoice.
fn zero(invoice: &InvoiceIssued) -> Decimal {
    Decimal::new(0, invoice.total.scale())
}

/// A credit note issued here.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuedCreditNote {
    /// Credit note as issued.
    pub document: CreditNoteIssued,
    /// Whether its money was refunded, or no refund was required.
    pub settled: bool,
}
