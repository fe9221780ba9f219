//! What orders do when others' events happen.

use billing_contract::{InvoicePaid, InvoiceVoided, VoidReason};
use kernel::codec::Envelope;
use kernel::execution::Cause;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, tolerate};
use orders_contract::{CancellationReason, OrderId};
use uuid::Uuid;

use crate::domain::Refusal;
use crate::handlers::Orders;

kernel::event_set! {
    /// How the payment of an order ended, as its invoice shows it.
    pub enum PaymentEvent {
        Paid(InvoicePaid),
        Voided(InvoiceVoided),
    }
}

/// Confirms an order when its invoice is paid, cancels it when that will not happen.
pub struct PaymentOutcome(
    /// Where the commands go.
    pub Orders,
);

impl Reaction for PaymentOutcome {
    type Event = PaymentEvent;

    const NAME: &'static str = "orders.payment-outcome";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(
        &self,
        event: &Envelope<PaymentEvent>,
        cause: Cause,
    ) -> Result<(), ReactionError> {
        match &event.event {
            PaymentEvent::Paid(invoice) => self.confirm(&invoice.order_ids, &cause).await,
            PaymentEvent::Voided(invoice) => match invoice.reason {
                // It is the cancellation itself that made billing void the invoice; and what is written
                // off is carried out all the same.
                VoidReason::OrderCancelled | VoidReason::WrittenOff => Ok(()),
                VoidReason::PaymentDeclined => {
                    let reason = CancellationReason::PaymentDeclined;
                    self.cancel(&invoice.order_ids, reason, &cause).await
                }
                VoidReason::PaymentExpired => {
                    let reason = CancellationReason::PaymentExpired;
                    self.cancel(&invoice.order_ids, reason, &cause).await
                }
                VoidReason::PaymentCancelled => {
                    let reason = CancellationReason::PaymentCancelled;
                    self.cancel(&invoice.order_ids, reason, &cause).await
                }
            },
        }
    }
}

impl PaymentOutcome {
    async fn confirm(&self, orders: &[Uuid], cause: &Cause) -> Result<(), ReactionError> {
        for id in orders {
            let outcome = self.0.confirm_paid(OrderId::from(*id), cause).await;
            tolerate(outcome, |refusal| match refusal {
                // Billing sees the cancellation too, voids the invoice and gives the money back.
                Refusal::AlreadyCancelled => Some("it was cancelled before the payment arrived"),
                // An invoice that was issued here for an order of the legacy system does not
                // confirm it: the legacy system has its own say.
                Refusal::OwnedByLegacy => Some("the legacy system owns it"),
                _ => None,
            })?;
        }
        Ok(())
    }

    async fn cancel(
        &self,
        orders: &[Uuid],
        reason: CancellationReason,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        for id in orders {
            let outcome = self.0.cancel(OrderId::from(*id), reason.clone(), cause, None).await;
            tolerate(outcome, |refusal| match refusal {
                // Confirmed by hand, without waiting for the payment. Billing hears of that, too, and
                // issues the invoice anew.
                Refusal::AlreadyConfirmed => Some("it was confirmed before its payment failed"),
                Refusal::AlreadyFulfilled => Some("it was fulfilled before its payment failed"),
                Refusal::OwnedByLegacy => Some("the legacy system owns it"),
                _ => None,
            })?;
        }
        Ok(())
    }
}
