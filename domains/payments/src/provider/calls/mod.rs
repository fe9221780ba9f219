//! The limits on calls to the provider: a number of calls at once, a time-out for each, and a circuit
//! breaker.
//!
//! Charges do not count as failures of the provider. A charge may stay unanswered or fail because of
//! the bank or the card behind it, and many such charges may occur at once while the provider works.
//! The enquiry that follows is what counts: an answer resets the count of failures, silence or an error
//! increases it, as for a cancellation or refund.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use failsafe::{Config, Instrument, StateMachine};
use kernel::seams::SharedClock;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::{
    CancelOutcome, ChargeOutcome, ChargeRequest, ChargeStatus, PaymentProvider, ProviderError,
    RefundOutcome, RefundRequest, RefundStatus,
};
use crate::settings::{BreakerSettings, PaymentsSettings};

mod waiting;

use waiting::Waiting;

/// The reason why a call brought no answer. Its effect is unknown unless it was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The provider did not answer in time.
    #[error("the payment provider did not answer in time")]
    TimedOut,
    /// The call was not made: too many calls are under way, or the circuit is open.
    #[error("the payment provider was not called")]
    NotCalled,
    /// The provider returned an error.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl CallError {
    /// Returns whether the call may have had an effect.
    pub(crate) fn leaves_outcome_unknown(&self) -> bool {
        match self {
            Self::TimedOut | Self::Provider(ProviderError::Unavailable(_)) => true,
            Self::NotCalled | Self::Provider(ProviderError::RateLimited { .. }) => false,
        }
    }

    /// Returns the time without calls that the provider asks for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Provider(ProviderError::RateLimited { retry_after }) => *retry_after,
            Self::TimedOut | Self::NotCalled | Self::Provider(ProviderError::Unavailable(_)) => {
                None
            }
        }
    }
}

/// The provider behind concurrency limits, a time-out and a circuit breaker.
pub(crate) struct Calls {
    provider: Arc<dyn PaymentProvider>,
    /// Permits for charges, which may hang. A permit is held during a call, never during a pause
    /// between two calls.
    charges: Semaphore,
    /// Charges that wait for a permit.
    waiting: Waiting,
    /// Permits for all other calls. They settle charges that hang, so they must not queue behind them.
    enquiries: Semaphore,
    breaker: StateMachine<ConsecutiveFailures<Doubling>, CircuitGauge>,
    call_timeout: Duration,
    clock: SharedClock,
}

/// An operation of the provider.
struct Operation {
    name: &'static str,
    failure: Failure,
}

/// What a call without an answer says about the provider.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Nothing: the cause may be the charge. The enquiry that follows decides.
    MayBeOfThisCharge,
    /// The provider does not work.
    IsOfTheProvider,
}

const CHARGE: Operation = Operation { name: "charge", failure: Failure::MayBeOfThisCharge };
const LOOKUP: Operation = Operation { name: "lookup", failure: Failure::IsOfTheProvider };
const CANCEL: Operation = Operation { name: "cancel", failure: Failure::IsOfTheProvider };
const REFUND: Operation = Operation { name: "refund", failure: Failure::IsOfTheProvider };
const LOOKUP_REFUND: Operation =
    Operation { name: "lookup_refund", failure: Failure::IsOfTheProvider };

/// Waits for a permit without a limit.
pub(crate) const UNTIL_DONE: Option<Instant> = None;

impl Calls {
    pub(crate) fn new(
        provider: Arc<dyn PaymentProvider>,
        settings: &PaymentsSettings,
        clock: SharedClock,
    ) -> Self {
        let policy =
            consecutive_failures(settings.breaker.failures, Doubling::new(&settings.breaker));
        Self {
            provider,
            charges: Semaphore::new(settings.concurrent_charges.max(1) as usize),
            waiting: Waiting::default(),
            enquiries: Semaphore::new(settings.concurrent_enquiries.max(1) as usize),
            breaker: Config::new().failure_policy(policy).instrument(CircuitGauge).build(),
            call_timeout: settings.call_timeout(),
            clock,
        }
    }

    /// Returns since when a charge has been waiting for this process's own work only, and not for an
    /// external service.
    pub(crate) fn waiting_since(&self) -> Option<DateTime<Utc>> {
        self.waiting.since().filter(|_| self.provider.is_own_work())
    }

    /// Captures money; waits for a permit until `until`.
    pub(crate) async fn charge(
        &self,
        request: &ChargeRequest,
        until: Option<Instant>,
    ) -> Result<ChargeOutcome, CallError> {
        self.call(&CHARGE, until, self.provider.charge(request), charge_label).await
    }

    /// Returns the state of a charge; waits for a permit until `until`.
    pub(crate) async fn lookup(
        &self,
        idempotency_key: Uuid,
        until: Option<Instant>,
    ) -> Result<ChargeStatus, CallError> {
        self.call(&LOOKUP, until, self.provider.lookup(idempotency_key), status_label).await
    }

    /// Cancels a charge unless its money is captured.
    pub(crate) async fn cancel(&self, idempotency_key: Uuid) -> Result<CancelOutcome, CallError> {
        self.call(&CANCEL, UNTIL_DONE, self.provider.cancel(idempotency_key), cancel_label).await
    }

    /// Refunds money.
    pub(crate) async fn refund(&self, request: &RefundRequest) -> Result<RefundOutcome, CallError> {
        self.call(&REFUND, UNTIL_DONE, self.provider.refund(request), refund_label).await
    }

    /// Returns the state of a refund.
    pub(crate) async fn lookup_refund(
        &self,
        idempotency_key: Uuid,
    ) -> Result<RefundStatus, CallError> {
        let enquiry = self.provider.lookup_refund(idempotency_key);
        self.call(&LOOKUP_REFUND, UNTIL_DONE, enquiry, refund_status_label).await
    }

    async fn call<T>(
        &self,
        &Operation { name, failure }: &Operation,
        until: Option<Instant>,
        call: impl Future<Output = Result<T, ProviderError>>,
        label: fn(&T) -> &'static str,
    ) -> Result<T, CallError> {
        let permit = async {
            match failure {
                Failure::MayBeOfThisCharge => {
                    let _waiting = self.waiting.begin(self.clock.now());
                    self.charges.acquire().await
                }
                Failure::IsOfTheProvider => self.enquiries.acquire().await,
            }
        };
        let permit = match until {
            Some(until) => timeout_at(until, permit).await.map_err(|_| CallError::NotCalled)?,
            None => permit.await,
        };
        // The semaphore is never closed. If it were, calls would continue without a limit rather than
        // stop.
        let _permit = permit.ok();
        if !self.breaker.is_call_permitted() {
            count(name, "not_called");
            return Err(CallError::NotCalled);
        }
        let left = until.map_or(self.call_timeout, |until| {
            self.call_timeout.min(until.saturating_duration_since(Instant::now()))
        });
        match timeout(left, call).await {
            Ok(Ok(answer)) => {
                self.breaker.on_success();
                count(name, label(&answer));
                Ok(answer)
            }
            // The provider works, so other calls may continue.
            Ok(Err(error @ ProviderError::RateLimited { .. })) => {
                self.breaker.on_success();
                count(name, "rate_limited");
                Err(error.into())
            }
            Ok(Err(error @ ProviderError::Unavailable(_))) => {
                if failure == Failure::IsOfTheProvider {
                    self.breaker.on_error();
                }
                count(name, "unavailable");
                Err(error.into())
            }
            Err(_) => {
                // A call cut short by the deadline of its payment says nothing about the provider.
                if failure == Failure::IsOfTheProvider && left == self.call_timeout {
                    self.breaker.on_error();
                }
                count(name, "timed_out");
                Err(CallError::TimedOut)
            }
        }
    }
}

fn count(operation: &'static str, outcome: &'static str) {
    metrics::counter!(
        "payment_provider_calls_total", "operation" => operation, "outcome" => outcome
    )
    .increment(1);
}

fn charge_label(outcome: &ChargeOutcome) -> &'static str {
    match outcome {
        ChargeOutcome::Captured { .. } => "captured",
        ChargeOutcome::Declined { .. } => "declined",
        ChargeOutcome::Pending => "pending",
    }
}

fn status_label(status: &ChargeStatus) -> &'static str {
    match status {
        ChargeStatus::Captured { .. } => "captured",
        ChargeStatus::Declined { .. } => "declined",
        ChargeStatus::Pending => "pending",
        ChargeStatus::NotFound => "not_found",
        ChargeStatus::Cancelled => "cancelled",
    }
}

fn cancel_label(outcome: &CancelOutcome) -> &'static str {
    match outcome {
        CancelOutcome::Cancelled => "cancelled",
        CancelOutcome::AlreadyDeclined { .. } => "declined",
        CancelOutcome::AlreadyCaptured { .. } => "captured",
    }
}

fn refund_label(outcome: &RefundOutcome) -> &'static str {
    match outcome {
        RefundOutcome::Refunded { .. } => "refunded",
        RefundOutcome::Pending => "pending",
        RefundOutcome::Refused { .. } => "refused",
    }
}

fn refund_status_label(status: &RefundStatus) -> &'static str {
    match status {
        RefundStatus::Refunded { .. } => "refunded",
        RefundStatus::Pending => "pending",
        RefundStatus::NotFound => "not_found",
    }
}

/// The pauses of the circuit breaker: each is twice the one before, up to a limit. (The exponential
/// policy of the crate counts in whole seconds.)
#[derive(Debug, Clone)]
struct Doubling {
    next: Duration,
    longest: Duration,
}

impl Doubling {
    fn new(settings: &BreakerSettings) -> Self {
        Self {
            next: Duration::from_millis(settings.first_pause_ms),
            longest: Duration::from_millis(settings.longest_pause_ms),
        }
    }
}

impl Iterator for Doubling {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next.min(self.longest);
        self.next = pause.saturating_mul(2);
        Some(pause)
    }
}

/// The metric of the circuit: 0 closed (calls are made), 0.5 half open (one call is tried), 1 open (no
/// calls).
#[derive(Debug)]
struct CircuitGauge;

impl CircuitGauge {
    fn set(state: f64) {
        metrics::gauge!("payment_provider_circuit_open").set(state);
    }
}

impl Instrument for CircuitGauge {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        tracing::warn!("the payment provider fails repeatedly; calls are suspended");
        Self::set(1.0);
    }

    fn on_half_open(&self) {
        Self::set(0.5);
    }

    fn on_closed(&self) {
        Self::set(0.0);
    }
}

#[cfg(test)]
mod tests;
