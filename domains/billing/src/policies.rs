//! Reactions of billing to the events of orders and payments.

use billing_contract::{BillTo, CollectionFailure, InvoiceId, VoidReason};
use customers_contract::CustomerId;
use event_contract::Personal;
use kernel::codec::Envelope;
use kernel::event::Position;
use kernel::execution::Cause;
use kernel::projection::Patience;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, tolerate};
use orders_contract::{
    CancellationReason, OrderCancelled, OrderPlaced, OrderReturned, PaymentDeferred,
};
use payments_contract::{
    PaymentCancelled, PaymentCaptured, PaymentCapturedLate, PaymentDeclined, PaymentExpired,
    PaymentId, PaymentRefunded, RefundProposed,
};

use crate::domain::{Receipt, Refusal, Repayment};
use crate::handlers::{Billing, Error, invoice_of, refund_of_surplus, replacement_of};
use crate::queries::known_customers;

kernel::event_set! {
    /// The course of an order placed here.
    pub enum OrderEvent {
        Placed(OrderPlaced),
        Deferred(PaymentDeferred),
        Cancelled(OrderCancelled),
        Returned(OrderReturned),
    }
}

/// Issues the invoice of an order, keeps it due when the order is carried out unpaid, voids it when the
/// order is cancelled, and credits returns. One subscription reads all these events in the order of
/// each order's stream, so a cancellation never overtakes its placing.
pub struct Invoicing(
    /// Commands of billing.
    pub Billing,
);

/// The reason why an order cannot be invoiced.
#[derive(Debug, thiserror::Error)]
enum InvoicingError {
    /// The read model of customers is behind.
    #[error("the customer's name and address are not in the read model yet")]
    CustomersBehind,
    /// No customer of this id was registered or imported before the order.
    #[error("the order's customer is unknown; an invoice must name its customer")]
    CustomerUnknown,
}

impl Reaction for Invoicing {
    type Event = OrderEvent;

    const NAME: &'static str = "billing.invoicing";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(&self, event: &Envelope<OrderEvent>, cause: Cause) -> Result<(), ReactionError> {
        match &event.event {
            OrderEvent::Placed(order) => {
                let known_at = event.recorded.position;
                let bill_to = self.bill_to(order.customer_id.into(), known_at).await?;
                // No refusal is expected: an order is placed once.
                tolerate(self.0.issue(order, bill_to, &cause).await, |_| None)
            }
            OrderEvent::Deferred(order) => {
                tolerate(self.0.defer(order.order_id, &cause).await, no_invoice)
            }
            OrderEvent::Cancelled(order) => self.cancel(order, &cause).await,
            OrderEvent::Returned(order) => {
                let invoice = self.0.standing_invoice(order.order_id).await;
                let invoice = invoice.map_err(Error::from)?;
                tolerate(self.0.credit_return(invoice, order, &cause).await, no_invoice)
            }
        }
    }
}

/// Tolerates a missing invoice: its event was parked and skipped by an operator, so there is nothing to
/// void or credit.
fn no_invoice(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::NoSuchInvoice => Some("the order has no invoice"),
        _ => None,
    }
}

impl Invoicing {
    async fn cancel(&self, order: &OrderCancelled, cause: &Cause) -> Result<(), ReactionError> {
        let reason = VoidReason::OrderCancelled;
        let invoice = invoice_of(order.order_id);
        tolerate(self.0.void(invoice, reason, cause).await, no_invoice)?;
        match order.reason {
            // Only an order that was confirmed manually has a replacement invoice.
            CancellationReason::Requested { .. } => {
                let replacement = replacement_of(invoice);
                tolerate(self.0.void(replacement, reason, cause).await, no_invoice)
            }
            CancellationReason::PaymentDeclined
            | CancellationReason::PaymentExpired
            | CancellationReason::PaymentCancelled => Ok(()),
        }
    }

    /// Returns the addressee of an order's invoice as known when the order was placed; `None` if the
    /// customer has no name, because it was erased or the legacy system has none.
    async fn bill_to(
        &self,
        customer: CustomerId,
        known_at: Position,
    ) -> Result<Option<Personal<BillTo>>, ReactionError> {
        if !self.0.known_customers.reached(known_at, Patience::Reaction).await {
            return Err(ReactionError::Transient(InvoicingError::CustomersBehind.into()));
        }
        let known = known_customers::find(&self.0.database, customer)
            .await?
            .ok_or_else(|| ReactionError::Permanent(InvoicingError::CustomerUnknown.into()))?;
        Ok(known.name.map(|name| {
            let address_lines = known.address_lines.unwrap_or_default();
            Personal::Known(BillTo { name, address_lines, vat_number: known.vat_number })
        }))
    }
}

kernel::event_set! {
    /// The course of an invoice's payment.
    pub enum PaymentEvent {
        Captured(PaymentCaptured),
        Declined(PaymentDeclined),
        Expired(PaymentExpired),
        Cancelled(PaymentCancelled),
        CapturedLate(PaymentCapturedLate),
        RefundProposed(RefundProposed),
        Refunded(PaymentRefunded),
    }
}

/// Settles invoices on payment; voids them when their payment fails, unless their order is carried out
/// unpaid; credits proposed refunds; records refunds. It reads only payments requested here: imported
/// payments publish other events.
pub struct Settlement(
    /// Commands of billing.
    pub Billing,
);

impl Reaction for Settlement {
    type Event = PaymentEvent;

    const NAME: &'static str = "billing.settlement";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(
        &self,
        event: &Envelope<PaymentEvent>,
        cause: Cause,
    ) -> Result<(), ReactionError> {
        match &event.event {
            PaymentEvent::Captured(payment) => {
                let PaymentCaptured { payment_id, invoice_id, amount, currency, .. } =
                    payment.clone();
                let refund_id = refund_of_surplus(payment_id);
                let receipt = Receipt { payment_id, amount, currency, refund_id, is_late: false };
                self.pay(invoice_id.into(), receipt, &cause).await
            }
            PaymentEvent::CapturedLate(payment) => {
                let PaymentCapturedLate { payment_id, invoice_id, amount, currency, .. } =
                    payment.clone();
                let refund_id = refund_of_surplus(payment_id);
                let receipt = Receipt { payment_id, amount, currency, refund_id, is_late: true };
                self.pay(invoice_id.into(), receipt, &cause).await
            }
            PaymentEvent::Declined(PaymentDeclined { invoice_id, payment_id, .. }) => {
                self.fail(
                    InvoiceId::from(*invoice_id),
                    *payment_id,
                    CollectionFailure::Declined,
                    &cause,
                )
                .await
            }
            PaymentEvent::Expired(PaymentExpired { invoice_id, payment_id }) => {
                self.fail(
                    InvoiceId::from(*invoice_id),
                    *payment_id,
                    CollectionFailure::Expired,
                    &cause,
                )
                .await
            }
            PaymentEvent::Cancelled(PaymentCancelled { invoice_id, payment_id }) => {
                self.fail(
                    InvoiceId::from(*invoice_id),
                    *payment_id,
                    CollectionFailure::Cancelled,
                    &cause,
                )
                .await
            }
            PaymentEvent::RefundProposed(proposed) => {
                // No refusal is expected: a refund that cannot be credited is denied by an event.
                tolerate(self.0.credit_refund(proposed, &cause).await, |_| None)
            }
            PaymentEvent::Refunded(payment) => {
                let repayment = Repayment {
                    payment_id: payment.payment_id,
                    refund_id: payment.refund_id,
                    amount: payment.amount,
                    currency: payment.currency.clone(),
                };
                let outcome = self.0.refund(payment.invoice_id.into(), repayment, &cause).await;
                tolerate(outcome, |refusal| match refusal {
                    // The payment was captured late, and payments refunds it on its own.
                    Refusal::NotPaid | Refusal::PaidByAnother => {
                        Some("the invoice never held this money")
                    }
                    _ => None,
                })
            }
        }
    }
}

impl Settlement {
    async fn pay(
        &self,
        invoice: InvoiceId,
        receipt: Receipt,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        tolerate(self.0.pay(invoice, receipt, cause).await, |refusal| match refusal {
            // Payments reads the voiding too, and refunds the money.
            Refusal::AlreadyVoided => {
                Some("the invoice was voided, and was paid by another payment")
            }
            _ => None,
        })
    }

    async fn fail(
        &self,
        invoice: InvoiceId,
        payment: PaymentId,
        failure: CollectionFailure,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        let outcome = self.0.fail_collection(invoice, payment, failure, cause).await;
        tolerate(outcome, |refusal| match refusal {
            Refusal::AlreadyPaid => Some("another payment has settled the invoice"),
            _ => None,
        })
    }
}
