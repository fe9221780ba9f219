//! The states, commands and events of payments. Pure: no I/O, no clock, no randomness.
//!
//! A payment is requested for an invoice. Then either the provider decides it (captured, declined) or
//! this module does (cancelled, expired). The module's decision is final only once the provider has
//! confirmed that it captured nothing; if it did capture the money, that is recorded as a late capture
//! and refunded.

mod collection;
mod imported;
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

pub use imported::{LegacyPatch, LegacyReport};
pub use refund::{RefundStage, Taken};

kernel::event_set! {
    /// The events of a payment.
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

/// The state of a payment.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Payment {
    /// The payment was not requested.
    #[default]
    NotRequested,
    /// The provider has not decided yet.
    Pending(PaymentRequested),
    /// The provider captured the money. Part or all of it may have been refunded since.
    Captured(Taken),
    /// The provider declined the payment.
    Declined(PaymentRequested),
    /// The deadline passed, and nothing was captured.
    Expired(PaymentRequested),
    /// The payment was cancelled.
    Cancelled(PaymentRequested),
    /// An imported payment; the legacy system decides about it.
    Imported {
        /// Origin in the legacy system.
        legacy: LegacyReference,
        /// State in the legacy system.
        state: ImportedPayment,
    },
}

/// The commands on a payment.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Requests the payment.
    Request(PaymentRequested),
    /// Cancels the payment.
    Cancel,
    /// Proposes a refund of everything that remains.
    Refund {
        /// Refund.
        refund_id: RefundId,
        /// Reason in free text.
        reason: Personal<String>,
    },
    /// Proposes a refund of some of the money.
    ProposeRefund {
        /// Refund.
        refund_id: RefundId,
        /// Extent of the refund.
        scope: RefundScope,
        /// Reason in free text.
        reason: Personal<String>,
    },
    /// Refunds money that is no longer due, as billing asks for.
    GiveBack {
        /// Refund.
        refund_id: RefundId,
        /// Amount to be refunded.
        amount: Decimal,
        /// Credit note that the refund pays out.
        credit_note_id: Option<InvoiceId>,
    },
    /// Refuses a proposed refund, because billing issues no credit note over it.
    RefuseRefund {
        /// Refund.
        refund_id: RefundId,
        /// Code of the reason.
        code: String,
    },
    /// Retries a refund that the provider refused.
    RetryRefund {
        /// Refund.
        refund_id: RefundId,
    },
    /// Cancels a pending payment, because nothing is due on the invoice any more.
    CallOff,
    /// Cancels a pending payment of a voided invoice, or refunds a captured one.
    Withdraw,
    /// Records that the provider captured the money.
    RecordCapture {
        /// The provider's reference of the capture.
        reference: String,
    },
    /// Records that the provider declined the payment.
    RecordDecline {
        /// Reason stated by the provider.
        reason: Personal<String>,
    },
    /// Expires the payment: the deadline passed, and the provider confirmed that it captured nothing.
    Expire,
    /// Records that the provider refunded the money.
    RecordRefund {
        /// Refund.
        refund_id: RefundId,
        /// The provider's reference of the refund.
        reference: String,
    },
    /// Records that the provider refused a refund.
    RecordRefundFailure {
        /// Refund.
        refund_id: RefundId,
        /// The provider's code of the reason.
        code: String,
    },
    /// Takes the state from a legacy system.
    Sync(Box<LegacyReport>),
}

/// The reason why a command on a payment is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The payment does not exist.
    #[error("there is no such payment")]
    NoSuchPayment,
    /// The same payment was requested with other details.
    #[error("this payment was already requested with other details")]
    AlreadyRequested,
    /// The provider has captured the money.
    #[error("the payment is already captured; request a refund instead")]
    AlreadyCaptured,
    /// The payment is over, and nothing was captured.
    #[error("the payment is already {0}")]
    AlreadyOver(&'static str),
    /// The payment has no captured money.
    #[error("no money was captured: the payment is {0}")]
    NothingToRefund(&'static str),
    /// The money is refunded, or a refund is under way.
    #[error("the payment is being refunded or was refunded")]
    AlreadyRefunded,
    /// The refund does not exist.
    #[error("no such refund was requested")]
    NoRefundRequested,
    /// Billing issued no credit note over the refund, so nothing is owed.
    #[error(
        "this refund was refused because no credit note could be issued over it; request another refund"
    )]
    RefundRefused,
    /// The amount exceeds what remains of the payment.
    #[error("at most {left} {currency} of this payment can be refunded")]
    ExceedsPayment {
        /// Remaining amount.
        left: Decimal,
        /// ISO 4217 currency code.
        currency: String,
    },
    /// The amount has more decimals than its currency.
    #[error("an amount in {currency} has at most {decimals} decimals")]
    TooPrecise {
        /// ISO 4217 currency code.
        currency: String,
        /// Number of decimals of the currency's minor unit.
        decimals: u32,
    },
    /// The provider reports another capture than before.
    #[error("the provider reports another capture than the recorded one")]
    AnotherCapture,
    /// The deadline has not passed.
    #[error("the payment can expire only after its deadline, {deadline}")]
    NotDueYet {
        /// Deadline of the payment.
        deadline: DateTime<Utc>,
    },
    /// The legacy system owns the payment.
    #[error("the legacy system owns this payment; change it there")]
    OwnedByLegacy,
    /// This system owns the payment.
    #[error("bascule owns this payment; the legacy system cannot change it")]
    OwnedByBascule,
    /// The first report of a payment lacks a required field.
    #[error("`{0}` is missing")]
    Incomplete(&'static str),
}

/// Decides about payments: stream `payment-<id>`.
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
            Command::Refund { refund_id, reason } => {
                refund::propose_rest(payment, refund_id, reason)
            }
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
            Command::Sync(report) => imported::sync(payment, *report),
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

/// Returns the next state of a pending payment, or else the unchanged state.
fn with_request(payment: Payment, next: impl FnOnce(PaymentRequested) -> Payment) -> Payment {
    match payment {
        Payment::Pending(request) => next(request),
        other => other,
    }
}

/// Changes the money of a captured payment; other states stay unchanged.
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
