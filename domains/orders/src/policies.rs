//! Reactions to events of other modules.

use billing_contract::{InvoicePaid, InvoiceVoided, VoidReason};
use kernel::codec::Envelope;
use kernel::execution::Cause;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, tolerate};
use orders_contract::{CancellationReason, OrderId};
use uuid::Uuid;

use crate::domain::Refusal;
use crate::handlers::Orders;

kernel::event_set! {
    /// The result of an order's payment, as its invoice shows it.
    pub enum PaymentEvent {
        Paid(InvoicePaid),
        Voided(InvoiceVoided),
    }
}

/// Confirms an order when its invoice is paid, and cancels it when its payment failed.
pub struct PaymentOutcome(
    /// Handler of the commands.
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
                // Billing voided the invoice because the order is cancelled. An order whose invoice is
                // written off stays confirmed.
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
                // Billing reacts to the cancellation itself: it voids the invoice and refunds
                // the payment.
                Refusal::AlreadyCancelled => {
                    Some("the order was cancelled before the payment arrived")
                }
                // An invoice issued in this system does not confirm an order that the legacy system owns.
                Refusal::OwnedByLegacy => Some("the legacy system owns the order"),
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
                // A command confirmed the order before the payment. Billing reads that event, too, and
                // issues the invoice again.
                Refusal::AlreadyConfirmed => {
                    Some("the order was confirmed before its payment failed")
                }
                Refusal::AlreadyFulfilled => {
                    Some("the order was fulfilled before its payment failed")
                }
                Refusal::OwnedByLegacy => Some("the legacy system owns the order"),
                _ => None,
            })?;
        }
        Ok(())
    }
}
