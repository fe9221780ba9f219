//! The calls to the payment provider; no other code makes any.
//!
//! An event is handled only when the outcome of its call is definite. A call without an answer has an
//! unknown outcome, and an enquiry follows. A payment expires only after the provider has confirmed
//! that the charge is cancelled; money that it captured nevertheless is recorded, and refunded if it
//! came too late. Each outcome is recorded under an id derived from the event and the outcome, so a
//! repetition after a crash changes nothing.

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
    /// The events that require a call to the provider.
    pub enum PaymentEvent {
        Requested(PaymentRequested),
        Cancelled(PaymentCancelled),
        RefundRequested(RefundRequested),
        RefundRetried(RefundRetried),
    }
}

/// Calls the provider for the events of payments.
pub struct ProviderCalls {
    payments: Payments,
    calls: Calls,
    first_pause: Duration,
    longest_pause: Duration,
}

/// The final state of a charge at the provider.
enum Settled {
    NothingTaken,
    Declined { reason: String },
    Captured { reference: String },
}

/// One attempt to refund money.
struct RefundAttempt {
    payment_id: PaymentId,
    refund_id: RefundId,
    /// Key by which the provider recognises the attempt.
    idempotency_key: Uuid,
    amount: Decimal,
    currency: String,
}

impl RefundAttempt {
    /// Returns the first attempt of a refund.
    fn of(refund: &RefundRequested) -> Self {
        let RefundRequested { payment_id, refund_id, amount, ref currency, .. } = *refund;
        let (idempotency_key, currency) = (refund_id.as_uuid(), currency.clone());
        Self { payment_id, refund_id, idempotency_key, amount, currency }
    }

    /// Returns a further attempt after the provider refused. It needs a key of its own, because the
    /// provider answers the same key as before.
    fn again(refund: &RefundRetried, trigger: &RecordedEvent) -> Self {
        let RefundRetried { payment_id, refund_id, amount, ref currency } = *refund;
        let (idempotency_key, currency) = (trigger.id, currency.clone());
        Self { payment_id, refund_id, idempotency_key, amount, currency }
    }
}

/// The stream of a payment requested here must begin with its request.
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

    /// Charges until the provider has decided, the payment is cancelled, or the deadline has passed.
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
                // The payment was decided before a restart, or it was cancelled. The cancellation is
                // the next event of this stream, and handling it leaves nothing captured.
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
            let retry_after = match status {
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
                    continue; // the enquiry follows at once
                }
                Err(error) => error.retry_after(),
            };
            let pause = self.next_pause(&mut pauses, retry_after);
            tokio::time::sleep(pause.min(left)).await;
        }
    }

    /// Records the final state of a charge after the deadline: captured money counts, otherwise the
    /// payment expires.
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
                let cause = outcome_cause(cause, trigger, "expired");
                recorded(self.payments.expire(id, &cause).await)
            }
        }
    }

    /// Cancels the charge of a cancelled payment, or records its late capture.
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

    /// Refunds until the provider has done so or refuses.
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
                        let cause = outcome_cause(cause, trigger, "refund-failed");
                        let failed =
                            self.payments.record_refund_failure(id, refund_id, code, &cause);
                        return recorded(failed.await);
                    }
                    Err(error) => Err(error),
                }
            };
            let retry_after = match status {
                Ok(RefundStatus::Refunded { reference }) => {
                    let cause = outcome_cause(cause, trigger, "refunded");
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
            tokio::time::sleep(self.next_pause(&mut pauses, retry_after)).await;
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
        let cause = outcome_cause(cause, trigger, "captured");
        recorded(self.payments.record_capture(id, reference, &cause).await)
    }

    async fn record_decline(
        &self,
        id: PaymentId,
        reason: String,
        trigger: &RecordedEvent,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        let cause = outcome_cause(cause, trigger, "declined");
        recorded(self.payments.record_decline(id, reason, &cause).await)
    }

    /// Returns the idempotency key of a payment's charge: the id of its request, which is the first
    /// event of its stream.
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

    /// Returns growing pauses between the calls for one payment. The longest pauses vary as well, so
    /// that after an outage the calls for many payments are spread.
    fn pauses(&self) -> impl Iterator<Item = Duration> {
        // Jitter adds up to the same amount again.
        backoff::endless(self.first_pause, self.longest_pause / 2)
    }

    /// Returns the next pause. It begins when the time that the provider asked for is over.
    fn next_pause(
        &self,
        pauses: &mut impl Iterator<Item = Duration>,
        retry_after: Option<Duration>,
    ) -> Duration {
        let pause = pauses.next().unwrap_or(self.longest_pause).min(self.longest_pause);
        retry_after.unwrap_or_default().saturating_add(pause)
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

/// Returns the cause of one possible outcome of an event. Each outcome has its own ids, so another
/// outcome decided after a crash is not mistaken for the first.
fn outcome_cause(cause: &Cause, trigger: &RecordedEvent, outcome: &str) -> Cause {
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
