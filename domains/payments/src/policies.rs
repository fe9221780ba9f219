//! Reactions of payments to the events of invoices.

use std::time::Duration;

use billing_contract::{
    CollectionRequested, InvoiceCredited, InvoiceId, InvoiceIssued, InvoiceVoided, RefundDenied,
    RefundDue,
};
use kernel::codec::Envelope;
use kernel::execution::{Cause, Executed};
use kernel::reaction::{Reaction, ReactionError, ReactionKind, tolerate};
use payments_contract::{PaymentId, PaymentRequested};

use crate::domain::Refusal;
use crate::handlers::{Error, Payments, attempt_of, deadline_after, payment_of};

kernel::event_set! {
    /// The events of invoices that payments follow from.
    pub enum InvoiceEvent {
        Issued(InvoiceIssued),
        CollectionRequested(CollectionRequested),
        Credited(InvoiceCredited),
        RefundDue(RefundDue),
        RefundDenied(RefundDenied),
        Voided(InvoiceVoided),
    }
}

/// Requests the payments of invoices, refunds credited money, and cancels or refunds the payments of
/// voided invoices.
pub struct Collection {
    pub(crate) payments: Payments,
    /// Time from the record of an invoice to the deadline of its payment.
    pub(crate) patience: Duration,
}

impl Reaction for Collection {
    type Event = InvoiceEvent;

    const NAME: &'static str = "payments.collection";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(
        &self,
        event: &Envelope<InvoiceEvent>,
        cause: Cause,
    ) -> Result<(), ReactionError> {
        match &event.event {
            InvoiceEvent::Issued(invoice) => {
                let request = PaymentRequested {
                    payment_id: payment_of(invoice.invoice_id),
                    invoice_id: invoice.invoice_id.as_uuid(),
                    amount: invoice.total,
                    currency: invoice.currency.clone(),
                    method: invoice.payment_method.clone(),
                    deadline: deadline_after(&event.recorded, self.patience),
                    customer_id: invoice.customer_id,
                };
                // No refusal is expected: a payment is requested once.
                tolerate(self.payments.request(request, &cause).await, |_| None)
            }
            InvoiceEvent::CollectionRequested(collection) => {
                let request = PaymentRequested {
                    payment_id: attempt_of(collection.invoice_id, collection.attempt),
                    invoice_id: collection.invoice_id.as_uuid(),
                    amount: collection.amount,
                    currency: collection.currency.clone(),
                    method: collection.payment_method.clone(),
                    deadline: deadline_after(&event.recorded, self.patience),
                    customer_id: collection.customer_id,
                };
                tolerate(self.payments.request(request, &cause).await, |_| None)
            }
            // An amount is still due: a pending payment continues, and the excess is refunded later.
            InvoiceEvent::Credited(invoice) if !invoice.due.is_zero() => Ok(()),
            InvoiceEvent::Credited(invoice) => {
                self.end(invoice.invoice_id, End::CallOff, &cause).await
            }
            InvoiceEvent::RefundDue(due) => {
                tolerate(self.payments.give_back(due, &cause).await, |_| None)
            }
            InvoiceEvent::RefundDenied(denied) => {
                tolerate(self.payments.refuse_refund(denied, &cause).await, |_| None)
            }
            InvoiceEvent::Voided(invoice) => {
                self.end(invoice.invoice_id, End::Withdraw, &cause).await
            }
        }
    }
}

/// How the payments of an invoice end.
#[derive(Clone, Copy)]
enum End {
    /// Pending payments are cancelled.
    CallOff,
    /// Pending payments are cancelled, and captured ones are refunded.
    Withdraw,
}

impl Collection {
    /// Ends every payment of an invoice, the first one and all further ones.
    async fn end(
        &self,
        invoice_id: InvoiceId,
        end: End,
        cause: &Cause,
    ) -> Result<(), ReactionError> {
        for attempt in 1_u32.. {
            let id = attempt_of(invoice_id, attempt);
            let outcome = self.end_one(id, end, cause).await;
            if let Err(Error::Refused(Refusal::NoSuchPayment)) = &outcome {
                tracing::debug!(%invoice_id, attempt, "the invoice has no further payment");
                return Ok(());
            }
            outcome?;
        }
        Ok(())
    }

    async fn end_one(&self, id: PaymentId, end: End, cause: &Cause) -> Result<Executed, Error> {
        match end {
            End::CallOff => self.payments.call_off(id, cause).await,
            End::Withdraw => self.payments.withdraw(id, cause).await,
        }
    }
}
