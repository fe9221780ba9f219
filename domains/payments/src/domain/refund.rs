//! Refunds of a payment: of all its money or part of it, at once or in several steps.
//!
//! A requested refund is proposed first: billing issues its credit note and states the amount, or
//! denies it. The money of a voided invoice, and money captured too late, is refunded without a
//! proposal.

use billing_contract::InvoiceId;
use event_contract::Personal;
use kernel::money::Currency;
use payments_contract::{
    PaymentId, PaymentRefunded, PaymentRequested, RefundFailed, RefundId, RefundProposed,
    RefundReason, RefundRefused, RefundRequested, RefundRetried, RefundScope,
};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Event, Payment, Refusal};

/// The captured money of a payment.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Request of the payment.
    pub request: PaymentRequested,
    /// The provider's reference of the capture.
    pub reference: String,
    /// All refunds, including refused ones.
    pub refunds: Vec<Refund>,
}

/// A refund.
#[derive(Debug, Clone, PartialEq)]
pub struct Refund {
    /// Id of the refund.
    pub id: RefundId,
    /// Amount; `None` until billing has stated it.
    pub amount: Option<Decimal>,
    /// Stage of the refund.
    pub stage: RefundStage,
}

/// The stage of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStage {
    /// Billing has to issue the credit note.
    Proposed,
    /// Billing issues no credit note; nothing is refunded.
    Refused,
    /// The provider has to refund the money.
    Requested,
    /// The provider refused; the money is still owed.
    Failed,
    /// The money was refunded.
    Done,
}

impl Taken {
    pub(super) fn new(request: PaymentRequested, reference: String) -> Self {
        Self { request, reference, refunds: Vec::new() }
    }

    /// Returns the amount that can still be proposed; zero while a proposal of the rest is open.
    pub fn left(&self) -> Decimal {
        let proposed = self.refunds.iter().filter(|one| one.stage == RefundStage::Proposed);
        let proposed: Vec<_> = proposed.map(|refund| refund.amount).collect();
        let proposed = proposed.into_iter().try_fold(Decimal::ZERO, |sum, one| Some(sum + one?));
        match proposed {
            Some(proposed) => (self.kept() - proposed).max(self.nothing()),
            None => self.nothing(),
        }
    }

    /// Returns the amount that no refund covers.
    fn kept(&self) -> Decimal {
        let owed = self.refunds.iter().filter(|refund| match refund.stage {
            RefundStage::Requested | RefundStage::Failed | RefundStage::Done => true,
            RefundStage::Proposed | RefundStage::Refused => false,
        });
        let owed: Decimal = owed.filter_map(|refund| refund.amount).sum();
        (self.request.amount - owed).max(self.nothing())
    }

    fn nothing(&self) -> Decimal {
        Decimal::new(0, self.request.amount.scale())
    }

    fn refund(&self, id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// Returns a refund of everything that remains, if anything does.
    pub(super) fn give_back_rest(&self, reason: RefundReason) -> Option<Event> {
        let amount = self.kept();
        let refund_id = nth_refund_of(self.request.payment_id, self.refunds.len());
        (!amount.is_zero()).then(|| self.requested(refund_id, amount, reason, None))
    }

    fn requested(
        &self,
        refund_id: RefundId,
        amount: Decimal,
        reason: RefundReason,
        credit_note_id: Option<InvoiceId>,
    ) -> Event {
        let PaymentRequested { payment_id, invoice_id, customer_id, .. } = self.request;
        let currency = self.request.currency.clone();
        RefundRequested {
            payment_id,
            refund_id,
            invoice_id,
            customer_id,
            amount,
            currency,
            reason,
            credit_note_id: credit_note_id.map(InvoiceId::as_uuid),
        }
        .into()
    }
}

/// Changes by events.
impl Taken {
    pub(super) fn propose(&mut self, proposed: &RefundProposed) {
        let amount = match &proposed.scope {
            RefundScope::Amount { amount } => Some(*amount),
            RefundScope::Rest => None,
            // Billing states the amount; until then the proposal reserves nothing.
            RefundScope::Lines { .. } => Some(self.nothing()),
        };
        let id = proposed.refund_id;
        self.refunds.push(Refund { id, amount, stage: RefundStage::Proposed });
    }

    pub(super) fn request(&mut self, requested: &RefundRequested) {
        let (id, amount) = (requested.refund_id, Some(requested.amount));
        self.refunds.retain(|refund| refund.id != id);
        self.refunds.push(Refund { id, amount, stage: RefundStage::Requested });
    }

    pub(super) fn set(&mut self, id: RefundId, stage: RefundStage) {
        if let Some(refund) = self.refunds.iter_mut().find(|refund| refund.id == id) {
            refund.stage = stage;
        }
    }
}

/// Returns the id of a refund that this module makes on its own, given the number of the payment's
/// other refunds.
pub(super) fn nth_refund_of(payment_id: PaymentId, others: usize) -> RefundId {
    let name = format!("refund/{others}");
    Uuid::new_v5(&payment_id.as_uuid(), name.as_bytes()).into()
}

/// Proposes a refund of everything that remains. Repeating it changes nothing.
pub(super) fn propose_rest(
    payment: &Payment,
    refund_id: RefundId,
    reason: Personal<String>,
) -> Result<Vec<Event>, Refusal> {
    let taken = refundable(payment)?;
    if taken.left().is_zero() {
        return Ok(vec![]);
    }
    propose(payment, refund_id, RefundScope::Rest, reason)
}

/// Proposes a refund of everything that remains or part of it.
pub(super) fn propose(
    payment: &Payment,
    refund_id: RefundId,
    scope: RefundScope,
    reason: Personal<String>,
) -> Result<Vec<Event>, Refusal> {
    let taken = refundable(payment)?;
    let (left, currency) = (taken.left(), taken.request.currency.clone());
    let scope = match scope {
        RefundScope::Amount { amount } => {
            let exact = in_minor_units(amount, &currency)?;
            if exact > left {
                return Err(Refusal::ExceedsPayment { left, currency });
            }
            RefundScope::Amount { amount: exact }
        }
        other => other,
    };
    if left.is_zero() {
        return Err(Refusal::ExceedsPayment { left, currency });
    }
    let PaymentRequested { payment_id, invoice_id, customer_id, .. } = taken.request;
    Ok(vec![
        RefundProposed { payment_id, refund_id, invoice_id, customer_id, scope, reason }.into(),
    ])
}

/// Returns the amount with the decimals of its currency.
fn in_minor_units(amount: Decimal, currency: &str) -> Result<Decimal, Refusal> {
    // The currency was checked when the order was placed.
    let Some(known) = Currency::from_code(currency) else { return Ok(amount) };
    match known.round(amount) {
        Ok(exact) if exact == amount => Ok(exact),
        _ => Err(Refusal::TooPrecise { currency: currency.to_owned(), decimals: known.decimals() }),
    }
}

/// Returns the money of a captured payment.
fn refundable(payment: &Payment) -> Result<&Taken, Refusal> {
    match payment {
        Payment::Captured(taken) => Ok(taken),
        Payment::Pending(_) => Err(Refusal::NothingToRefund("pending")),
        Payment::Declined(_) => Err(Refusal::NothingToRefund("declined")),
        Payment::Expired(_) => Err(Refusal::NothingToRefund("expired")),
        Payment::Cancelled(_) => Err(Refusal::NothingToRefund("cancelled")),
        Payment::NotRequested => Err(Refusal::NoSuchPayment),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
    }
}

/// Refunds money that billing no longer considers due, up to what remains.
pub(super) fn give_back(
    payment: &Payment,
    refund_id: RefundId,
    amount: Decimal,
    credit_note_id: Option<InvoiceId>,
) -> Result<Vec<Event>, Refusal> {
    let taken = refundable(payment)?;
    let known = taken.refund(refund_id);
    if known.is_some_and(|refund| refund.stage != RefundStage::Proposed) {
        return Ok(vec![]); // repeated
    }
    let amount = amount.min(taken.kept());
    if !amount.is_zero() {
        let reason = RefundReason::InvoiceCredited;
        return Ok(vec![taken.requested(refund_id, amount, reason, credit_note_id)]);
    }
    // Other refunds cover everything.
    let (payment_id, code) = (taken.request.payment_id, "nothing_left".to_owned());
    let refused = known.map(|_| RefundRefused { payment_id, refund_id, code }.into());
    Ok(refused.into_iter().collect())
}

/// Refuses a proposed refund, because billing issues no credit note over it.
pub(super) fn refuse(
    payment: &Payment,
    refund_id: RefundId,
    code: String,
) -> Result<Vec<Event>, Refusal> {
    let taken = refundable(payment)?;
    let refund = taken.refund(refund_id).ok_or(Refusal::NoRefundRequested)?;
    Ok(match refund.stage {
        RefundStage::Proposed => {
            let payment_id = taken.request.payment_id;
            vec![RefundRefused { payment_id, refund_id, code }.into()]
        }
        RefundStage::Refused | RefundStage::Requested | RefundStage::Failed | RefundStage::Done => {
            vec![]
        }
    })
}

/// Retries a refund that the provider refused. If the refund is under way or done, this changes
/// nothing; a refund without a credit note is never paid out.
pub(super) fn retry(payment: &Payment, refund_id: RefundId) -> Result<Vec<Event>, Refusal> {
    let (taken, refund) = the_refund(payment, refund_id)?;
    let amount = match (refund.stage, refund.amount) {
        (RefundStage::Failed, Some(amount)) => amount,
        (RefundStage::Refused, _) => return Err(Refusal::RefundRefused),
        _ => return Ok(vec![]),
    };
    let (payment_id, currency) = (taken.request.payment_id, taken.request.currency.clone());
    Ok(vec![RefundRetried { payment_id, refund_id, amount, currency }.into()])
}

/// Records that the provider refunded the money.
pub(super) fn record(
    payment: &Payment,
    refund_id: RefundId,
    reference: String,
) -> Result<Vec<Event>, Refusal> {
    let (taken, refund) = the_refund(payment, refund_id)?;
    let amount = match (refund.stage, refund.amount) {
        (RefundStage::Requested | RefundStage::Failed, Some(amount)) => amount,
        (RefundStage::Done, _) => return Ok(vec![]),
        _ => return Err(Refusal::NoRefundRequested),
    };
    let PaymentRequested { payment_id, invoice_id, .. } = taken.request;
    Ok(vec![
        PaymentRefunded {
            payment_id,
            refund_id,
            invoice_id,
            amount,
            currency: taken.request.currency.clone(),
            provider_reference: reference,
        }
        .into(),
    ])
}

/// Records that the provider refused a refund.
pub(super) fn record_failure(
    payment: &Payment,
    refund_id: RefundId,
    code: String,
) -> Result<Vec<Event>, Refusal> {
    let (taken, refund) = the_refund(payment, refund_id)?;
    Ok(match refund.stage {
        RefundStage::Requested => {
            let payment_id = taken.request.payment_id;
            vec![RefundFailed { payment_id, refund_id, code }.into()]
        }
        RefundStage::Failed | RefundStage::Done => vec![],
        RefundStage::Proposed | RefundStage::Refused => {
            return Err(Refusal::NoRefundRequested);
        }
    })
}

fn the_refund(payment: &Payment, id: RefundId) -> Result<(&Taken, &Refund), Refusal> {
    match payment {
        Payment::NotRequested => Err(Refusal::NoSuchPayment),
        Payment::Imported { .. } => Err(Refusal::OwnedByLegacy),
        Payment::Captured(taken) => {
            taken.refund(id).map(|refund| (taken, refund)).ok_or(Refusal::NoRefundRequested)
        }
        Payment::Pending(_)
        | Payment::Declined(_)
        | Payment::Expired(_)
        | Payment::Cancelled(_) => Err(Refusal::NoRefundRequested),
    }
}
