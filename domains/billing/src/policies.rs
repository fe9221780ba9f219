//! What billing does when others' events happen.

use std::time::Duration;

use async_trait::async_trait;
use billing_contract::{BillTo, VoidReason};
use customers_contract::CustomerId;
use event_contract::Personal;
use kernel::codec::Envelope;
use kernel::event::Position;
use kernel::execution::Cause;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, settle};
use orders_contract::{OrderCancelled, OrderPlaced};
use payments_contract::{PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded};

use crate::domain::{Receipt, Refusal, Repayment};
use crate::handlers::{Billing, invoice_of};
use crate::queries;

/// How long an invoice waits for its customer's name and address to be known here.
const CATCH_UP: Duration = Duration::from_secs(10);

kernel::event_set! {
    /// What becomes of orders placed here.
    pub enum OrderEvent {
        Placed(OrderPlaced),
        Cancelled(OrderCancelled),
    }
}

/// Issues the invoice of an order and voids it when the order is cancelled. One subscription for
/// both, in order per order: a cancellation never overtakes its placing.
pub struct Invoicing(
    /// Where the commands go.
    pub Billing,
);

/// Why an order cannot be invoiced.
#[derive(Debug, thiserror::Error)]
enum InvoicingError {
    /// The read model is behind.
    #[error("the customer's name and address are not known yet")]
    CustomersBehind,
    /// Nobody of this id was registered or imported before the order.
    #[error("the order's customer is not known: an invoice must say whom it is for")]
    CustomerUnknown,
}

#[async_trait]
impl Reaction for Invoicing {
    type Event = OrderEvent;

    const NAME: &'static str = "billing.invoicing";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(&self, event: &Envelope<OrderEvent>, cause: Cause) -> Result<(), ReactionError> {
        match &event.event {
            OrderEvent::Placed(order) => {
                let known_at = event.recorded.position;
                let bill_to = self.bill_to(order.customer_id, known_at).await?;
                // No refusal is expected: an order is placed once.
                settle(self.0.issue(order, bill_to, &cause).await, |_| None)
            }
            OrderEvent::Cancelled(order) => {
                let invoice = invoice_of(order.order_id);
                let outcome = self.0.void(invoice, VoidReason::OrderCancelled, &cause).await;
                settle(outcome, |refusal| match refusal {
                    // Issuing it failed and was given up by hand: there is nothing to take back.
                    Refusal::NoSuchInvoice => Some("there is no invoice to void"),
                    _ => None,
                })
            }
        }
    }
}

impl Invoicing {
    /// Whom an order's invoice is addressed to, as known when the order was placed. `None` when
    /// the customer has no name, be it that it was erased or never imported.
    async fn bill_to(
        &self,
        customer: CustomerId,
        known_at: Position,
    ) -> Result<Option<Personal<BillTo>>, ReactionError> {
        if !self.0.known_customers.reached(known_at, CATCH_UP).await {
            return Err(ReactionError::Transient(InvoicingError::CustomersBehind.into()));
        }
        let known = queries::known_customer(&self.0.database, customer)
            .await?
            .ok_or_else(|| ReactionError::Permanent(InvoicingError::CustomerUnknown.into()))?;
        Ok(known.name.map(|name| {
            let address_lines = known.address_lines.unwrap_or_default();
            Personal::Known(BillTo { name, address_lines, vat_number: known.vat_number })
        }))
    }
}

kernel::event_set! {
    /// How the payment of an invoice goes.
    pub enum PaymentEvent {
        Captured(PaymentCaptured),
        Declined(PaymentDeclined),
        Expired(PaymentExpired),
        Refunded(PaymentRefunded),
    }
}

/// Settles invoices whose payment came, voids those whose payment will not, and takes note of
/// money that went back. Only of payments asked for here: imported ones publish other events.
pub struct Settlement(
    /// Where the commands go.
    pub Billing,
);

#[async_trait]
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
                let receipt = Receipt {
                    payment_id: payment.payment_id,
                    amount: payment.amount,
                    currency: payment.currency.clone(),
                };
                let outcome = self.0.pay(payment.invoice_id, receipt, &cause).await;
                settle(outcome, |refusal| match refusal {
                    // The order was cancelled meanwhile. Payments sees the voiding too and gives
                    // the money back.
                    Refusal::AlreadyVoided => Some("the invoice was voided before the money came"),
                    _ => None,
                })
            }
            PaymentEvent::Declined(payment) => {
                let reason = VoidReason::PaymentDeclined;
                settle(self.0.void(payment.invoice_id, reason, &cause).await, paid_already)
            }
            PaymentEvent::Expired(payment) => {
                let reason = VoidReason::PaymentExpired;
                settle(self.0.void(payment.invoice_id, reason, &cause).await, paid_already)
            }
            PaymentEvent::Refunded(payment) => {
                let repayment = Repayment {
                    payment_id: payment.payment_id,
                    amount: payment.amount,
                    currency: payment.currency.clone(),
                };
                settle(self.0.refund(payment.invoice_id, repayment, &cause).await, |_| None)
            }
        }
    }
}

fn paid_already(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::AlreadyPaid => Some("another payment has settled the invoice"),
        _ => None,
    }
}
