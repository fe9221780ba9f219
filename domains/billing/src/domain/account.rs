//! An invoice issued here with everything that happened to it since: what credit notes took back of
//! it, what was paid on it and what went back.
//!
//! Whatever happens, `total = credited + held + open`: what was invoiced is credited, or its money is
//! here, or it is open. `open` is below zero while money has to go back.

use billing_contract::{
    CreditNoteIssued, CreditedLine, InvoiceCredited, InvoiceId, InvoiceIssued, InvoicePaid,
    InvoiceRefunded, RefundDue, VatTotal,
};
use kernel::money::RateTotal;
use payments_contract::{PaymentId, RefundId};
use rust_decimal::Decimal;

/// An invoice issued here, and where its money is.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// The invoice as it was issued.
    pub invoice: InvoiceIssued,
    /// Whether it stays due though its payment fails: its order is carried out all the same.
    pub(super) deferred: bool,
    /// The sum that a payment is asked for now, if one is under way.
    pub(super) collecting: Option<Decimal>,
    /// How many payments were asked for.
    pub(super) attempts: u32,
    /// The payment that came last.
    pub(super) payment_id: Option<PaymentId>,
    /// What came.
    received: Decimal,
    /// What went back.
    refunded: Decimal,
    /// What credit notes took back, first to last.
    credits: Vec<Credit>,
    /// Credit notes whose money has not gone back yet.
    unsettled: Vec<Unsettled>,
    /// Refunds that are due and not done.
    returning: Vec<Returning>,
}

/// What one credit note takes back of the invoice. Its amounts are positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Credit {
    /// Of which lines how much; empty when it is over a sum.
    pub lines: Vec<CreditedLine>,
    /// Base and tax of each rate.
    pub vat: Vec<VatTotal>,
}

impl Credit {
    /// Sum before tax.
    pub fn net(&self) -> Decimal {
        self.vat.iter().map(|rate| rate.base).sum()
    }

    /// Sum of the taxes.
    pub fn tax(&self) -> Decimal {
        self.vat.iter().map(|rate| rate.amount).sum()
    }

    /// Sum with tax.
    pub fn total(&self) -> Decimal {
        self.net() + self.tax()
    }
}

/// A credit note whose money has not gone back yet.
#[derive(Debug, Clone, PartialEq)]
struct Unsettled {
    credit_note_id: InvoiceId,
    /// The refund that pays it out; none when payments gives back what it has by itself.
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

    /// What the invoice is over, all its credit notes taken off.
    pub fn due(&self) -> Decimal {
        self.invoice.total - self.credits.iter().map(Credit::total).sum::<Decimal>()
    }

    /// The money that is here.
    pub fn held(&self) -> Decimal {
        self.received - self.refunded
    }

    /// What is still to be paid; below zero when money has to go back.
    pub fn open(&self) -> Decimal {
        self.due() - self.held()
    }

    /// The money that is here, is not due, and is not on its way back yet.
    pub fn overpaid(&self) -> Decimal {
        let returning: Decimal = self.returning.iter().map(|refund| refund.amount).sum();
        (-self.open() - returning).max(zero(&self.invoice))
    }

    /// Whether money ever came.
    pub(super) fn was_paid(&self) -> bool {
        !self.received.is_zero()
    }

    /// What is left of each VAT rate.
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

    /// What is left of a line, counted from 1: quantity and net.
    pub(super) fn line_left(&self, line: u32) -> Option<(Decimal, Decimal)> {
        let at = usize::try_from(line.checked_sub(1)?).ok()?;
        let invoiced = self.invoice.lines.get(at)?;
        let taken = self.credits.iter().flat_map(|credit| &credit.lines);
        let taken = taken.filter(|taken| taken.line == line);
        Some(taken.fold((invoiced.quantity, invoiced.net), |(quantity, net), taken| {
            (quantity - taken.quantity, net - taken.net)
        }))
    }

    /// Everything that is left: line by line, unless a credit note over a sum took from no line.
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

    /// The credit note that a refund settles.
    pub fn settled_by(&self, refund_id: RefundId, amount: Decimal) -> Option<InvoiceId> {
        let note = &self.unsettled[self.unsettled_for(refund_id)?];
        (amount >= note.amount).then_some(note.credit_note_id)
    }

    /// The credit note that waits for a refund: the one that asked for it, or the oldest that asked
    /// for none in particular.
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

/// What happens to the account.
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

/// Zero, with the decimals of the invoice.
fn zero(invoice: &InvoiceIssued) -> Decimal {
    Decimal::new(0, invoice.total.scale())
}

/// A credit note issued here.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuedCreditNote {
    /// As it was issued.
    pub document: CreditNoteIssued,
    /// Whether its money went back, or none had to.
    pub settled: bool,
}
