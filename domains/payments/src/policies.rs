//! What the module does when invoices are issued and voided.

use std::time::Duration;

use async_trait::async_trait;
use billing_contract::{InvoiceIssued, InvoiceVoided};
use kernel::codec::Envelope;
use kernel::execution::Cause;
use kernel::reaction::{Reaction, ReactionError, ReactionKind, settle};
use payments_contract::PaymentRequested;

use crate::domain::Refusal;
use crate::handlers::{Payments, deadline_after, payment_of};

kernel::event_set! {
    /// What the collection of payments follows from.
    pub(crate) enum Trigger {
        Issued(InvoiceIssued),
        Voided(InvoiceVoided),
    }
}

/// Collects what is invoiced and gives up or gives back what is voided.
pub(crate) struct Collection {
    pub(crate) payments: Payments,
    /// How long after its invoice a payment is given up.
    pub(crate) patience: Duration,
}

#[async_trait]
impl Reaction for Collection {
    type Event = Trigger;

    const NAME: &'static str = "payments.collection";
    const KIND: ReactionKind = ReactionKind::Policy;

    async fn react(&self, trigger: &Envelope<Trigger>, cause: Cause) -> Result<(), ReactionError> {
        match &trigger.event {
            Trigger::Issued(invoice) => {
                let request = PaymentRequested {
                    payment_id: payment_of(invoice.invoice_id),
                    invoice_id: invoice.invoice_id,
                    amount: invoice.total,
                    currency: invoice.currency.clone(),
                    method: invoice.payment_method.clone(),
                    deadline: deadline_after(&trigger.recorded, self.patience),
                    customer_id: Some(invoice.customer_id),
                };
                // No refusal is expected: a payment is asked for once.
                settle(self.payments.request(request, &cause).await, |_| None)
            }
            Trigger::Voided(invoice) => {
                let payment = payment_of(invoice.invoice_id);
                settle(self.payments.withdraw(payment, &cause).await, |refusal| match refusal {
                    Refusal::NoSuchPayment => Some("no payment was ever asked for this invoice"),
                    _ => None,
                })
            }
        }
    }
}
