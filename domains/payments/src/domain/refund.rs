//! Money that goes back: all of it or some, at once or by and by, until nothing is left.
//!
//! What somebody wants to be paid back is proposed first: billing issues the credit note over it and
//! says what goes back, or says why not. Of a voided invoice, and of a payment that was captured too
//! late, everything goes back without a proposal.

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

/// Money that the provider took.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// What was asked for.
    pub request: PaymentRequested,
    /// The provider's own reference.
    pub reference: String,
    /// What goes back, or went back, or was to.
    pub refunds: Vec<Refund>,
}

/// Money that goes back.
#[derive(Debug, Clone, PartialEq)]
pub struct Refund {
    /// The refund.
    pub id: RefundId,
    /// How much; none while billing has not said so.
    pub amount: Option<Decimal>,
    /// How far it is.
    pub stage: RefundStage,
}

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStage {
    /// Billing is to issue its credit note.
    Proposed,
    /// Billing issues none: nothing goes back.
    Refused,
    /// The provider is to pay it out.
    Requested,
    /// The provider refuses: it is still owed.
    Failed,
    /// The money is back.
    Done,
}

impl Taken {
    pub(super) fn new(request: PaymentRequested, reference: String) -> Self {
        Self { request, reference, refunds: Vec::new() }
    }

    /// What can still be proposed to go back. While a proposal of the rest is open, nothing.
    pub fn left(&self) -> Decimal {
        let proposed = self.refunds.iter().filter(|one| one.stage == RefundStage::Proposed);
        let proposed: Vec<_> = proposed.map(|refund| refund.amount).collect();
        let proposed = proposed.into_iter().try_fold(Decimal::ZERO, |sum, one| Some(sum + one?));
        match proposed {
            Some(proposed) => (self.kept() - proposed).max(self.nothing()),
            None => self.nothing(),
        }
    }

    /// What is neither back nor on its way back.
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

    /// Everything that is still here is to go back, if anything is.
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

/// What happens to it.
impl Taken {
    pub(super) fn propose(&mut self, proposed: &RefundProposed) {
        let amount = match &proposed.scope {
            RefundScope::Amount { amount } => Some(*amount),
            RefundScope::Rest => None,
            // What they come to is for billing to say; it takes no more than what is left.
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

/// The id of a refund that nobody asked for, after so many others of the payment.
pub(super) fn nth_refund_of(payment_id: PaymentId, others: usize) -> RefundId {
    let name = format!("refund/{others}");
    Uuid::new_v5(&payment_id.as_uuid(), name.as_bytes()).into()
}

/// Somebody wants all that is left to go back. Asking twice changes nothing.
pub(super) fn ask_back(
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

/// Somebody wants some of the money, or all that is left, to go back.
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

/// The amount with the decimals of its currency.
fn in_minor_units(amount: Decimal, currency: &str) -> Result<Decimal, Refusal> {
    // A payment is in a currency that was known when its order was placed.
    let Some(known) = Currency::from_code(currency) else { return Ok(amount) };
    match known.round(amount) {
        Ok(exact) if exact == amount => Ok(exact),
        _ => Err(Refusal::TooPrecise { currency: currency.to_owned(), decimals: known.decimals() }),
    }
}

/// The money of a captured payment.
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

/// Billing says what is no longer due. No more goes back than is here.
pub(super) fn give_back(
    payment: &Payment,
    refund_id: RefundId,
    amount: Decimal,
    credit_note_id: Option<InvoiceId>,
) -> Result<Vec<Event>, Refusal> {
    let taken = refundable(payment)?;
    let known = taken.refund(refund_id);
    if known.is_some_and(|refund| refund.stage != RefundStage::Proposed) {
        return Ok(vec![]); // told twice
    }
    let amount = amount.min(taken.kept());
    if !amount.is_zero() {
        let reason = RefundReason::InvoiceCredited;
        return Ok(vec![taken.requested(refund_id, amount, reason, credit_note_id)]);
    }
    // Everything is on its way back by other refunds.
    let (payment_id, code) = (taken.request.payment_id, "nothing_left".to_owned());
    let refused = known.map(|_| RefundRefused { payment_id, refund_id, code }.into());
    Ok(refused.into_iter().collect())
}

/// No credit note is issued over what somebody wanted to be paid back.
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

/// A refund that the provider refused is tried again. Of one that is under way or done trying again
/// changes nothing; one without a credit note is never paid out.
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

/// The provider gave the money back.
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

/// The provider will not give the money back.
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
