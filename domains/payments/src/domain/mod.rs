//! What a payment is and may become. Pure: no I/O, no clock, no randomness.
//!
//! A payment is requested for an invoice, and from then on either the provider's word decides it
//! (captured, declined) or ours does (cancelled, expired). Our word counts only once the provider
//! has confirmed that nothing was taken; money that turns out to have been taken all the same is
//! recorded as captured late and goes back.

mod collection;
mod import;
mod refund;
#[cfg(test)]
mod tests;

use billing_contract::InvoiceId;
use chrono::{DateTime, Utc};
use event_contract::{LegacyReference, Personal};
use kernel::decider::{Context, Decider};
use payments_contract::{
    ImportedPayment, PaymentCancelled, PaymentCaptured, PaymentCapturedLate, PaymentDeclined,
    PaymentExpired, PaymentId, PaymentImported, PaymentRefunded, PaymentRequested, PaymentRevised,
    RefundFailed, RefundId, RefundProposed, RefundRefused, RefundRequested, RefundRetried,
    RefundScope,
};
use rust_decimal::Decimal;

pub use import::{LegacyPatch, LegacyReport};
pub use refund::{RefundStage, Taken};

kernel::event_set! {
    /// What happens to a payment.
    pub enum Event {
        Requested(PaymentRequested),
        Captured(PaymentCaptured),
        Declined(PaymentDeclined),
        Expired(PaymentExpired),
        Cancelled(PaymentCancelled),
        CapturedLate(PaymentCapturedLate),
        RefundProposed(RefundProposed),
        RefundRefused(RefundRefused),
        RefundRequested(RefundRequested),
        RefundFailed(RefundFailed),
        RefundRetried(RefundRetried),
        Refunded(PaymentRefunded),
        Imported(PaymentImported),
        Revised(PaymentRevised),
    }
}

/// What a payment is at each stage of its life.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Payment {
    /// Nobody asked for it yet.
    #[default]
    NotRequested,
    /// The provider has not decided yet.
    Pending(PaymentRequested),
    /// The provider took the money. Some of it, or all, may have gone back since.
    Captured(Taken),
    /// The provider refused.
    Declined(PaymentRequested),
    /// The deadline passed, nothing was taken.
    Expired(PaymentRequested),
    /// It is no longer wanted.
    Cancelled(PaymentRequested),
    /// A legacy system has it and decides over it.
    Imported {
        /// Where it comes from.
        legacy: LegacyReference,
        /// What the legacy system says.
        state: ImportedPayment,
    },
}

/// What can be asked of a payment.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Collect this.
    Request(PaymentRequested),
    /// Somebody no longer wants to pay.
    Cancel,
    /// Somebody wants all that is left to go back.
    Refund {
        /// The refund.
        refund_id: RefundId,
        /// In their words.
        reason: Personal<String>,
    },
    /// Somebody wants some of the money to go back.
    ProposeRefund {
        /// The refund.
        refund_id: RefundId,
        /// How much.
        scope: RefundScope,
        /// In their words.
        reason: Personal<String>,
    },
    /// Billing says that money is no longer due.
    GiveBack {
        /// The refund.
        refund_id: RefundId,
        /// How much.
        amount: Decimal,
        /// The credit note that it pays out.
        credit_note_id: Option<InvoiceId>,
    },
    /// Billing issues no credit note over a proposed refund.
    RefuseRefund {
        /// The refund.
        refund_id: RefundId,
        /// Why, as a code.
        code: String,
    },
    /// Try a refund again that the provider refused.
    RetryRefund {
        /// The refund.
        refund_id: RefundId,
    },
    /// Nothing of the invoice is due any more: collect nothing.
    CallOff,
    /// The invoice is void: collect nothing, or give back what was collected.
    Withdraw,
    /// The provider says that it took the money.
    RecordCapture {
        /// The provider's own reference.
        reference: String,
    },
    /// The provider says that it refuses.
    RecordDecline {
        /// What it says.
        reason: Personal<String>,
    },
    /// The deadline passed and the provider has confirmed that nothing was taken.
    Expire,
    /// The provider says that the money went back.
    RecordRefund {
        /// The refund.
        refund_id: RefundId,
        /// The provider's own reference of the refund.
        reference: String,
    },
    /// The provider says that it will not give the money back.
    RecordRefundFailure {
        /// The refund.
        refund_id: RefundId,
        /// Why, as its code.
        code: String,
    },
    /// A legacy system says this.
    Sync(Box<LegacyReport>),
}

/// Why a payment refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("there is no such payment")]
    NoSuchPayment,
    /// The same payment was requested with other particulars.
    #[error("this payment was already requested with other details")]
    AlreadyRequested,
    /// The provider has the money already.
    #[error("the payment is already captured; request a refund instead")]
    AlreadyCaptured,
    /// Nothing is under way any more and nothing was taken.
    #[error("the payment is already {0}")]
    AlreadyOver(&'static str),
    /// There is no money that could go back.
    #[error("no money was captured: the payment is {0}")]
    NothingToRefund(&'static str),
    /// The money is on its way back, or is back.
    #[error("the payment is being refunded or was refunded")]
    AlreadyRefunded,
    /// No such refund was asked for.
    #[error("no such refund was requested")]
    NoRefundRequested,
    /// Billing issued no credit note over the refund, so that nothing is owed by it.
    #[error(
        "this refund was refused because no credit note could be issued over it; request another refund"
    )]
    RefundRefused,
    /// More is to go back than is here.
    #[error("at most {left} {currency} of this payment can be refunded")]
    ExceedsPayment {
        /// What is left.
        left: Decimal,
        /// ISO 4217 code.
        currency: String,
    },
    /// The provider could not pay this out.
    #[error("an amount in {currency} has at most {decimals} decimals")]
    TooPrecise {
        /// ISO 4217 code.
        currency: String,
        /// Decimals of its minor unit.
        decimals: u32,
    },
    /// The provider now names another capture than before.
    #[error("the provider reports another capture than the recorded one")]
    AnotherCapture,
    /// Too early to give up.
    #[error("the payment can expire only after its deadline, {deadline}")]
    NotDueYet {
        /// The deadline.
        deadline: DateTime<Utc>,
    },
    /// The legacy system decides over it.
    #[error("the payment is owned by the legacy system; change it there")]
    OwnedByLegacy,
    /// A legacy system speaks of a payment that was made here.
    #[error("the payment is owned by bascule; the legacy system cannot change it")]
    OwnedByBascule,
    /// A legacy system's first word on a payment lacks something it cannot do without.
    #[error("`{0}` is missing")]
    Incomplete(&'static str),
}

/// The aggregate.
#[derive(Debug, Clone, Copy)]
pub struct PaymentDecider;

impl Decider for PaymentDecider {
    const CATEGORY: &'static str = "payment";
    type Id = PaymentId;
    type State = Payment;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        payment: &Payment,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Request(request) => collection::request(payment, request),
            Command::Cancel => collection::cancel(payment),
            Command::Refund { refund_id, reason } => refund::ask_back(payment, refund_id, reason),
            Command::ProposeRefund { refund_id, scope, reason } => {
                refund::propose(payment, refund_id, scope, reason)
            }
            Command::GiveBack { refund_id, amount, credit_note_id } => {
                refund::give_back(payment, refund_id, amount, credit_note_id)
            }
            Command::RefuseRefund { refund_id, code } => refund::refuse(payment, refund_id, code),
            Command::RetryRefund { refund_id } => refund::retry(payment, refund_id),
            Command::CallOff => collection::call_off(payment),
            Command::Withdraw => collection::withdraw(payment),
            Command::RecordCapture { reference } => collection::record_capture(payment, reference),
            Command::RecordDecline { reason } => collection::record_decline(payment, reason),
            Command::Expire => collection::expire(payment, context),
            Command::RecordRefund { refund_id, reference } => {
                refund::record(payment, refund_id, reference)
            }
            Command::RecordRefundFailure { refund_id, code } => {
                refund::record_failure(payment, refund_id, code)
            }
            Command::Sync(report) => import::sync(payment, *report),
        }
    }

    fn evolve(payment: Payment, event: &Event) -> Payment {
        match event {
            Event::Requested(request) => Payment::Pending(request.clone()),
            Event::Captured(captured) => captured_as(payment, &captured.provider_reference),
            Event::CapturedLate(captured) => captured_as(payment, &captured.provider_reference),
            Event::Declined(_) => with_request(payment, Payment::Declined),
            Event::Expired(_) => with_request(payment, Payment::Expired),
            Event::Cancelled(_) => with_request(payment, Payment::Cancelled),
            Event::RefundProposed(proposed) => with_money(payment, |taken| taken.propose(proposed)),
            Event::RefundRequested(refund) => with_money(payment, |taken| taken.request(refund)),
            Event::RefundRefused(RefundRefused { refund_id, .. }) => {
                with_money(payment, |taken| taken.set(*refund_id, RefundStage::Refused))
            }
            Event::RefundFailed(RefundFailed { refund_id, .. }) => {
                with_money(payment, |taken| taken.set(*refund_id, RefundStage::Failed))
            }
            Event::RefundRetried(RefundRetried { refund_id, .. }) => {
                with_money(payment, |taken| taken.set(*refund_id, RefundStage::Requested))
            }
            Event::Refunded(refunded) => {
                with_money(payment, |taken| taken.set(refunded.refund_id, RefundStage::Done))
            }
            Event::Imported(PaymentImported { legacy, state, .. })
            | Event::Revised(PaymentRevised { legacy, state, .. }) => {
                Payment::Imported { legacy: legacy.clone(), state: state.clone() }
            }
        }
    }
}

/// The next stage of a payment without money; one that is elsewhere stays as it is.
fn with_request(payment: Payment, next: impl FnOnce(PaymentRequested) -> Payment) -> Payment {
    match payment {
        Payment::Pending(request) => next(request),
        other => other,
    }
}

/// A payment with money after something happened to it; one that has none stays as it is.
fn with_money(mut payment: Payment, happens: impl FnOnce(&mut Taken)) -> Payment {
    if let Payment::Captured(taken) = &mut payment {
        happens(taken);
    }
    payment
}

fn captured_as(payment: Payment, reference: &str) -> Payment {
    match payment {
        Payment::Pending(request)
        | Payment::Declined(request)
        | Payment::Expired(request)
        | Payment::Cancelled(request) => {
            Payment::Captured(Taken::new(request, reference.to_owned()))
        }
        other => other,
    }
}
