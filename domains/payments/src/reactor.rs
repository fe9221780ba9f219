//! Calls to the payment provider: the one place that makes them.
//!
//! A trigger is finished only when its outcome is definite. A call without an answer is an unknown
//! outcome and is followed by an enquiry; a payment is given up only after the provider has
//! confirmed that the charge is cancelled; what it took all the same is recorded, and refunded if
//! it was too late. Whatever happens is recorded under an id that derives from the trigger and the
//! outcome, so that doing it again after a crash changes nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kernel::backoff;
use kernel::codec::Envelope;
use kernel::event::{RecordedEvent, StreamName};
use kernel::execution::{Cause, Executed, LoadError};
use kernel::reaction::{Reaction, ReactionError, ReactionKind};
use kernel::store::ReadError;
use payments_contract::{
    PaymentCancelled, PaymentId, PaymentRequested, RefundId, RefundRequested, RefundRetried,
};
use rust_decimal::Decimal;
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::Payment;
use crate::handlers::{Error, Payments};
use crate::provider::{
    Calls, CancelOutcome, ChargeOutcome, ChargeRequest, ChargeStatus, RefundOutcome, RefundRequest,
    RefundStatus,
};
use crate::settings::PaymentsSettings;

const NAME: &str = "payments.provider-calls";

kernel::event_set! {
    /// What the provider is called for.
    pub enum PaymentEvent {
        Requested(PaymentRequested),
        Cancelled(PaymentCancelled),
        RefundRequested(RefundRequested),
        RefundRetried(RefundRetried),
    }
}

/// Calls the provider for what happens to payments.
pub struct ProviderCalls {
    payments: Payments,
    calls: Calls,
    first_pause: Duration,
    longest_pause: Duration,
}

/// Where the provider stands with a charge, for good.
enum Settled {
    NothingTaken,
    Declined { reason: String },
    Captured { reference: String },
}

/// Money that the provider is to give back.
struct RefundAttempt {
    payment_id: PaymentId,
    refund_id: RefundId,
    /// What the provider recognises this attempt by.
    idempotency_key: Uuid,
    amount: Decimal,
    currency: String,
}

impl RefundAttempt {
    /// The first attempt of a refund.
    fn of(refund: &RefundRequested) -> Self {
        let RefundRequested { payment_id, refund_id, amount, ref currency, .. } = *refund;
        let (idempotency_key, currency) = (refund_id.as_uuid(), currency.clone());
        Self { payment_id, refund_id, idempotency_key, amount, currency }
    }

    /// A further attempt, after the provider refused: it would answer to the same key as before.
    fn again(refund: &RefundRetried, trigger: &RecordedEvent) -> Self {
        let RefundRetried { payment_id, refund_id, amount, ref currency } = *refund;
        let (idempotency_key, currency) = (trigger.id, currency.clone());
        Self { payment_id, refund_id, idempotency_key, amount, currency }
    }
}

/// A payment that was made here begins with its request; this one does not.
#[derive(Debug, thiserror::Error)]
#[error("stream {stream} does not begin with a request for a payment")]
struct NoRequest {
    stream: StreamName,
}

impl Reaction for ProviderCalls {
    type Event = PaymentEvent;

    const NAME: &'static str = NAME;
    const KIND: ReactionKind = ReactionKind::Reactor;

    fn waiting_since(&self) -> Option<DateTime<Utc>> {
        self.calls.waiting_since()
    }

    async fn react(
        &self,
        trigger: &Envelope<PaymentEvent>,
        cause: Cause,
    ) -> Result<(), ReactionError> {
        let recorded = &*trigger.recorded;
        match &trigger.event {
            PaymentEvent::Requested(request) => self.collect(request, recorded, &cause).await,
            PaymentEvent::Cancelled(cancelled) => self.call_off(cancelled, recorded, &cause).await,
            PaymentEvent::RefundRequested(refund) => {
                self.give_back(RefundAttempt::of(refund), recorded, &cause).await
            }
            PaymentEvent::RefundRetried(refund) => {
                self.give_back(RefundAttempt::again(refund, recorded), recorded, &cause).await
            }
        }
    }
}

impl ProviderCalls {
    pub(crate) fn new(payments: Payments, calls: Calls, settings: &PaymentsSettings) -> Self {
        Self {
            payments,
            calls,
            first_pause: settings.first_pause(),
            longest_pause: settings.longest_pause(),
        }
    }

    /// Charges until the provider has decided, somebody has cancelled, or the deadline has passed.
    async fn collect(
        &self,
        request: &PaymentRequested,
        trigger: &RecordedEvent,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        let charge = ChargeRequest {
            idempotency_key: trigger.id,
            payment_id: request.payment_id,
            amount: request.amount,
            currency: request.currency.clone(),
            method: request.method.clone(),
        };
        let mut pauses = self.pauses();
        let mut outcome_unknown = false;
        loop {
            let loaded = self.payments.load(request.payment_id).await.map_err(load_failure)?;
            if !matches!(loaded.state, Payment::Pending(_)) {
                // Decided before a restart, or cancelled: the cancellation comes next in this
                // stream and sees to it that nothing stays taken.
                return Ok(());
            }
            let now = self.payments.environment.clock.now();
            let left = (request.deadline - now).to_std().unwrap_or_default();
            if left.is_zero() {
                let settled = self.settle(charge.idempotency_key).await;
                return self.give_up(request, settled, trigger, cause).await;
            }
            let until = Instant::now().checked_add(left);
            let status = if outcome_unknown {
                self.calls.lookup(charge.idempotency_key, until).await
            } else {
                self.calls.charge(&charge, until).await.map(ChargeStatus::from)
            };
            let left_alone = match status {
                Ok(ChargeStatus::Captured { reference }) => {
                    return self
                        .record_capture(request.payment_id, reference, trigger, cause)
                        .await;
                }
                Ok(ChargeStatus::Declined { reason }) => {
                    return self.record_decline(request.payment_id, reason, trigger, cause).await;
                }
                Ok(ChargeStatus::Cancelled) => {
                    let reason = "cancelled at the payment provider".to_owned();
                    return self.record_decline(request.payment_id, reason, trigger, cause).await;
                }
                Ok(ChargeStatus::Pending) => {
                    outcome_unknown = true;
                    None
                }
                Ok(ChargeStatus::NotFound) => {
                    outcome_unknown = false;
                    None
                }
                Err(error) if !outcome_unknown && error.leaves_outcome_unknown() => {
                    outcome_unknown = true;
                    continue; // what became of it is asked at once
                }
                Err(error) => error.retry_after(),
            };
            let pause = self.next_pause(&mut pauses, left_alone);
            tokio::time::sleep(pause.min(left)).await;
        }
    }

    /// The deadline has passed and the charge is settled: money that came counts, else it is over.
    async fn give_up(
        &self,
        request: &PaymentRequested,
        settled: Settled,
        trigger: &RecordedEvent,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        let id = request.payment_id;
        match settled {
            Settled::Captured { reference } => {
                self.record_capture(id, reference, trigger, cause).await
            }
            Settled::Declined { reason } => self.record_decline(id, reason, trigger, cause).await,
            Settled::NothingTaken => {
                let cause = because(cause, trigger, "expired");
                recorded(self.payments.expire(id, &cause).await)
            }
        }
    }

    /// Makes sure that nothing stays taken of a payment that was cancelled.
    async fn call_off(
        &self,
        cancelled: &PaymentCancelled,
        trigger: &RecordedEvent,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        let charge_key = self.charge_key(&trigger.stream).await?;
        match self.settle(charge_key).await {
            Settled::NothingTaken | Settled::Declined { .. } => Ok(()),
            Settled::Captured { reference } => {
                self.record_capture(cancelled.payment_id, reference, trigger, cause).await
            }
        }
    }

    /// Gives money back until the provider has done it, or refuses.
    async fn give_back(
        &self,
        refund: RefundAttempt,
        trigger: &RecordedEvent,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        let request = RefundRequest {
            idempotency_key: refund.idempotency_key,
            charge_key: self.charge_key(&trigger.stream).await?,
            amount: refund.amount,
            currency: refund.currency,
        };
        let (id, refund_id) = (refund.payment_id, refund.refund_id);
        let mut pauses = self.pauses();
        let mut outcome_unknown = false;
        loop {
            let status = if outcome_unknown {
                self.calls.lookup_refund(request.idempotency_key).await
            } else {
                match self.calls.refund(&request).await {
                    Ok(RefundOutcome::Refunded { reference }) => {
                        Ok(RefundStatus::Refunded { reference })
                    }
                    Ok(RefundOutcome::Pending) => Ok(RefundStatus::Pending),
                    Ok(RefundOutcome::Refused { code }) => {
                        tracing::warn!(%refund_id, code, "the payment provider refuses a refund");
                        let cause = because(cause, trigger, "refund-failed");
                        let failed =
                            self.payments.record_refund_failure(id, refund_id, code, &cause);
                        return recorded(failed.await);
                    }
                    Err(error) => Err(error),
                }
            };
            let left_alone = match status {
                Ok(RefundStatus::Refunded { reference }) => {
                    let cause = because(cause, trigger, "refunded");
                    let done = self.payments.record_refund(id, refund_id, reference, &cause);
                    return recorded(done.await);
                }
                Ok(RefundStatus::Pending) => {
                    outcome_unknown = true;
                    None
                }
                Ok(RefundStatus::NotFound) => {
                    outcome_unknown = false;
                    None
                }
                Err(error) if !outcome_unknown && error.leaves_outcome_unknown() => {
                    outcome_unknown = true;
                    continue;
                }
                Err(error) => error.retry_after(),
            };
            tokio::time::sleep(self.next_pause(&mut pauses, left_alone)).await;
        }
    }

    /// Cancels a charge until the provider's answer is definite.
    async fn settle(&self, charge_key: Uuid) -> Settled {
        let mut pauses = self.pauses();
        loop {
            match self.calls.cancel(charge_key).await {
                Ok(CancelOutcome::Cancelled) => return Settled::NothingTaken,
                Ok(CancelOutcome::AlreadyDeclined { reason }) => {
                    return Settled::Declined { reason };
                }
                Ok(CancelOutcome::AlreadyCaptured { reference }) => {
                    return Settled::Captured { reference };
                }
                Err(error) => {
                    tokio::time::sleep(self.next_pause(&mut pauses, error.retry_after())).await;
                }
            }
        }
    }

    async fn record_capture(
        &self,
        id: PaymentId,
        reference: String,
        trigger: &RecordedEvent,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        let cause = because(cause, trigger, "captured");
        recorded(self.payments.record_capture(id, reference, &cause).await)
    }

    async fn record_decline(
        &self,
        id: PaymentId,
        reason: String,
        trigger: &RecordedEvent,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        let cause = because(cause, trigger, "declined");
        recorded(self.payments.record_decline(id, reason, &cause).await)
    }

    /// The idempotency key of a payment's charge: the id of its request, the first event of its
    /// stream.
    async fn charge_key(&self, stream: &StreamName) -> Result<Uuid, ReactionError> {
        let store = &self.payments.environment.store;
        let page = store.read_stream(stream, 0, 1).await.map_err(read_failure)?;
        let request = page.first().filter(|event| {
            event.event_type == <PaymentRequested as event_contract::Published>::TYPE
        });
        request
            .map(|event| event.id)
            .ok_or_else(|| ReactionError::Permanent(NoRequest { stream: stream.clone() }.into()))
    }

    /// Growing pauses between two calls for the same payment. The longest ones differ, too: after
    /// an outage many payments wait, and their calls must not all come at the same moments.
    fn pauses(&self) -> impl Iterator<Item = Duration> {
        // Jitter adds up to as much again.
        backoff::endless(self.first_pause, self.longest_pause / 2)
    }

    /// The next pause, begun when the provider wants calls again where it asked to be left alone.
    fn next_pause(
        &self,
        pauses: &mut impl Iterator<Item = Duration>,
        left_alone: Option<Duration>,
    ) -> Duration {
        let pause = pauses.next().unwrap_or(self.longest_pause).min(self.longest_pause);
        left_alone.unwrap_or_default().saturating_add(pause)
    }
}

impl From<ChargeOutcome> for ChargeStatus {
    fn from(outcome: ChargeOutcome) -> Self {
        match outcome {
            ChargeOutcome::Captured { reference } => Self::Captured { reference },
            ChargeOutcome::Declined { reason } => Self::Declined { reason },
            ChargeOutcome::Pending => Self::Pending,
        }
    }
}

/// The trigger as the cause of one of its possible outcomes. Each outcome has ids of its own: were
/// another one decided after a crash, it would not be mistaken for the first.
fn because(cause: &Cause, trigger: &RecordedEvent, outcome: &str) -> Cause {
    cause.clone().recognised_by(trigger.id, format!("{NAME}/{outcome}"))
}

fn recorded(outcome: Result<Executed, Error>) -> Result<(), ReactionError> {
    outcome?;
    Ok(())
}

fn read_failure(error: ReadError) -> ReactionError {
    match error {
        ReadError::Unavailable(_) | ReadError::WentBack => ReactionError::Transient(error.into()),
        ReadError::Damaged { .. } => ReactionError::Permanent(error.into()),
    }
}

fn load_failure(error: LoadError) -> ReactionError {
    match error {
        LoadError::Read(error) => read_failure(error),
        LoadError::Codec(error) if error.is_transient() => ReactionError::Transient(error.into()),
        LoadError::Codec(error) => ReactionError::Permanent(error.into()),
    }
}
