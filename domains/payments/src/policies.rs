//! What the module does when invoices are issued, collected again, credited and voided.

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
    /// What the collection of payments follows from.
    pub enum InvoiceEvent {
        Issued(InvoiceIssued),
        CollectionRequested(CollectionRequested),
        Credited(InvoiceCredited),
        RefundDue(RefundDue),
        RefundDenied(RefundDenied),
        Voided(InvoiceVoided),
    }
}

/// Collects what is invoiced, gives back what is credited, and gives up or gives back what is voided.
pub struct Collection {
    pub(crate) payments: Payments,
    /// How long after its invoice a payment is given up.
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
                // No refusal is expected: a payment is asked for once.
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
            // Something is still due: what is under way goes on, and what comes too much goes back.
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

/// How the payments of an invoice are ended.
#[derive(Clone, Copy)]
enum End {
    /// Nothing is collected any more.
    CallOff,
    /// And what was collected goes back.
    Withdraw,
}

impl Collection {
    /// Ends every payment of an invoice: the first one, and those that were asked for later.
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
